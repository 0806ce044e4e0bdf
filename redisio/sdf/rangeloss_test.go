package sdf

import (
	"errors"
	"strings"
	"testing"

	"example.com/beamredis/redisio/internal/telemetry"
	"example.com/beamredis/redisio/message"
)

func TestEntriesTrimmedUnreadAreToldOf(t *testing.T) {
	h := newHistory(t)
	h.add("s", msIDs(1, 8000)...) // more than two pages, of which one may be on its way
	ranges := h.mustPlan("s", Bound{}, Bound{})
	before := telemetry.LossesUnknown.Process()
	h.onEmit = func(_ *RangeTracker, m message.Message) {
		if m.ID.Ms == 1 {
			h.must(h.server.Client().XTrimMinID(t.Context(), "s", "7900-0").Err())
		}
	}
	h.read(ranges...)
	got := h.ids()
	if n := len(got); n == 8000 || got[n-1].Ms != 8000 {
		t.Fatalf("%d entries up to %v were read: this proves nothing", n, got[n-1])
	}
	if n := telemetry.LossesUnknown.Process() - before; n != 1 {
		t.Errorf("%d losses were counted, want one", n)
	}
}

func TestEntriesTrimmedAfterTheyWereReadAreNoLoss(t *testing.T) {
	h := newHistory(t)
	h.add("s", msIDs(1, 4000)...)
	h.cfg.RangeEntries = 500
	ranges := h.mustPlan("s", idBound(100), Bound{})
	before := telemetry.LossesUnknown.Process()
	h.onEmit = func(_ *RangeTracker, m message.Message) {
		if m.ID.Ms%100 == 0 {
			h.must(h.server.Client().XTrimMinID(t.Context(), "s", m.ID.String()).Err())
		}
	}
	h.read(ranges...)
	h.want(msIDs(100, 4000)...)
	if n := telemetry.LossesUnknown.Process() - before; n != 0 {
		t.Errorf("%d losses were counted", n)
	}
}

// losses counts what is told of while f runs.
func losses(f func()) int64 {
	before := telemetry.LossesUnknown.Process()
	f()
	return telemetry.LossesUnknown.Process() - before
}

// onFirst calls f when the first entry is emitted.
func (h *history) onFirst(f func()) {
	h.onEmit = func(*RangeTracker, message.Message) {
		if f != nil {
			f()
		}
		f = nil
	}
}

func TestAStreamThatIsGoneFailsTheRange(t *testing.T) {
	for name, gone := range map[string]func(h *history){
		"deleted": func(h *history) { h.must(h.server.Client().Del(h.t.Context(), "s").Err()) },
		"lost and filled in part": func(h *history) {
			h.must(h.server.Client().FlushAll(h.t.Context()).Err())
			h.add("s", msIDs(1, 2000)...)
		},
		"another one": func(h *history) {
			h.must(h.server.Client().Del(h.t.Context(), "s").Err())
			h.add("s", msIDs(20_001, 20_100)...)
		},
	} {
		for kind, entries := range map[string]int{"one range": 50_000, "many ranges": 1000} {
			t.Run(name+", "+kind, func(t *testing.T) {
				h := newHistory(t)
				h.add("s", msIDs(1, 8000)...)
				h.cfg.RangeEntries = entries
				ranges := h.mustPlan("s", Bound{}, Bound{})
				if name == "another one" && ranges[0].Added < 0 {
					t.Skip("this server does not tell how many entries were added to a stream")
				}
				h.onFirst(func() { gone(h) })
				err := h.tryRead(ranges...)
				if !errors.Is(err, ErrReplaced) || !strings.HasPrefix(err.Error(), "partition s: the stream was deleted, replaced or rolled back") {
					t.Errorf("%d entries were read, then: %v", len(h.got), err)
				}
			})
		}
	}
}

func TestAStreamTrimmedToNothingIsToldOf(t *testing.T) {
	h := newHistory(t)
	h.add("s", msIDs(1, 8000)...)
	ranges := h.mustPlan("s", Bound{}, Bound{})
	h.onFirst(func() { h.must(h.server.Client().XTrimMaxLen(t.Context(), "s", 0).Err()) })
	if n := losses(func() { h.read(ranges...) }); n != 1 {
		t.Errorf("%d losses were counted, want one", n)
	}
	if n := len(h.got); n == 0 || n == 8000 {
		t.Fatalf("%d entries were read: this proves nothing", n)
	}

	h.must(h.server.Client().Del(t.Context(), "s").Err())
	h.add("s", msIDs(1, 8000)...)
	h.cfg.FailOnLoss, h.got = true, nil
	h.onFirst(func() { h.must(h.server.Client().XTrimMaxLen(t.Context(), "s", 0).Err()) })
	if err := h.tryRead(ranges...); !errors.Is(err, ErrTrimmed) || !strings.Contains(err.Error(), "to 8000-0") {
		t.Errorf("error %v, want one that names what is missing", err)
	}
}

// TestTrimmedRangesAreToldOfOnceEach: those that begin behind what is gone say
// nothing.
func TestTrimmedRangesAreToldOfOnceEach(t *testing.T) {
	h := newHistory(t)
	h.add("s", msIDs(1, 8000)...)
	h.cfg.RangeEntries = 1000
	ranges := h.mustPlan("s", Bound{}, Bound{})
	h.must(h.server.Client().XTrimMinID(t.Context(), "s", ranges[2].First.Next().String()).Err())
	if n := losses(func() { h.read(ranges...) }); n != 3 {
		t.Errorf("%d losses were counted, want one for each of three ranges that lack entries", n)
	}
	h.want(msIDs(int(ranges[2].First.Ms)+1, 8000)...)
}

func TestEntriesDeletedBehindTheReaderAreNoLoss(t *testing.T) {
	h := newHistory(t)
	h.cfg.FailOnLoss = true
	for name, remove := range map[string]func(m message.Message) error{
		"deleted": func(m message.Message) error { return h.server.Client().XDel(t.Context(), "s", m.ID.String()).Err() },
		"trimmed": func(m message.Message) error {
			return h.server.Client().XTrimMinID(t.Context(), "s", m.ID.Next().String()).Err()
		},
	} {
		t.Run(name, func(t *testing.T) {
			h.t, h.got = t, nil
			h.must(h.server.Client().Del(t.Context(), "s").Err())
			h.add("s", msIDs(1, 8000)...)
			h.cfg.RangeEntries = 1000
			ranges := h.mustPlan("s", Bound{}, Bound{})
			h.onEmit = func(tr *RangeTracker, m message.Message) {
				h.must(remove(m))
				for _, fraction := range []float64{0, 0.5} {
					if _, residual, _ := tr.TrySplit(fraction); residual != nil {
						t.Fatalf("%v was split off, which cannot tell what is deleted before it from what is trimmed", residual)
					}
				}
			}
			if n := losses(func() { h.read(ranges...) }); n != 0 {
				t.Errorf("%d losses were counted", n)
			}
			h.want(msIDs(1, 8000)...)
			if n := h.server.Client().XLen(t.Context(), "s").Val(); n != 0 || len(ranges) < 8 {
				t.Errorf("%d entries are left of %d ranges: this proves nothing", n, len(ranges))
			}
		})
	}
}

// TestDeletingNeedsNoBudget: no page is fetched ahead where others take all of the
// process's budget.
func TestDeletingNeedsNoBudget(t *testing.T) {
	h := newHistory(t)
	h.cfg.FailOnLoss = true
	h.add("s", msIDs(1, 8000)...)
	ranges := h.mustPlan("s", Bound{}, Bound{})
	full := int64(fetchBudget) - fetchedBytes.Load()
	fetchedBytes.Add(full)
	defer fetchedBytes.Add(-full)
	h.onEmit = func(_ *RangeTracker, m message.Message) {
		h.must(h.server.Client().XDel(t.Context(), "s", m.ID.String()).Err())
	}
	if n := losses(func() { h.read(ranges...) }); n != 0 {
		t.Errorf("%d losses were counted", n)
	}
	h.want(msIDs(1, 8000)...)
}
