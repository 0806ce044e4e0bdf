package sdf

import (
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/redis/go-redis/v9"

	"example.com/beamredis/redisio/message"
)

const (
	planned = 100_000
	minute  = 60_000
	day     = 24 * 60 * minute
	began   = 1_767_225_600_000
)

// unevenStreams are ways in which the entries of a stream may lie.
func unevenStreams() map[string][]message.EntryID {
	at := func(ms int, seq int) message.EntryID { return message.EntryID{Ms: uint64(ms), Seq: uint64(seq)} }
	streams := map[string][]message.EntryID{}
	add := func(name string, ids ...message.EntryID) { streams[name] = append(streams[name], ids...) }
	rnd := rand.New(rand.NewPCG(2, 8))
	for i := range planned {
		// Seven days at an even rate, and a tenth of an hour with nine tenths of all.
		if i%10 == 0 {
			add("backfill", at(began+i*7*day/planned, 0))
		} else {
			add("backfill", at(began+3*day+i*10*minute/planned, 1+i%10))
		}
		slow := min(i, planned/2)
		add("old entry", at(began+slow*800+(i-slow)*8, 0))
		if i < planned/2 {
			add("batches", at(began+i*10, 0))
			add("one millisecond", at(began, i))
		} else {
			add("batches", at(began+planned/2*10+i/100*1000, i%100))
			add("one millisecond", at(began+i*1000, 0))
		}
		add("at random", at(began+rnd.IntN(day), i))
	}
	streams["old entry"][0] = at(1, 0)
	for name := range streams {
		slices.SortFunc(streams[name], message.EntryID.Compare)
	}
	return streams
}

// entriesOf counts the entries of each range, and wants them to be all of ids.
func entriesOf(t *testing.T, ids []message.EntryID, ranges []Range) []int {
	t.Helper()
	var counts []int
	after, total := ids[0].Prev(), 0
	for _, r := range ranges {
		a, _ := slices.BinarySearchFunc(ids, r.After.Next(), message.EntryID.Compare)
		b, is := slices.BinarySearchFunc(ids, r.To, message.EntryID.Compare)
		if !is || r.After != after || r.First != ids[a] || r.Last != ids[len(ids)-1] {
			t.Fatalf("range %+v, want one after %v that begins with %v and ends with an entry", r, after, ids[a])
		}
		counts, after, total = append(counts, b+1-a), r.To, total+b+1-a
	}
	if total != len(ids) {
		t.Errorf("%d entries in the ranges, want %d", total, len(ids))
	}
	return counts
}

func TestRangesOfUnevenStreamsHaveAboutEqualEntries(t *testing.T) {
	for name, ids := range unevenStreams() {
		t.Run(name, func(t *testing.T) {
			h := newHistory(t)
			h.add("s", ids...)
			h.cfg.RangeEntries = 5000
			counts := entriesOf(t, ids, h.mustPlan("s", Bound{}, Bound{}))
			t.Logf("%d ranges of %d to %d entries: %v", len(counts), slices.Min(counts), slices.Max(counts), counts)
			if slices.Max(counts) > 2*h.cfg.RangeEntries || len(counts) > 2*planned/h.cfg.RangeEntries {
				t.Errorf("%d ranges of up to %d entries, want about 20 of %d", len(counts), slices.Max(counts), h.cfg.RangeEntries)
			}
		})
	}
}

// TestPlanningLooksAtLittle: the stream's first and last entry, which are all that
// is known of their sizes at first, are small, and all others are large.
func TestPlanningLooksAtLittle(t *testing.T) {
	h := newHistory(t)
	const n, size = 1000, 100 << 10
	large := strings.Repeat("x", size)
	for i := 1; i <= n; i++ {
		values := []string{"n", large}
		if i == 1 || i == n {
			values = []string{"n", ""}
		}
		h.must(h.server.Client().XAdd(t.Context(), &redis.XAddArgs{Stream: "s", ID: message.EntryID{Ms: uint64(i)}.String(), Values: values}).Err())
	}
	h.cfg.RangeEntries = 20
	before := h.bytesSent()
	counts := entriesOf(t, msIDs(1, n), h.mustPlan("s", Bound{}, Bound{}))
	sent := h.bytesSent() - before
	t.Logf("%d ranges of %d to %d entries; %d MiB sent", len(counts), slices.Min(counts), slices.Max(counts), sent>>20)
	// 8 MiB of sample, and two entries for each of 50 cuts.
	if most := 2 * (sampleBytes + 2*50*size); sent > most || sent < size {
		t.Errorf("the server sent %d bytes, want at most %d", sent, most)
	}
}

// bytesSent is what the server has sent so far.
func (h *history) bytesSent() int {
	h.t.Helper()
	info, err := h.server.Client().InfoMap(h.t.Context(), "stats").Result()
	h.must(err)
	n, err := strconv.Atoi(info["Stats"]["total_net_output_bytes"])
	h.must(err)
	return n
}

// TestRangesHaveAboutEqualEntries: a quiet first half, then ever more entries
// for each millisecond. Equal times would differ by a factor of hundreds.
func TestRangesHaveAboutEqualEntries(t *testing.T) {
	h := newHistory(t)
	var ids []message.EntryID
	for ms := range uint64(20_000) {
		n := uint64(0)
		if ms > 10_000 {
			n = 1 + (ms-10_000)/1000
		} else if ms%100 == 0 {
			n = 1
		}
		for seq := range n {
			ids = append(ids, message.EntryID{Ms: 1000 + ms, Seq: seq})
		}
	}
	h.add("s", ids...)
	h.cfg.RangeEntries = 5000
	for name, from := range map[string]int{"all": 0, "a part": 10_000} {
		t.Run(name, func(t *testing.T) {
			h.t = t
			ranges := h.mustPlan("s", Bound{BoundID, ids[from]}, Bound{})
			smallest, largest, total := len(ids), 0, 0
			for _, r := range ranges {
				a, _ := slices.BinarySearchFunc(ids, r.After.Next(), message.EntryID.Compare)
				b, _ := slices.BinarySearchFunc(ids, r.To.Next(), message.EntryID.Compare)
				smallest, largest, total = min(smallest, b-a), max(largest, b-a), total+b-a
			}
			t.Logf("%d entries in %d ranges of %d to %d", total, len(ranges), smallest, largest)
			if want := (len(ids) - from) / h.cfg.RangeEntries; total != len(ids)-from || len(ranges) < want || len(ranges) > 2*want+2 {
				t.Errorf("%d ranges with %d entries, want about %d with %d", len(ranges), total, want+1, len(ids)-from)
			}
			if smallest*2 < largest {
				t.Errorf("ranges have from %d to %d entries", smallest, largest)
			}
		})
	}
}

func TestRangesOfOneMillisecondAreCutToo(t *testing.T) {
	h := newHistory(t)
	var ids []message.EntryID
	for seq := range uint64(10_000) {
		ids = append(ids, message.EntryID{Ms: 7, Seq: seq + 1})
	}
	h.add("s", ids...)
	h.cfg.RangeEntries = 1000
	ranges := h.mustPlan("s", Bound{}, Bound{})
	if len(ranges) < 8 {
		t.Errorf("%d ranges, want about 10", len(ranges))
	}
	h.read(ranges...)
	h.want(ids...)
}
