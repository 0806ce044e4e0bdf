package rdb

import (
	"slices"
	"strings"
	"testing"
	"time"

	"example.com/beamredis/redisio/message"
)

// fixture has n entries, all delivered to consumer c of group g.
func (b bench) fixture(n int) {
	b.Helper()
	b.fill(n)
	b.do("xgroup create s g 0")
	if f, err := b.c.Fetch(b.Context(), "s", "g", "c", n, false); err != nil || len(f.Entries) != n {
		b.Fatalf("%d entries, %v", len(f.Entries), err)
	}
}

// rows lists all pending entries.
func (b bench) rows() []PendingEntry {
	b.Helper()
	rows, err := b.c.Pending(b.Context(), "s", "g", PendingQuery{To: message.MaxID, Count: 10_000})
	if err != nil {
		b.Fatal(err)
	}
	return rows
}

// pendingMs are the milliseconds of the IDs in rows.
func pendingMs(rows []PendingEntry) []uint64 {
	var ms []uint64
	for _, row := range rows {
		ms = append(ms, row.ID.Ms)
	}
	return ms
}

func idsOf(ms ...uint64) []message.EntryID {
	var ids []message.EntryID
	for _, m := range ms {
		ids = append(ids, eid(m, 0))
	}
	return ids
}

func TestGroupIsCreatedOnceAndStaysAsItIs(t *testing.T) {
	onEachServer(t, func(b bench) {
		create := func(group, start string) bool {
			created, err := b.c.CreateGroup(b.Context(), "s", group, start)
			if err != nil {
				b.Fatal(err)
			}
			return created
		}
		if !create("g", "0") || create("g", LatestStart) {
			b.Error("want it created by the first call only, the stream along with it")
		}
		b.fill(3)
		create("latest", LatestStart)
		create("at", "2-0")
		for group, want := range map[string]message.EntryID{"g": {}, "latest": eid(3, 0), "at": eid(2, 0)} {
			if st, err := b.c.State(b.Context(), "s", group); err != nil || st.Group.LastDelivered != want {
				b.Errorf("%s stands at %v, %v; want %v", group, st.Group.LastDelivered, err, want)
			}
		}
		if err := b.c.SetGroup(b.Context(), "s", "g", eid(2, 0)); err != nil {
			b.Fatal(err)
		}
		if st, _ := b.c.State(b.Context(), "s", "g"); st.Group.LastDelivered != eid(2, 0) {
			b.Errorf("moved to %v, want 2-0", st.Group.LastDelivered)
		}
	})
}

func TestGroupErrorsNameStreamAndGroup(t *testing.T) {
	onEachServer(t, func(b bench) {
		b.do("set text v")
		_, create := b.c.CreateGroup(b.Context(), "text", "g", "0")
		_, badStart := b.c.CreateGroup(b.Context(), "s", "g", "nonsense")
		set := b.c.SetGroup(b.Context(), "s", "g", eid(1, 0))
		_, pending := b.c.Pending(b.Context(), "s", "g", PendingQuery{To: message.MaxID, Count: 1})
		for what, err := range map[string]error{"create": create, "start": badStart, "set": set, "pending": pending} {
			if err == nil || !strings.Contains(err.Error(), "g") || Classify(err) == Retryable {
				b.Errorf("%s: error %v", what, err)
			}
		}
		if !IsWrongType(create) || !IsNoGroup(pending) {
			b.Errorf("create: %v, pending: %v", create, pending)
		}
	})
}

func TestAckOfManyIDsCountsThePending(t *testing.T) {
	onEachServer(t, func(b bench) {
		const n = 2*ackChunk + 500
		b.fixture(n)
		var ids []message.EntryID
		for ms := uint64(2); ms <= n+10; ms++ { // the last ten do not exist
			ids = append(ids, eid(ms, 0))
		}
		for _, want := range []int64{n - 1, 0} {
			if got, err := b.c.Ack(b.Context(), "s", "g", ids); got != want || err != nil {
				b.Errorf("%d acknowledged, %v; want %d", got, err, want)
			}
		}
		b.equal("pending", []uint64{1}, pendingMs(b.rows()))
		if got, err := b.c.Ack(b.Context(), "s", "g", nil); got != 0 || err != nil {
			b.Errorf("of nothing: %d, %v", got, err)
		}
		if got, err := b.c.Ack(b.Context(), "missing", "g", ids[:1]); got != 0 || err != nil {
			b.Errorf("in a missing stream: %d, %v", got, err)
		}
	})
}

func TestPendingIsFiltered(t *testing.T) {
	onEachServer(t, func(b bench) {
		b.fixture(6)
		b.do("xclaim s g d 0 2-0 4-0 idle 60000")
		for name, tc := range map[string]struct {
			q    PendingQuery
			want []uint64
		}{
			"all":                  {PendingQuery{To: message.MaxID, Count: 100}, []uint64{1, 2, 3, 4, 5, 6}},
			"a page":               {PendingQuery{To: message.MaxID, Count: 2}, []uint64{1, 2}},
			"after and up to":      {PendingQuery{After: eid(2, 0), To: eid(5, 0), Count: 100}, []uint64{3, 4, 5}},
			"of a consumer":        {PendingQuery{To: message.MaxID, Count: 100, Consumer: "d"}, []uint64{2, 4}},
			"of one without":       {PendingQuery{To: message.MaxID, Count: 100, Consumer: "x"}, nil},
			"idle":                 {PendingQuery{To: message.MaxID, Count: 100, MinIdle: time.Minute}, []uint64{2, 4}},
			"idle, page":           {PendingQuery{After: eid(2, 0), To: message.MaxID, Count: 1, MinIdle: time.Minute}, []uint64{4}},
			"idle, of another":     {PendingQuery{To: message.MaxID, Count: 100, MinIdle: time.Minute, Consumer: "c"}, nil},
			"empty range":          {PendingQuery{After: eid(3, 0), To: eid(3, 0), Count: 100}, nil},
			"after the largest ID": {PendingQuery{After: message.MaxID, To: message.MaxID, Count: 100}, nil},
		} {
			rows, err := b.c.Pending(b.Context(), "s", "g", tc.q)
			if err != nil {
				b.Errorf("%s: %v", name, err)
			}
			b.equal(name, tc.want, pendingMs(rows))
		}
		row := b.rows()[1]
		if row.Consumer != "d" || row.Deliveries != 2 || row.Idle < time.Minute || row.Idle > 2*time.Minute {
			b.Errorf("row %+v, want d's second delivery, idle for a minute", row)
		}
	})
}

func TestClaimTakesOverAndCounts(t *testing.T) {
	onEachServer(t, func(b bench) {
		b.fixture(5)
		b.do("xdel s 3-0", "xack s g 4-0")
		got, size, err := b.c.Claim(b.Context(), "s", "g", "d", 0, idsOf(2, 3, 4, 5, 99), CountOne)
		if err != nil || size == 0 {
			b.Fatalf("size %d, %v", size, err)
		}
		b.equal("claimed", append(entriesOf(2, 2), entriesOf(5, 5)...), got)
		for _, row := range b.rows() {
			wantOwner, wantCount := "d", int64(2)
			if row.ID.Ms == 1 || row.ID.Ms == 3 { // before 7.0 the deleted one stays
				wantOwner, wantCount = row.Consumer, row.Deliveries
			}
			if row.Consumer != wantOwner || row.Deliveries != wantCount {
				b.Errorf("%+v, want %d deliveries to %s", row, wantCount, wantOwner)
			}
		}
		if b.counts() && slices.Contains(pendingMs(b.rows()), 3) {
			b.Error("the deleted entry is pending still")
		}
		if got, _, err := b.c.Claim(b.Context(), "s", "g", "e", time.Hour, idsOf(1, 2), CountOne); err != nil || len(got) != 0 {
			b.Errorf("claimed %v before its time, %v", got, err)
		}
		if got, _, err := b.c.Claim(b.Context(), "s", "g", "e", 0, nil, CountOne); err != nil || got != nil {
			b.Errorf("claim of nothing: %v, %v", got, err)
		}
		if _, _, err := b.c.Claim(b.Context(), "s", "nope", "e", 0, idsOf(1), CountOne); !IsNoGroup(err) {
			b.Errorf("claim in a missing group: %v", err)
		}
	})
}

func TestDeliveriesAreSetForWhatIsPendingOnly(t *testing.T) {
	onEachServer(t, func(b bench) {
		b.fixture(4)
		b.do("xack s g 3-0")
		if err := b.c.SetDeliveries(b.Context(), "s", "g", "d", idsOf(2, 3), 7); err != nil {
			b.Fatal(err)
		}
		if err := b.c.SetDeliveries(b.Context(), "s", "g", "d", nil, 7); err != nil {
			b.Error(err)
		}
		var counts []int64
		for _, row := range b.rows() {
			counts = append(counts, row.Deliveries)
		}
		b.equal("pending", []uint64{1, 2, 4}, pendingMs(b.rows()))
		b.equal("deliveries", []int64{1, 7, 1}, counts)
		if got := b.rows()[1].Consumer; got != "d" {
			b.Errorf("owner %s, want d", got)
		}
	})
}

func TestGiveBackUndoesADelivery(t *testing.T) {
	onEachServer(t, func(b bench) {
		const n = 2300 // more than one XACK of the script
		b.fixture(n)
		var ids []message.EntryID
		for ms := uint64(101); ms <= n; ms++ {
			ids = append(ids, eid(ms, 0))
		}
		done, err := b.c.GiveBack(b.Context(), "s", "g", eid(n, 0), eid(100, 0), ids)
		if err != nil || !done {
			b.Fatalf("%v, %v", done, err)
		}
		st, err := b.c.State(b.Context(), "s", "g")
		if err != nil || st.Group.LastDelivered != eid(100, 0) || st.Group.Pending != 100 {
			b.Errorf("group %+v, %v; want it at 100-0 with 100 pending", st.Group, err)
		}
		if b.counts() && (st.Group.EntriesRead != 100 || st.Group.Lag != n-100) {
			b.Errorf("entries read %d, lag %d; want 100 and %d", st.Group.EntriesRead, st.Group.Lag, n-100)
		}
		f, err := b.c.Fetch(b.Context(), "s", "g", "d", 2, false)
		if err != nil {
			b.Fatal(err)
		}
		b.equal("next", entriesOf(101, 102), f.Entries)
	})
}

func TestGiveBackDoesNothingWhereTheGroupHasMoved(t *testing.T) {
	onEachServer(t, func(b bench) {
		b.fixture(5)
		for name, tc := range map[string]struct{ group, left string }{"moved": {"g", "4-0"}, "gone": {"nope", "5-0"}} {
			left, err := message.ParseEntryID(tc.left)
			if err != nil {
				b.Fatal(err)
			}
			if done, err := b.c.GiveBack(b.Context(), "s", tc.group, left, eid(2, 0), idsOf(3, 4)); done || err != nil {
				b.Errorf("%s: %v, %v; want it refused", name, done, err)
			}
		}
		st, err := b.c.State(b.Context(), "s", "g")
		if err != nil || st.Group.LastDelivered != eid(5, 0) || st.Group.Pending != 5 {
			b.Errorf("group %+v, %v; want it untouched", st.Group, err)
		}
	})
}
