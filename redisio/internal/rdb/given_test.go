package rdb

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/redis/go-redis/v9"

	"example.com/beamredis/redisio/message"
)

func given(ms uint64, value string) Add {
	return Add{Stream: "s", ID: eid(ms, 0), KeyField: "_key", Key: "k", Fields: []message.Field{{Name: "v", Value: value}}}
}

func TestEntriesKeepTheIDsThatTheyAreGiven(t *testing.T) {
	onEachServer(t, func(b bench) {
		a := NewAdder(b.c)
		for i, err := range a.Write(b.Context(), []Add{given(5, "a"), given(7, "b"), {Stream: "other", Fields: []message.Field{{Name: "v", Value: "x"}}}}) {
			if err != nil {
				b.Errorf("entry %d: %v", i, err)
			}
		}
		b.equal("entries", []string{"5-0", "7-0"}, b.idsOf("s"))
		if id, err := a.ID(2); err != nil || id.Ms < 1_000_000 {
			b.Errorf("ID %v, %v of the entry without one, want the server's", id, err)
		}
	})
}

// TestAnEntryThatIsThereCountsAsWritten: a batch whose reply was lost is written
// again as it was.
func TestAnEntryThatIsThereCountsAsWritten(t *testing.T) {
	onEachServer(t, func(b bench) {
		a := NewAdder(b.c)
		first := []Add{given(5, "a"), given(7, "b")}
		for _, batch := range [][]Add{first, append(first, given(9, "c"))} {
			for i, err := range a.Write(b.Context(), batch) {
				if err != nil {
					b.Errorf("entry %d: %v", i, err)
				}
			}
		}
		b.equal("entries", []string{"5-0", "7-0", "9-0"}, b.idsOf("s"))
	})
}

// TestTraceContextIsNotPartOfAnEntry: it is another one at every try.
func TestTraceContextIsNotPartOfAnEntry(t *testing.T) {
	onEachServer(t, func(b bench) {
		for _, parent := range []string{"00-01-01-01", "00-02-02-01", ""} {
			add := given(5, "a")
			if parent != "" {
				add.Fields = append(add.Fields, message.Field{Name: message.TraceParentField, Value: parent})
			}
			if err := NewAdder(b.c).Write(b.Context(), []Add{add})[0]; err != nil {
				b.Errorf("with trace parent %q: %v", parent, err)
			}
		}
		b.equal("entries", []string{"5-0"}, b.idsOf("s"))
	})
}

// TestAnEntryThatIsThereWaitsForReplicas, also where an earlier bundle wrote it.
func TestAnEntryThatIsThereWaitsForReplicas(t *testing.T) {
	eachReplicated(t, func(t *testing.T, r replicated) {
		c := r.open(t)
		write := func() error {
			a := NewAdder(c)
			a.Replicas = Replicas{len(r.replicas), 300 * time.Millisecond}
			add := given(5, "a")
			add.Stream = replicatedStream
			return a.Write(t.Context(), []Add{add})[0]
		}
		for _, s := range r.replicas {
			s.Pause()
		}
		for try := range 2 {
			if short := (*ReplicasError)(nil); !errors.As(write(), &short) {
				t.Errorf("try %d: no error, although no replica answers", try)
			}
		}
		for _, s := range r.replicas {
			s.Resume()
		}
		pollUntil(t, "the replicas follow", func() bool {
			return r.primary.Client().Wait(t.Context(), len(r.replicas), time.Second).Val() == int64(len(r.replicas))
		})
		// Others write all the time, so that replicas always have something to tell.
		busy, stop := context.WithCancel(t.Context())
		var others sync.WaitGroup
		others.Go(func() {
			for busy.Err() == nil {
				_ = r.primary.Client().XAdd(busy, &redis.XAddArgs{Stream: replicatedStream, Values: []string{"n", "other"}}).Err()
			}
		})
		for range 3 {
			if err := write(); err != nil {
				t.Errorf("the entry does not count as written: %v", err)
			}
		}
		stop()
		others.Wait()
		if n := len(r.primary.Client().XRange(t.Context(), replicatedStream, "-", "5-9").Val()); n != 1 {
			t.Errorf("%d entries, want one", n)
		}
	})
}

func TestAnIDThatIsTakenOrPassedIsTheEntrysFault(t *testing.T) {
	onEachServer(t, func(b bench) {
		a := NewAdder(b.c)
		if err := a.Write(b.Context(), []Add{given(7, "b")})[0]; err != nil {
			b.Fatal(err)
		}
		keyless := given(7, "b")
		keyless.KeyField = ""
		for name, add := range map[string]Add{"other fields": given(7, "c"), "other shape": keyless, "passed": given(6, "b")} {
			if err := a.Write(b.Context(), []Add{add, given(8, "next "+name)})[0]; err == nil || ClassifyAdd(err) != ElementFault {
				b.Errorf("%s: %v, want the element's fault", name, err)
			}
			b.do("xdel s 8-0")
			b.do("xsetid s 7-0")
		}
	})
}

func (b bench) idsOf(stream string) []string {
	b.Helper()
	ids := []string{}
	for _, e := range b.plain.XRange(b.Context(), stream, "-", "+").Val() {
		ids = append(ids, e.ID)
	}
	return ids
}

func TestPageTellsWhereTheStreamBegins(t *testing.T) {
	onEachServer(t, func(b bench) {
		b.fill(9)
		p, err := b.c.RangePage(b.Context(), "s", eid(2, 0), eid(8, 0), 4)
		if err != nil || p.State.First != eid(1, 0) || p.Bytes < 80 {
			b.Errorf("page %+v, %v", p, err)
		}
		b.equal("entries", entriesOf(3, 6), p.Entries)
		b.do("xtrim s minid 5")
		if p, err = b.c.RangePage(b.Context(), "s", eid(2, 0), message.MaxID, 100); err != nil || p.State.First != eid(5, 0) {
			b.Errorf("page %+v, %v; want one of a stream that begins at 5-0", p, err)
		}
		b.equal("entries", entriesOf(5, 9), p.Entries)
		if p, err = b.c.RangePage(b.Context(), "none", eid(0, 0), message.MaxID, 4); err != nil || len(p.Entries) != 0 || !p.State.First.IsZero() {
			b.Errorf("page %+v, %v of a stream that does not exist", p, err)
		}
		b.do("set text x")
		if _, err = b.c.RangePage(b.Context(), "text", eid(0, 0), message.MaxID, 4); !IsWrongType(err) {
			b.Errorf("%v of a key that holds no stream", err)
		}
		b.do("config set maxmemory 1")
		if p, err = b.c.RangePage(b.Context(), "s", eid(5, 0), message.MaxID, 100); err != nil || len(p.Entries) != 4 || p.State.First != eid(5, 0) {
			b.Errorf("page %+v, %v of a server whose memory is full", p, err)
		}
		b.do("config set maxmemory 0")
	})
}

func TestEndsAndSamplesOfAStream(t *testing.T) {
	onEachServer(t, func(b bench) {
		b.fill(9)
		b.do("xadd s 20-0 n 10")
		b.do("xadd s 20-1 n 11")
		for _, tc := range []struct {
			from, to, first, last message.EntryID
			ok                    bool
		}{
			{eid(0, 0), message.MaxID, eid(1, 0), eid(20, 1), true},
			{eid(3, 0), eid(19, 0), eid(3, 0), eid(9, 0), true},
			{eid(10, 0), eid(19, 0), eid(0, 0), eid(0, 0), false},
			{eid(9, 0), eid(3, 0), eid(0, 0), eid(0, 0), false},
		} {
			first, last, ok, err := b.c.Ends(b.Context(), "s", tc.from, tc.to)
			if first != tc.first || last != tc.last || ok != tc.ok || err != nil {
				b.Errorf("from %v to %v: %v to %v, %v, %v", tc.from, tc.to, first, last, ok, err)
			}
		}
		ids, bytes, err := b.c.Sample(b.Context(), "s", []message.EntryID{eid(2, 0), eid(8, 0), eid(30, 0)}, eid(20, 0), 3)
		if err != nil || bytes < 100 {
			b.Errorf("%d bytes, %v", bytes, err)
		}
		if diff := cmp.Diff([][]message.EntryID{{eid(2, 0), eid(3, 0), eid(4, 0)}, {eid(8, 0), eid(9, 0), eid(20, 0)}, nil}, ids); diff != "" {
			b.Errorf("samples (-want +got):\n%s", diff)
		}
		lasts, err := b.c.LastWithin(b.Context(), "s", []uint64{20, 9, 15})
		if diff := cmp.Diff([]message.EntryID{eid(20, 1), eid(9, 0), {}}, lasts); diff != "" || err != nil {
			b.Errorf("%v, last IDs (-want +got):\n%s", err, diff)
		}
		st, err := b.c.StreamState(b.Context(), "s")
		if err != nil || !st.Exists || st.Length != 11 || st.First != eid(1, 0) || st.LastGenerated != eid(20, 1) {
			b.Errorf("state %+v, %v", st, err)
		}
		if st, err = b.c.StreamState(b.Context(), "none"); err != nil || st.Exists {
			b.Errorf("state %+v, %v of a stream that does not exist", st, err)
		}
		b.do("set text x")
		if _, err = b.c.StreamState(b.Context(), "text"); !IsWrongType(err) {
			b.Errorf("state of a text: %v", err)
		}
		if _, _, _, err = b.c.Ends(b.Context(), "text", eid(0, 0), message.MaxID); !IsWrongType(err) {
			b.Errorf("ends of a text: %v", err)
		}
		if _, _, err = b.c.Sample(b.Context(), "text", []message.EntryID{{}}, message.MaxID, 3); !IsWrongType(err) {
			b.Errorf("sample of a text: %v", err)
		}
	})
}

func TestGroupMovesForwardOnly(t *testing.T) {
	onEachServer(t, func(b bench) {
		stands := func(want string) {
			b.Helper()
			groups := b.plain.XInfoGroups(b.Context(), "s").Val()
			if len(groups) != 1 || groups[0].LastDeliveredID != want {
				b.Errorf("groups %+v, want one at %s", groups, want)
			}
		}
		for _, step := range []struct {
			to   message.EntryID
			want string
		}{
			{eid(99, 5), "99-5"},
			{eid(100, 0), "100-0"}, // more digits
			{eid(100, 1<<63), "100-9223372036854775808"},
			{eid(100, 1<<63-1), "100-9223372036854775808"}, // a number of Lua could not tell
			{eid(99, 1<<63), "100-9223372036854775808"},
			{message.MaxID, message.MaxID.String()},
		} {
			if err := b.c.AdvanceGroup(b.Context(), "s", "g", step.to); err != nil {
				b.Fatal(fmt.Errorf("to %v: %w", step.to, err))
			}
			stands(step.want)
		}
		b.do("set text x")
		if err := b.c.AdvanceGroup(b.Context(), "text", "g", eid(1, 0)); !IsWrongType(err) {
			b.Errorf("group of a text: %v", err)
		}
	})
}
