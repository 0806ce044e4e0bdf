package sdf

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/apache/beam/sdks/v2/go/pkg/beam"
	"github.com/google/go-cmp/cmp"
	"github.com/redis/go-redis/v9"

	"example.com/beamredis/redisio/internal/redistest"
	"example.com/beamredis/redisio/internal/telemetry"
	"example.com/beamredis/redisio/message"
	"example.com/beamredis/redisio/topic"
)

// history drives PlanFn and RangeFn as a runner does, against a server of its
// own.
type history struct {
	t      *testing.T
	server *redistest.Server
	cfg    RangeConfig
	// onEmit is called with every message before it counts, and with the tracker
	// of the range that it is of.
	onEmit func(*RangeTracker, message.Message)
	got    []message.Message
	failed []message.DeadLetter
	ends   map[string]string
}

func newHistory(t *testing.T) *history {
	t.Helper()
	h := &history{t: t, server: redistest.Start(t), cfg: RangeDefaults(), ends: map[string]string{}}
	h.cfg.Conn = h.server.Config()
	return h
}

func (h *history) must(err error) {
	h.t.Helper()
	if err != nil {
		h.t.Fatal(err)
	}
}

// add adds entries of these IDs; each carries its ID in the field n.
func (h *history) add(stream string, ids ...message.EntryID) {
	h.t.Helper()
	for chunk := range slices.Chunk(ids, 1000) {
		_, err := h.server.Client().Pipelined(h.t.Context(), func(pipe redis.Pipeliner) error {
			for _, id := range chunk {
				pipe.XAdd(h.t.Context(), &redis.XAddArgs{Stream: stream, ID: id.String(), Values: []string{"n", id.String()}})
			}
			return nil
		})
		h.must(err)
	}
}

func (h *history) plan(stream string, from, to Bound) ([]Range, error) {
	h.t.Helper()
	fn := &PlanFn{Config: h.cfg}
	h.must(fn.Setup())
	var ranges []Range
	err := fn.ProcessElement(h.t.Context(), RangeRequest{Topic: topic.Topic{Keys: []string{stream}}, From: from, To: to},
		func(r Range) { ranges = append(ranges, r) }, func(stream, end string) { h.ends[stream] = end })
	return ranges, err
}

func (h *history) mustPlan(stream string, from, to Bound) []Range {
	h.t.Helper()
	ranges, err := h.plan(stream, from, to)
	h.must(err)
	return ranges
}

// read reads ranges, and what is split off them, to their end.
func (h *history) read(ranges ...Range) {
	h.t.Helper()
	fn := &RangeFn{Config: h.cfg}
	h.must(fn.Setup())
	for _, r := range ranges {
		h.readPart(fn, r, fn.CreateInitialRestriction(r))
	}
}

func (h *history) readPart(fn *RangeFn, r Range, rest RangeRestriction) {
	h.t.Helper()
	tr := fn.CreateTracker(rest)
	h.must(h.process(fn, r, tr))
	if !tr.IsDone() {
		h.t.Fatalf("processing of %+v stopped with work left: %v", r, tr.GetRestriction())
	}
}

// tryRead reads ranges until one fails.
func (h *history) tryRead(ranges ...Range) error {
	h.t.Helper()
	fn := &RangeFn{Config: h.cfg}
	h.must(fn.Setup())
	for _, r := range ranges {
		if err := h.process(fn, r, fn.CreateTracker(fn.CreateInitialRestriction(r))); err != nil {
			return err
		}
	}
	return nil
}

func (h *history) process(fn *RangeFn, r Range, tr *RangeTracker) error {
	emit := func(_ beam.EventTime, m message.Message) {
		if h.onEmit != nil {
			h.onEmit(tr, m)
		}
		h.got = append(h.got, m.Clone())
	}
	return fn.ProcessElement(h.t.Context(), tr, r, emit, func(_ beam.EventTime, d message.DeadLetter) { h.failed = append(h.failed, d) },
		func(string, string) {})
}

// ids are those of the messages that were read, in order.
func (h *history) ids() []message.EntryID {
	ids := []message.EntryID{}
	for _, m := range h.got {
		if n, _ := m.Get("n"); n != m.ID.String() {
			h.t.Errorf("entry %s has the fields of %s", m.ID, n)
		}
		ids = append(ids, m.ID)
	}
	slices.SortFunc(ids, message.EntryID.Compare)
	return ids
}

func (h *history) want(ids ...message.EntryID) {
	h.t.Helper()
	if diff := cmp.Diff(append([]message.EntryID{}, ids...), h.ids()); diff != "" {
		h.t.Errorf("entries (-want +got):\n%s", diff)
	}
}

// msIDs are n-0 for n from first to last.
func msIDs(first, last int) []message.EntryID {
	var ids []message.EntryID
	for n := first; n <= last; n++ {
		ids = append(ids, message.EntryID{Ms: uint64(n)})
	}
	return ids
}

func idBound(ms int) Bound { return Bound{BoundID, message.EntryID{Ms: uint64(ms)}} }

// TestRandomSplitsOfAStreamReadEachEntryOnce: with a real stream, whose ranges
// are planned, read in any order, and split at any time at any fraction.
func TestRandomSplitsOfAStreamReadEachEntryOnce(t *testing.T) {
	h := newHistory(t)
	held := fetchedBytes.Load() // by readers of earlier tests
	for seed := range uint64(12) {
		rnd := rand.New(rand.NewPCG(seed, 8))
		stream := fmt.Sprint("s", seed)
		ids := randomStream(rnd, 2000+rnd.IntN(3000))
		h.add(stream, ids...)
		from, to := rnd.IntN(len(ids)), rnd.IntN(len(ids))
		from, to = min(from, to), max(from, to)
		h.cfg.RangeEntries = 1 + rnd.IntN(len(ids))
		ranges := h.mustPlan(stream, Bound{BoundID, ids[from]}, Bound{BoundID, ids[to]})
		rnd.Shuffle(len(ranges), func(i, j int) { ranges[i], ranges[j] = ranges[j], ranges[i] })

		fn := &RangeFn{Config: h.cfg}
		h.must(fn.Setup())
		splits := 0
		var residuals []RangeRestriction
		h.got = nil
		h.onEmit = func(tr *RangeTracker, _ message.Message) {
			if rnd.IntN(50) != 0 || splits > 300 {
				return
			}
			if _, residual, err := tr.TrySplit(randomFraction(rnd)); residual != nil && err == nil {
				residuals = append(residuals, residual.(RangeRestriction))
				splits++
			}
		}
		for _, r := range ranges {
			h.readPart(fn, r, fn.CreateInitialRestriction(r))
			for len(residuals) > 0 {
				rest := residuals[len(residuals)-1]
				residuals = residuals[:len(residuals)-1]
				h.readPart(fn, r, rest)
			}
		}
		if t.Logf("%d of %d entries in %d ranges, %d splits", to-from+1, len(ids), len(ranges), splits); splits == 0 && to-from > 1000 {
			t.Error("nothing was split: this proves nothing")
		}
		h.want(ids[from : to+1]...)
		if n := fetchedBytes.Load(); n > held {
			t.Fatalf("%d bytes of the budget are held when nothing is read, %d before", n, held)
		}
	}
}

func TestBoundsOfARange(t *testing.T) {
	h := newHistory(t)
	h.add("s", msIDs(10, 20)...)
	for name, tc := range map[string]struct {
		from, to Bound
		want     []message.EntryID
		end      string
	}{
		"everything":          {Bound{Kind: BoundEarliest}, Bound{Kind: BoundLatest}, msIDs(10, 20), "20-0"},
		"open":                {Bound{}, Bound{}, msIDs(10, 20), "20-0"},
		"IDs are within":      {idBound(12), idBound(14), msIDs(12, 14), "14-0"},
		"to a time excludes":  {Bound{}, Bound{BoundTime, message.EntryID{Ms: 14}}, msIDs(10, 13), "13-18446744073709551615"},
		"from a time":         {Bound{BoundTime, message.EntryID{Ms: 14}}, Bound{}, msIDs(14, 20), "20-0"},
		"between two entries": {Bound{BoundID, message.EntryID{Ms: 12, Seq: 1}}, Bound{BoundID, message.EntryID{Ms: 12, Seq: 9}}, nil, "12-9"},
		"before the stream":   {Bound{}, idBound(9), nil, "9-0"},
		"behind the stream":   {idBound(21), idBound(30), nil, "20-0"},
		"one entry":           {idBound(15), idBound(15), msIDs(15, 15), "15-0"},
		"the future":          {idBound(19), idBound(99), msIDs(19, 20), "20-0"},
	} {
		t.Run(name, func(t *testing.T) {
			h.t, h.got = t, nil
			h.read(h.mustPlan("s", tc.from, tc.to)...)
			h.want(tc.want...)
			if h.ends["s"] != tc.end {
				t.Errorf("read up to %s, want %s", h.ends["s"], tc.end)
			}
		})
	}
}

func TestBoundsThatExcludeEachOtherAreAnError(t *testing.T) {
	for name, tc := range map[string]struct {
		from, to Bound
		want     string
	}{
		"IDs":         {idBound(9), idBound(5), "from 9-0 is after to 5-0"},
		"times":       {Bound{BoundTime, message.EntryID{Ms: 1000}}, Bound{BoundTime, message.EntryID{Ms: 1000}}, "from 1970-01-01T00:00:01Z is after to 1970-01-01T00:00:01Z"},
		"from latest": {Bound{Kind: BoundLatest}, Bound{}, "from is latest"},
		"to earliest": {Bound{}, Bound{Kind: BoundEarliest}, "to is earliest"},
		"nonsense":    {Bound{Kind: "newest"}, Bound{}, `"newest" is no kind of bound`},
	} {
		if err := CheckBounds(tc.from, tc.to); !errors.Is(err, ErrBounds) || !strings.Contains(err.Error(), tc.want) {
			t.Errorf("%s: %v, want %q", name, err, tc.want)
		}
	}
}

func TestMissingTopicIsAnErrorUnlessAllowed(t *testing.T) {
	h := newHistory(t)
	_, err := h.plan("s", Bound{}, Bound{})
	if !errors.Is(err, ErrNoTopic) || !strings.Contains(err.Error(), "s;") {
		t.Errorf("error %v, want one that names the stream", err)
	}
	h.cfg.AllowMissing = true
	if ranges := h.mustPlan("s", Bound{}, Bound{}); len(ranges) != 0 || h.ends["s"] != "0-0" {
		t.Errorf("ranges %v up to %s of a stream that does not exist", ranges, h.ends["s"])
	}
	h.must(h.server.Client().Set(t.Context(), "s", "text", 0).Err())
	if _, err := h.plan("s", Bound{}, Bound{}); err == nil || !strings.Contains(err.Error(), "partition s: ") || !strings.Contains(err.Error(), "WRONGTYPE") {
		t.Errorf("error %v of a key that holds no stream", err)
	}
}

func TestEntriesAddedAfterTheStartAreNotRead(t *testing.T) {
	h := newHistory(t)
	h.add("s", msIDs(1, 10)...)
	ranges := h.mustPlan("s", Bound{}, idBound(100))
	h.add("s", msIDs(11, 20)...)
	h.onEmit = func(_ *RangeTracker, m message.Message) {
		if m.ID.Ms == 5 {
			h.add("s", msIDs(21, 30)...)
		}
	}
	h.read(ranges...)
	h.want(msIDs(1, 10)...)
}

func TestDeletedEntriesAreLeftOut(t *testing.T) {
	h := newHistory(t)
	h.add("s", msIDs(1, 10)...)
	ranges := h.mustPlan("s", Bound{}, Bound{})
	before := telemetry.LossesUnknown.Process()
	h.must(h.server.Client().XDel(t.Context(), "s", "4-0", "10-0").Err())
	h.read(ranges...)
	h.want(append(msIDs(1, 3), msIDs(5, 9)...)...)
	if n := telemetry.LossesUnknown.Process() - before; n != 0 {
		t.Errorf("%d losses by trimming were counted", n)
	}
}

func TestOrderedPartitionIsOneRange(t *testing.T) {
	h := newHistory(t)
	h.add("s", msIDs(1, 1000)...)
	h.cfg.RangeEntries, h.cfg.Ordered = 10, true
	ranges := h.mustPlan("s", Bound{}, Bound{})
	wantEqual(t, "ranges", len(ranges), 1)
	h.onEmit = func(tr *RangeTracker, _ message.Message) {
		if _, residual, _ := tr.TrySplit(0.5); residual != nil {
			t.Fatalf("%v was split off", residual)
		}
	}
	h.read(ranges...)
	for i, m := range h.got {
		if m.ID.Ms != uint64(i+1) {
			t.Fatalf("entry %d is %s", i, m.ID)
		}
	}
	h.want(msIDs(1, 1000)...)
}

func TestEntryWithoutAnEventTimeIsADeadLetterOfTheRange(t *testing.T) {
	h := newHistory(t)
	h.add("s", msIDs(1, 3)...)
	h.cfg.EventTimeField, h.cfg.CollectFailed, h.cfg.ErrorStream = "at", true, "errors"
	h.must(h.server.Client().XAdd(t.Context(), &redis.XAddArgs{Stream: "s", ID: "4-0", Values: []string{"n", "4-0", "at", "1000"}}).Err())
	h.read(h.mustPlan("s", Bound{}, Bound{})...)
	h.want(msIDs(4, 4)...)
	if len(h.failed) != 3 || !strings.Contains(h.failed[0].Reason, `no field "at"`) || h.server.Client().XLen(t.Context(), "errors").Val() != 3 {
		t.Errorf("dead letters %+v", h.failed)
	}
	h.cfg.CollectFailed, h.cfg.ErrorStream = false, ""
	fn := &RangeFn{Config: h.cfg}
	h.must(fn.Setup())
	r := h.mustPlan("s", Bound{}, Bound{})[0]
	err := fn.ProcessElement(t.Context(), fn.CreateTracker(fn.CreateInitialRestriction(r)), r, func(beam.EventTime, message.Message) {}, nil, nil)
	if err == nil || !strings.Contains(err.Error(), "1-0") || !strings.Contains(err.Error(), "ReadRangeWithFailed") {
		t.Errorf("error %v, want one that names the entry and the mend", err)
	}
}

func TestRangeSurvivesAShortOutageAndNamesALongOne(t *testing.T) {
	h := newHistory(t)
	h.add("s", msIDs(1, 100)...)
	ranges := h.mustPlan("s", Bound{}, Bound{})
	h.must(h.server.Client().Save(t.Context()).Err())
	h.server.Kill()
	restarted := make(chan struct{})
	go func() { defer close(restarted); h.server.Restart() }()
	h.read(ranges...)
	<-restarted
	h.want(msIDs(1, 100)...)

	h.server.Kill()
	h.cfg.RetryFor = 1
	fn := &RangeFn{Config: h.cfg}
	h.must(fn.Setup())
	err := fn.ProcessElement(t.Context(), fn.CreateTracker(fn.CreateInitialRestriction(ranges[0])), ranges[0], nil, nil, nil)
	if err == nil || !strings.Contains(err.Error(), "partition s: ") || !strings.Contains(err.Error(), "gave up") {
		t.Errorf("error %v, want one that says for how long it was tried", err)
	}
}

func TestRestrictionSizeIsTheShareOfTheRange(t *testing.T) {
	fn := &RangeFn{}
	r := Range{After: message.EntryID{Ms: 100}, To: message.EntryID{Ms: 200}, Entries: 50, EntryBytes: 10}
	for rest, want := range map[RangeRestriction]float64{
		{message.EntryID{Ms: 100}, message.EntryID{Ms: 200}}: 500,
		{message.EntryID{Ms: 150}, message.EntryID{Ms: 200}}: 250,
		{message.EntryID{Ms: 200}, message.EntryID{Ms: 200}}: 0,
	} {
		if got := fn.RestrictionSize(r, rest); got != want {
			t.Errorf("%v: %v bytes, want %v", rest, got, want)
		}
	}
}
