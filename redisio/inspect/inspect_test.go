package inspect

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/redis/go-redis/v9"

	"example.com/beamredis/redisio/conn"
	"example.com/beamredis/redisio/internal/redistest"
	"example.com/beamredis/redisio/topic"
)

const group = "g"

var orders = topic.Topic{Name: "orders", Partitions: 3}

// deployments are those that a report has to agree with.
var deployments = map[string]func(*testing.T) (conn.Config, redis.UniversalClient){
	"single": func(t *testing.T) (conn.Config, redis.UniversalClient) {
		s := redistest.Start(t)
		return s.Config(), s.Client()
	},
	"cluster": func(t *testing.T) (conn.Config, redis.UniversalClient) {
		c := redistest.StartCluster(t)
		return c.Config(), c.Client()
	},
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// fill adds n entries to a stream and has a consumer of the group read some and
// acknowledge fewer.
func fill(t *testing.T, c redis.UniversalClient, stream string, n, read, acked int) {
	t.Helper()
	must(t, c.XGroupCreateMkStream(t.Context(), stream, group, "0").Err())
	for i := range n {
		must(t, c.XAdd(t.Context(), &redis.XAddArgs{Stream: stream, Values: []any{"n", i}}).Err())
	}
	if read == 0 {
		return
	}
	got, err := c.XReadGroup(t.Context(), &redis.XReadGroupArgs{Group: group, Consumer: "one", Streams: []string{stream, ">"}, Count: int64(read)}).Result()
	must(t, err)
	for _, m := range got[0].Messages[:acked] {
		must(t, c.XAck(t.Context(), stream, group, m.ID).Err())
	}
}

// The report agrees with what XINFO and XPENDING tell a plain client.
func TestAReportAgreesWithXINFOAndXPENDING(t *testing.T) {
	for name, deploy := range deployments {
		t.Run(name, func(t *testing.T) {
			cfg, c := deploy(t)
			fill(t, c, "orders:0", 10, 7, 2)
			fill(t, c, "orders:1", 4, 4, 4)
			fill(t, c, "orders:2", 0, 0, 0)
			r, err := Topic(t.Context(), cfg, orders, Options{Group: group, StuckAfter: time.Hour})
			must(t, err)
			total := noneOfGroup()
			for i, p := range r.Partitions {
				want := asXINFOTells(t, c, i)
				if p.OldestPendingMs != nil {
					// The clock goes on between the two looks.
					if later := *want.OldestPendingMs - *p.OldestPendingMs; later < 0 || later > time.Minute.Milliseconds() {
						t.Errorf("partition %d: the oldest is pending since %d ms, later since %d ms", i, *p.OldestPendingMs, *want.OldestPendingMs)
					}
					want.OldestPendingMs = p.OldestPendingMs
				}
				want.keepAges(p)
				if diff := cmp.Diff(want, p); diff != "" {
					t.Errorf("partition %d (-want +got):\n%s", i, diff)
				}
				total.add(p.Counts)
			}
			if diff := cmp.Diff(total, r.Total); diff != "" || r.Total.Length != 14 || *r.Total.Lag != 3 || *r.Total.Pending != 5 {
				t.Errorf("total %+v (-want +got):\n%s", r.Total, diff)
			}
		})
	}
}

// keepAges takes the ages of p, which a plain client cannot tell.
func (p *Partition) keepAges(of Partition) {
	if p.First != nil && of.First != nil {
		p.First.AgeMs, p.Last.AgeMs = of.First.AgeMs, of.Last.AgeMs
	}
}

func asXINFOTells(t *testing.T, c redis.UniversalClient, i int) Partition {
	t.Helper()
	p := Partition{Partition: i, Stream: fmt.Sprint("orders:", i), Exists: true}
	stream, err := c.XInfoStream(t.Context(), p.Stream).Result()
	must(t, err)
	p.Length = stream.Length
	if p.Length > 0 {
		p.First, p.Last = &Entry{ID: stream.FirstEntry.ID}, &Entry{ID: stream.LastEntry.ID}
	}
	groups, err := c.XInfoGroups(t.Context(), p.Stream).Result()
	must(t, err)
	p.Lag, p.Consumers = &groups[0].Lag, &groups[0].Consumers
	pending, err := c.XPending(t.Context(), p.Stream, group).Result()
	must(t, err)
	p.Pending = &pending.Count
	rows, err := c.XPendingExt(t.Context(), &redis.XPendingExtArgs{Stream: p.Stream, Group: group, Start: "-", End: "+", Count: 1}).Result()
	must(t, err)
	if len(rows) > 0 {
		ms := rows[0].Idle.Milliseconds()
		p.OldestPendingMs = &ms
	}
	return p
}

func TestWhatDoesNotExistIsAnError(t *testing.T) {
	for name, deploy := range deployments {
		t.Run(name, func(t *testing.T) {
			cfg, c := deploy(t)
			if _, err := Topic(t.Context(), cfg, orders, Options{}); !errors.Is(err, ErrNoTopic) || !strings.Contains(err.Error(), "orders:0, orders:1, orders:2") {
				t.Errorf("a topic that does not exist: %v", err)
			}
			fill(t, c, "orders:1", 1, 0, 0)
			if _, err := Topic(t.Context(), cfg, orders, Options{Group: "other"}); !errors.Is(err, ErrNoGroup) {
				t.Errorf("a group that does not exist: %v", err)
			}
			r, err := Topic(t.Context(), cfg, orders, Options{})
			must(t, err)
			if r.Group != group || r.Partitions[0].Exists || !r.Partitions[1].Exists {
				t.Errorf("the only group, on the only partition: %+v", r)
			}
		})
	}
}

func TestAmongSeveralGroupsNoneIsChosen(t *testing.T) {
	s := redistest.Start(t)
	fill(t, s.Client(), "orders:0", 2, 1, 0)
	must(t, s.Client().XGroupCreate(t.Context(), "orders:0", "another", "0").Err())
	r, err := Topic(t.Context(), s.Config(), topic.Topic{Name: "orders", Partitions: 1}, Options{})
	must(t, err)
	want := Report{Topic: "orders", Groups: []string{"another", group}, Total: Counts{Length: 2}, Partitions: []Partition{{Stream: "orders:0", Exists: true, Counts: Counts{Length: 2}}}}
	r.Partitions[0].First, r.Partitions[0].Last = nil, nil
	if diff := cmp.Diff(want, r); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestAKeyOfAnotherTypeIsNamed(t *testing.T) {
	s := redistest.Start(t)
	must(t, s.Client().Set(t.Context(), "orders:1", "x", 0).Err())
	if _, err := Topic(t.Context(), s.Config(), orders, Options{}); err == nil || !strings.Contains(err.Error(), `"orders:1" holds a string`) {
		t.Errorf("error %v", err)
	}
}

func TestAStuckPartitionIsWarnedOf(t *testing.T) {
	n := func(v int64) *int64 { return &v }
	for name, tc := range map[string]struct {
		counts   Counts
		idle     time.Duration
		everRead bool
		want     string
		behind   bool
	}{
		"all read":           {Counts{Lag: n(0), Pending: n(0)}, time.Hour, true, "", true},
		"nothing known":      {Counts{}, time.Hour, true, "", false},
		"lag unknown":        {Counts{Pending: n(0)}, time.Minute, true, "entries wait, and no consumer of the group has read for 1m0s", true},
		"unknown, read":      {Counts{Pending: n(0)}, time.Second, true, "", true},
		"unknown, unread":    {Counts{Pending: n(0)}, 0, false, "entries wait, and no consumer of the group has ever read", true},
		"pending":            {Counts{Lag: n(0), Pending: n(3), OldestPendingMs: n(59_999)}, 0, true, "", false},
		"pending for long":   {Counts{Lag: n(0), Pending: n(3), OldestPendingMs: n(60_000)}, 0, true, "3 entries are pending, the oldest since 1m0s ago: they were delivered and not acknowledged", false},
		"behind":             {Counts{Lag: n(9), Pending: n(0)}, 59 * time.Second, true, "", false},
		"behind and unread":  {Counts{Lag: n(9), Pending: n(0)}, time.Minute, true, "9 entries wait, and no consumer of the group has read for 1m0s", false},
		"never read":         {Counts{Lag: n(9), Pending: n(0)}, 0, false, "9 entries wait, and no consumer of the group has ever read", false},
		"both: pending tell": {Counts{Lag: n(9), Pending: n(1), OldestPendingMs: n(90_000)}, time.Hour, true, "1 entries are pending, the oldest since 1m30s ago: they were delivered and not acknowledged", false},
	} {
		if got := warning(tc.counts, tc.behind, tc.idle, tc.everRead, time.Minute); got != tc.want {
			t.Errorf("%s: %q, want %q", name, got, tc.want)
		}
	}
}

// The consumer that marks a group for idempotent writing reads nothing, and
// does not count as a reader.
func TestAPartitionThatNobodyReadsIsStuck(t *testing.T) {
	s := redistest.Start(t)
	fill(t, s.Client(), "orders:0", 5, 0, 0)
	must(t, s.Client().XGroupCreateConsumer(t.Context(), "orders:0", group, "beamredis-incarnation-1f").Err())
	r, err := Topic(t.Context(), s.Config(), orders, Options{})
	must(t, err)
	if got := r.Partitions[0].Warning; got != "5 entries wait, and no consumer of the group has ever read" {
		t.Errorf("warning %q", got)
	}
}

// A group that was made at an ID in the middle has no lag that the server knows.
func TestAPartitionOfUnknownLagOrWithoutTheGroupIsToldOf(t *testing.T) {
	s := redistest.Start(t)
	c := s.Client()
	fill(t, c, "orders:1", 5, 5, 5)
	for _, stream := range []string{"orders:0", "orders:2"} {
		for i := range 3 {
			must(t, c.XAdd(t.Context(), &redis.XAddArgs{Stream: stream, ID: fmt.Sprint(i+1, "-0"), Values: []any{"n", i}}).Err())
		}
	}
	must(t, c.XGroupCreate(t.Context(), "orders:0", group, "2-0").Err())
	r, err := Topic(t.Context(), s.Config(), orders, Options{})
	must(t, err)
	if r.Partitions[0].Lag != nil {
		t.Fatalf("the server tells a lag of %d: this test proves nothing", *r.Partitions[0].Lag)
	}
	var warnings []string
	for _, p := range r.Partitions {
		warnings = append(warnings, p.Warning)
	}
	want := []string{"entries wait, and no consumer of the group has ever read", "", "the group is missing here, so that nobody reads these 3 entries"}
	if diff := cmp.Diff(want, warnings); diff != "" {
		t.Errorf("warnings (-want +got):\n%s", diff)
	}
	if r.Total.Lag != nil || r.Total.Pending != nil || r.Total.Length != 11 {
		t.Errorf("total %+v, want the sums of what is not known unknown", r.Total)
	}
	// Everything after the group's place is deleted: nothing waits any more.
	must(t, c.XDel(t.Context(), "orders:0", "3-0").Err())
	r, err = Topic(t.Context(), s.Config(), orders, Options{})
	must(t, err)
	if got := r.Partitions[0].Warning; got != "" {
		t.Errorf("nothing waits, and the warning is %q", got)
	}
}
