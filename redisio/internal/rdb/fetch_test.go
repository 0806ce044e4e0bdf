package rdb

import (
	"context"
	"strings"
	"testing"

	"example.com/beamredis/redisio/conn"
	"example.com/beamredis/redisio/internal/redistest"
)

// A full server refuses whatever is queued in a transaction, though it would
// carry it out.
func TestFullServerIsStillRead(t *testing.T) {
	onEachServer(t, func(b bench) {
		b.fill(5)
		b.do("xgroup create s g 0", "config set maxmemory 1")
		for _, want := range []struct{ from, first, last int }{{0, 1, 3}, {3, 4, 5}, {5, 6, 5}} {
			st, err := b.c.State(b.Context(), "s", "g")
			if err != nil || st.Group.LastDelivered != eid(uint64(want.from), 0) || st.Stream.Length != 5 {
				b.Fatalf("state %+v, %v; want the group at %d-0", st, err, want.from)
			}
			f, err := b.c.Fetch(b.Context(), "s", "g", "c", 3, false)
			if err != nil {
				b.Fatal(err)
			}
			b.equal("entries", entriesOf(want.first, want.last), f.Entries)
			if f.Group.LastDelivered != eid(uint64(want.from), 0) || f.Now == 0 {
				b.Errorf("state %+v, want the group at %d-0", f.State, want.from)
			}
		}
	})
}

// Outside a transaction somebody else may read between the look at the group
// and the fetch: the state has to show it, or the entries would be passed over.
func TestWhatIsTakenBetweenLookAndReadShowsInTheState(t *testing.T) {
	onEachServer(t, func(b bench) {
		b.fill(5)
		for name, tc := range map[string]struct {
			entries  []Entry
			from, to int
		}{
			"nothing between":          {entriesOf(3, 5), 2, 2},
			"taken before the entries": {entriesOf(3, 5), 1, 2},
			"all taken":                {nil, 3, 5},
			"nothing there":            {nil, 5, 5},
		} {
			f := Fetched{Entries: tc.entries}
			f.Group.Exists, f.Group.LastDelivered, f.Stream.LastGenerated = true, eid(uint64(tc.from), 0), eid(5, 0)
			if err := b.c.findTakenBetween(b.Context(), "s", &f); err != nil {
				b.Fatal(err)
			}
			seen := f.Group.LastDelivered
			if seen.Less(eid(uint64(tc.to), 0)) || !seen.Less(eid(uint64(tc.to)+1, 0)) {
				b.Errorf("%s: last delivered %s, want that of entry %d", name, seen, tc.to)
			}
		}
	})
}

// TestAMissingRightStopsAFetchAtOnce: on a cluster, where its client says in
// another way that a transaction was refused, as on a single server.
func TestAMissingRightStopsAFetchAtOnce(t *testing.T) {
	user := redistest.User("app", "pw", "+@all", "-xreadgroup", "~*")
	single, cluster := redistest.Start(t, user), redistest.StartCluster(t, user)
	for name, cfg := range map[string]conn.Config{"single": single.Config(), "cluster": cluster.Config()} {
		c, err := Open(cfg)
		if err != nil {
			t.Fatal(err)
		}
		tries := 0
		err = c.Retry(t.Context(), func(ctx context.Context) error {
			tries++
			_, err := c.Fetch(ctx, "in:0", "g", "me", 10, false)
			return err
		})
		if err == nil || tries != 1 || Classify(err) != Fatal || !strings.Contains(err.Error(), "NOPERM") {
			t.Errorf("%s: after %d tries: %v, want one that names what is missing", name, tries, err)
		}
	}
}
