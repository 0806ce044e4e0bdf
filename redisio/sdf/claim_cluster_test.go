package sdf

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"example.com/beamredis/redisio/internal/rdb"
	"example.com/beamredis/redisio/internal/redistest"
	"example.com/beamredis/redisio/message"
)

func newClusterRunner(t *testing.T, c *redistest.Cluster, configure ...func(*Config)) *runner {
	t.Helper()
	return newRunnerFor(t, c.Config(), c.Client(), configure...)
}

// streamsOn names n streams of which each primary has as many.
func streamsOn(c *redistest.Cluster, t *testing.T, each int) (byNode [][]string) {
	t.Helper()
	nodes := map[*redistest.Server][]string{}
	for i := 0; len(nodes) < 3 || slices.ContainsFunc(byNode, func(s []string) bool { return len(s) < each }); i++ {
		stream := fmt.Sprint(strings.ReplaceAll(t.Name(), "/", "-"), ":", i)
		node := c.PrimaryOf(stream)
		if len(nodes[node]) < each {
			nodes[node] = append(nodes[node], stream)
		}
		byNode = byNode[:0]
		for _, streams := range nodes {
			byNode = append(byNode, streams)
		}
	}
	return byNode
}

// blockedOn is how many clients wait in a blocking command of a node.
func blockedOn(t *testing.T, nodes []*redistest.Server) (most int) {
	t.Helper()
	for _, node := range nodes {
		most = max(most, blocked(t, node))
	}
	return most
}

// TestIdlePartitionsOfAClusterAreWokenByTheirArrivals: with four connections to
// a node two idle partitions of it block one each, and the others are polled. A
// bundle waits for far longer than the test may take.
func TestIdlePartitionsOfAClusterAreWokenByTheirArrivals(t *testing.T) {
	c := redistest.StartCluster(t)
	byNode := streamsOn(c, t, 5)
	streams := slices.Concat(byNode...)
	r := newClusterRunner(t, c, func(cfg *Config) { cfg.Conn.PoolSize = 4 })
	r.open(streams...)
	for range 2 { // that partitions share a thread is known by their last bundle
		r.bundle().want()
	}
	bounds := &r.worker.fn.Config
	bounds.IdleTime, bounds.BundleTime, bounds.BundleEntries = 10*patience, 1000*patience, 1
	for i, stream := range streams {
		added := make(chan error, 1)
		go func() {
			for deadline := time.Now().Add(patience); blockedOn(t, c.Nodes()) == 0 && time.Now().Before(deadline); {
				time.Sleep(time.Millisecond)
			}
			added <- r.redis.XAdd(context.Background(), &redis.XAddArgs{Stream: stream, Values: []string{"n", fmt.Sprint(i)}}).Err()
		}()
		// The last partition's turn ends with its entry, the others' when they wait.
		b := r.bundle(append(slices.Concat(streams[:i], streams[i+1:]), stream)...)
		r.must(<-added)
		b.want(i)
		if b.took > patience {
			t.Errorf("the arrival in %s was emitted after %v", stream, b.took)
		}
		if most := blockedOn(t, c.Nodes()); most > 2 {
			t.Errorf("%d connections to a node are blocked, want 2 at most", most)
		}
	}
	for _, node := range c.Nodes() {
		if n := ours(t, node); n > 4 {
			t.Errorf("%d connections to a node, want 4 at most", n)
		}
	}
}

// ours counts the connections of the code under test.
func ours(t *testing.T, node *redistest.Server) int {
	t.Helper()
	list, err := node.Client().ClientList(t.Context()).Result()
	if err != nil {
		t.Fatal(err)
	}
	return strings.Count(list, " name=beamredis ")
}

func TestWatermarksOfIdlePartitionsFollowTheirNodesClocks(t *testing.T) {
	c := redistest.StartCluster(t)
	streams := slices.Concat(streamsOn(c, t, 2)...)
	r := newClusterRunner(t, c)
	r.open(streams...)
	r.bundle()
	var nodes []*redistest.Server
	for _, node := range c.Nodes() {
		if slices.ContainsFunc(streams, func(s string) bool { return c.PrimaryOf(s) == node }) {
			nodes = append(nodes, node)
			r.must(node.Client().ConfigResetStat(t.Context()).Err())
		}
	}
	start := time.Now().UnixMilli()
	eventually(t, "all watermarks have passed the start", func() bool {
		r.bundle().want()
		return !slices.ContainsFunc(streams, func(s string) bool { return r.state[s].watermark <= start })
	})
	for _, node := range nodes {
		info, err := node.Client().Info(t.Context(), "commandstats").Result()
		if err != nil || !strings.Contains(info, "cmdstat_time:") {
			t.Errorf("node %s was not asked for its clock: %v", node.Addr(), err)
		}
	}
	for _, s := range streams {
		if now := time.Now().UnixMilli(); r.state[s].watermark > now {
			t.Errorf("the watermark of %s is %d, after its node's clock %d", s, r.state[s].watermark, now)
		}
	}
}

// addTo adds n entries to a stream, numbered from first.
func (r *runner) addTo(stream string, first, n int) {
	r.t.Helper()
	for i := range n {
		r.must(r.redis.XAdd(r.t.Context(), &redis.XAddArgs{Stream: stream, Values: []string{"n", fmt.Sprint(first + i)}}).Err())
	}
}

func TestGroupsAndStreamsThatVanishOnAClusterHeal(t *testing.T) {
	c := redistest.StartCluster(t)
	r := newClusterRunner(t, c)
	for _, of := range streamsOn(c, t, 1) {
		stream := of[0]
		r.order = nil
		r.open(stream)
		r.addTo(stream, 1, 2)
		wantNumbers(t, r.read(2), 1, 2)
		r.must(r.redis.XGroupDestroy(t.Context(), stream, group).Err())
		r.addTo(stream, 3, 2)
		wantNumbers(t, r.read(2), 3, 4)
		r.must(r.redis.Del(t.Context(), stream).Err())
		r.must(r.redis.Do(t.Context(), "xadd", stream, "1-1", "n", "5").Err())
		wantNumbers(t, r.read(1), 5)
	}
}

func TestEntriesOfADeadConsumerOnAClusterAreRedelivered(t *testing.T) {
	c := redistest.StartCluster(t)
	r := newClusterRunner(t, c, claimAfter(50*time.Millisecond))
	for _, of := range streamsOn(c, t, 1) {
		stream := of[0]
		r.must(r.redis.XGroupCreateMkStream(t.Context(), stream, group, "0").Err())
		r.addTo(stream, 1, 3)
		r.must(r.redis.XReadGroup(t.Context(), &redis.XReadGroupArgs{Group: group, Consumer: "dead", Streams: []string{stream, ">"}}).Err())
		r.open(stream)
		wantNumbers(t, r.read(3), 1, 2, 3)
		eventually(t, "nothing is pending", func() bool {
			r.bundle().commit()
			return r.redis.XPending(t.Context(), stream, group).Val().Count == 0
		})
	}
}

// TestReadingFollowsASlotOnTheMove: a partition is read, acknowledged and read
// again from the beginning by another worker while its slot moves.
func TestReadingFollowsASlotOnTheMove(t *testing.T) {
	c := redistest.StartCluster(t)
	of := streamsOn(c, t, 1)
	stream, to := of[0][0], c.PrimaryOf(of[1][0])
	r := newClusterRunner(t, c, claimAfter(50*time.Millisecond))
	r.open(stream)
	r.addTo(stream, 1, 2)
	wantNumbers(t, r.read(2), 1, 2)
	saved := r.checkpoint()
	move := c.BeginMove(stream, to)
	r.addTo(stream, 3, 2)
	wantNumbers(t, r.read(2), 3, 4)
	move.Keys()
	r.addTo(stream, 5, 2)
	got := r.bundle()
	for len(got.got) == 0 {
		got = r.bundle()
	}
	got.want(5, 6)
	r.restore(saved)
	r.newWorker()
	wantNumbers(t, r.read(4), 3, 4, 5, 6)
	move.End()
	r.addTo(stream, 7, 2)
	wantNumbers(t, r.read(2), 7, 8)
	eventually(t, "nothing is pending", func() bool {
		r.bundle().commit()
		return r.redis.XPending(t.Context(), stream, group).Val().Count == 0
	})
	if rest := r.restriction(stream); rest.Epoch != 0 || rest.Position == (message.EntryID{}) {
		t.Errorf("restriction %+v: the stream was taken for another one", rest)
	}
}

// TestEveryIdlePartitionOfAClusterIsWaitedForWithoutAPause: the wait for one
// partition goes on when it has ended, though that of the reader's own has not.
func TestEveryIdlePartitionOfAClusterIsWaitedForWithoutAPause(t *testing.T) {
	others := make(chan struct{})
	h := newHub(nil)
	h.cluster = &clusterRounds{
		nodeOf: func(context.Context, string) (string, error) { return "node", nil },
		block: func(_ context.Context, at []rdb.Position, _ time.Duration) ([]string, int64, error) {
			if at[0].Stream == "own" {
				<-t.Context().Done()
				return nil, 0, t.Context().Err()
			}
			select {
			case others <- struct{}{}:
			case <-t.Context().Done():
			}
			return nil, 1, nil
		},
		mostBlocked: 2, blocked: map[string]int{},
	}
	own, other := &spot{stream: "own"}, &spot{stream: "other"}
	var th thread
	for _, s := range []*spot{own, other} {
		h.visit(s, &th)
		h.idle(s, message.EntryID{}, 0)
	}
	go h.wait(t.Context(), own, 10*patience)
	for range 5 {
		select {
		case <-others:
		case <-time.After(patience):
			t.Fatal("nobody waits for the other partition any more")
		}
	}
}
