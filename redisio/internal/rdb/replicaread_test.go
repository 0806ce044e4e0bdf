package rdb

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	beamlog "github.com/apache/beam/sdks/v2/go/pkg/beam/log"
	"github.com/redis/go-redis/v9"

	"example.com/beamredis/redisio/conn"
	"example.com/beamredis/redisio/internal/redistest"
	"example.com/beamredis/redisio/message"
)

// replicated is a deployment with replicas, and who has the stream.
type replicated struct {
	cfg      conn.Config
	client   redis.UniversalClient
	primary  *redistest.Server
	replicas []*redistest.Server
}

const replicatedStream = "in:0"

// eachReplicated runs f on a cluster and on what sentinels watch.
func eachReplicated(t *testing.T, f func(*testing.T, replicated)) {
	t.Run("cluster", func(t *testing.T) {
		c := redistest.StartCluster(t)
		for _, node := range c.Nodes() {
			pollUntil(t, "the node knows all replicas", func() bool {
				slots, err := node.Client().ClusterSlots(t.Context()).Result() //nolint:staticcheck // it is what the client under test asks for
				return err == nil && len(slots) > 0 && !slices.ContainsFunc(slots, func(s redis.ClusterSlot) bool { return len(s.Nodes) < 2 })
			})
		}
		primary := c.PrimaryOf(replicatedStream)
		f(t, replicated{c.Config(), c.Client(), primary, replicasOf(t, primary, c.Nodes())})
	})
	t.Run("sentinel", func(t *testing.T) {
		s := redistest.StartSentinels(t)
		primary := s.Primary()
		f(t, replicated{s.Config(), s.Client(), primary, replicasOf(t, primary, s.Servers())})
	})
}

func replicasOf(t *testing.T, primary *redistest.Server, all []*redistest.Server) (list []*redistest.Server) {
	t.Helper()
	_, port, _ := strings.Cut(primary.Addr(), ":")
	for _, s := range all {
		if strings.Contains(s.Client().Info(t.Context(), "replication").Val(), "master_port:"+port) {
			list = append(list, s)
		}
	}
	if len(list) == 0 {
		t.Fatal("the primary has no replica")
	}
	return list
}

func (r replicated) open(t *testing.T) *Client {
	t.Helper()
	r.cfg.ReadFromReplicas, r.cfg.ReadTimeout, r.cfg.DialTimeout = true, time.Second, time.Second
	c, err := Open(r.cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.close() })
	return c
}

// add adds entries with the IDs from 1-0 on, and waits until the replicas have
// them if they follow.
func (r replicated) add(t *testing.T, from, to int, replicas int) {
	t.Helper()
	for i := from; i <= to; i++ {
		args := &redis.XAddArgs{Stream: replicatedStream, ID: fmt.Sprint(i, "-0"), Values: []string{"n", fmt.Sprint(i)}}
		if err := r.primary.Client().XAdd(t.Context(), args).Err(); err != nil {
			t.Fatal(err)
		}
	}
	pollUntil(t, "the replicas have the entries", func() bool {
		return r.primary.Client().Wait(t.Context(), replicas, time.Second).Val() >= int64(replicas)
	})
}

// cutOff keeps the replicas from following, while they go on to answer.
func (r replicated) cutOff(t *testing.T) {
	t.Helper()
	for _, s := range r.replicas {
		setup(t, s, []any{"config", "set", "masteruser", "nobody", "masterauth", "wrong"}, []any{"client", "kill", "type", "master"})
		pollUntil(t, "the replica follows no more", func() bool {
			return strings.Contains(s.Client().Info(t.Context(), "replication").Val(), "master_link_status:down")
		})
	}
}

// ranges counts the calls of XRANGE at a server.
func ranges(t *testing.T, s *redistest.Server) (n int) {
	t.Helper()
	_, _ = fmt.Sscanf(s.Client().InfoMap(t.Context(), "commandstats").Val()["Commandstats"]["cmdstat_xrange"], "calls=%d", &n)
	return n
}

func (r replicated) wantPage(t *testing.T, c *Client, after, to, last uint64, count, want int, byReplica bool) {
	t.Helper()
	r.wantPageOf(t, c, after, to, Reached{Last: message.EntryID{Ms: last}, Added: int64(last)}, count, want, byReplica)
}

func (r replicated) wantPageOf(t *testing.T, c *Client, after, to uint64, far Reached, count, want int, byReplica bool) {
	t.Helper()
	before := ranges(t, r.primary)
	p, err := c.PageFromReplica(t.Context(), replicatedStream, message.EntryID{Ms: after}, message.EntryID{Ms: to}, far, count)
	if err != nil {
		t.Fatal(err)
	}
	if len(p.Entries) != want || len(p.Entries) > 0 && p.Entries[0].ID != (message.EntryID{Ms: after + 1}) || p.State.First != (message.EntryID{Ms: 1}) {
		t.Errorf("(%d, %d]: %d entries %v, first of all %v, want %d", after, to, len(p.Entries), p.Entries, p.State.First, want)
	}
	if asked := ranges(t, r.primary) > before; asked == byReplica {
		t.Errorf("(%d, %d]: the primary was asked: %v, want %v", after, to, asked, !byReplica)
	}
}

func TestReplicasAnswerWhatTheyHave(t *testing.T) {
	eachReplicated(t, func(t *testing.T, r replicated) {
		r.add(t, 1, 20, len(r.replicas))
		c := r.open(t)
		r.wantPage(t, c, 0, 20, 20, 10, 10, true)  // a full page
		r.wantPage(t, c, 10, 20, 20, 50, 10, true) // a short one, up to the bound
		r.wantPage(t, c, 10, 99, 99, 50, 10, false)
		r.cutOff(t)
		r.add(t, 21, 30, 0)
		r.wantPage(t, c, 10, 20, 20, 50, 10, true)
		r.wantPage(t, c, 10, 30, 30, 50, 20, false) // the replica has 10 of them
		r.wantPage(t, c, 0, 10, 30, 5, 5, false)    // it has all of them, and yet may be of another stream
		// As above, if it counts what was added: it has all, and would be taken for a stream that was made anew.
		counts := r.primary.Client().XInfoStream(t.Context(), replicatedStream).Val().EntriesAdded == 30
		r.wantPageOf(t, c, 0, 20, Reached{Last: message.EntryID{Ms: 20}, Added: 30}, 5, 5, !counts)
	})
}

func TestAReplicaThatHangsIsLeftAlone(t *testing.T) {
	eachReplicated(t, func(t *testing.T, r replicated) {
		r.add(t, 1, 20, len(r.replicas))
		c := r.open(t)
		r.wantPage(t, c, 0, 20, 20, 10, 10, true)
		for _, s := range r.replicas {
			s.Pause()
			defer s.Resume()
		}
		r.wantPage(t, c, 0, 20, 20, 10, 10, false)
		if c.replicas.usable() {
			t.Error("the replica would be asked again at once")
		}
		r.wantPage(t, c, 10, 20, 20, 10, 10, false)
	})
}

func TestReplicasThatMayNotBeReadAreWarnedOfOnce(t *testing.T) {
	user := redistest.User("app", "pw", "+@all", "-readonly", "~*")
	cluster, sentinels := redistest.StartCluster(t, user), redistest.StartSentinels(t)
	for _, s := range sentinels.Sentinels() {
		setup(t, s, []any{"acl", "setuser", "default", "-sentinel|replicas"})
	}
	for name, r := range map[string]replicated{
		"cluster":  {cfg: cluster.Config(), primary: cluster.PrimaryOf(replicatedStream)},
		"sentinel": {cfg: sentinels.Config(), primary: sentinels.Primary()},
	} {
		lines := captureBeamLog(t)
		r.add(t, 1, 2, 0)
		c := r.open(t)
		for range 3 {
			r.wantPage(t, c, 0, 2, 2, 2, 2, false)
			c.replicas.failed = c.replicas.failed.Add(-avoidReplicas) // it is tried again
		}
		var given []string
		for line := range strings.Lines(lines.String()) {
			if strings.HasPrefix(line, fmt.Sprint(beamlog.SevWarn)+" ") {
				given = append(given, line)
			}
		}
		if len(given) != 1 || !strings.Contains(given[0], "+sentinel|replicas for the user of the sentinels") {
			t.Errorf("%s: warnings %q, want one that names the rights", name, given)
		}
	}
}

func TestConnectionsToReplicasAreClosedWithTheOthers(t *testing.T) {
	eachReplicated(t, func(t *testing.T, r replicated) {
		r.add(t, 1, 2, len(r.replicas))
		c := r.open(t)
		r.wantPage(t, c, 0, 2, 2, 2, 2, true)
		c.closeIfUnused(0)
		for _, s := range r.replicas {
			pollUntil(t, "the connections are closed", func() bool { return openConnections(t, s) == 0 })
		}
		r.wantPage(t, c, 0, 2, 2, 2, 2, true)
	})
}
