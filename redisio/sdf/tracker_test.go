package sdf

import (
	"context"
	"math/rand/v2"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/apache/beam/sdks/v2/go/pkg/beam"
	beamsdf "github.com/apache/beam/sdks/v2/go/pkg/beam/core/sdf"
	"github.com/google/go-cmp/cmp"
	"github.com/redis/go-redis/v9"

	"example.com/beamredis/redisio/internal/rdb"
	"example.com/beamredis/redisio/internal/redistest"
	"example.com/beamredis/redisio/message"
)

func TestClaimMovesThePositionWithinTheBounds(t *testing.T) {
	with := func(f func(*Restriction)) Restriction {
		r := endless(id(5, 0))
		f(&r)
		return r
	}
	for name, tc := range map[string]struct {
		rest Restriction
		id   message.EntryID
		ok   bool
		left int64 // Remaining afterwards
	}{
		"next":               {endless(id(5, 0)), id(5, 1), true, NoLimit},
		"far ahead":          {endless(id(5, 0)), message.MaxID, true, NoLimit},
		"at the stop":        {with(func(r *Restriction) { r.Stop = id(7, 0) }), id(7, 0), true, NoLimit},
		"beyond the stop":    {with(func(r *Restriction) { r.Stop = id(7, 0) }), id(7, 1), false, NoLimit},
		"last that may be":   {with(func(r *Restriction) { r.Remaining = 1 }), id(6, 0), true, 0},
		"one too many":       {with(func(r *Restriction) { r.Remaining = 0 }), id(6, 0), false, 0},
		"of an ended read":   {with(func(r *Restriction) { r.Ended = true }), id(6, 0), false, NoLimit},
		"deadline is no bar": {with(func(r *Restriction) { r.Deadline = 1 }), id(6, 0), true, NoLimit},
	} {
		t.Run(name, func(t *testing.T) {
			tr := NewTracker(tc.rest)
			if got := tr.TryClaim(tc.id); got != tc.ok || tr.GetError() != nil {
				t.Fatalf("TryClaim = %v, %v; want %v and no error", got, tr.GetError(), tc.ok)
			}
			want := tc.rest
			if want.Remaining = tc.left; tc.ok {
				want.Position = tc.id
			}
			if diff := cmp.Diff(want, tr.Restriction()); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

func TestMisuseFailsTheTracker(t *testing.T) {
	for name, tc := range map[string]struct {
		pos  any
		want string
	}{
		"same entry again": {id(5, 0), "order within the partition is broken"},
		"earlier entry":    {id(4, 9), "entry 4-9 claimed after 5-0"},
		"not an ID":        {"5-1", "claim of a string"},
	} {
		t.Run(name, func(t *testing.T) {
			tr := NewTracker(endless(id(5, 0)))
			if tr.TryClaim(tc.pos) {
				t.Error("the claim succeeded")
			}
			if err := tr.GetError(); err == nil || !strings.Contains(err.Error(), tc.want) {
				t.Errorf("error %v, want one that says %q", err, tc.want)
			}
			if tr.Claim(id(6, 0)) {
				t.Error("a claim succeeded after the misuse")
			}
		})
	}
}

func TestOnlyACheckpointSplits(t *testing.T) {
	for name, tc := range map[string]struct {
		fraction float64
		rest     Restriction
		split    bool
	}{
		"checkpoint": {0, endless(id(5, 0)), true}, "below zero": {-1, endless(id(5, 0)), true},
		"half": {0.5, endless(id(5, 0)), false}, "all": {1, endless(id(5, 0)), false},
		"a hair": {1e-9, endless(id(5, 0)), false}, "ended": {0, Restriction{Ended: true}, false},
	} {
		t.Run(name, func(t *testing.T) {
			tr := NewTracker(tc.rest)
			primary, residual, err := tr.TrySplit(tc.fraction)
			if err != nil {
				t.Fatal(err)
			}
			if !tc.split {
				if primary != nil || residual != nil || tr.splitOff() {
					t.Errorf("split into %v and %v", primary, residual)
				}
				if diff := cmp.Diff(tc.rest, tr.Restriction()); diff != "" {
					t.Errorf("a refused split changed the restriction (-want +got):\n%s", diff)
				}
				return
			}
			want := tc.rest
			want.Turn++
			if diff := cmp.Diff(any(want), residual); diff != "" {
				t.Errorf("residual (-want +got):\n%s", diff)
			}
			if p := primary.(Restriction); !p.Ended || p.Position != tc.rest.Position || !tr.IsDone() || tr.Claim(id(6, 0)) {
				t.Errorf("primary %+v, done %v; want an ended one that claims nothing more", p, tr.IsDone())
			}
			if p, r, _ := tr.TrySplit(0); p != nil || r != nil {
				t.Error("the rest was split off twice")
			}
		})
	}
}

func TestTrackerIsDoneOnlyWhenNothingIsLeft(t *testing.T) {
	tr := NewTracker(Restriction{Stop: id(9, 0), Deadline: NoLimit, Remaining: 1})
	if tr.Claim(id(9, 0)); tr.IsDone() {
		t.Error("done by claiming: what is pending may still have to be acknowledged")
	}
	if tr.End(); !tr.IsDone() || !tr.Restriction().Ended || tr.splitOff() {
		t.Error("not done by End, or taken for split off")
	}
	if !NewTracker(Restriction{Ended: true}).IsDone() {
		t.Error("a tracker of an ended restriction is not done")
	}
}

func TestReplaceAndPassRespectTheEnd(t *testing.T) {
	ahead := endless(id(5, 0))
	ahead.Ahead = true
	tr := NewTracker(ahead)
	tr.Pass(id(4, 0))
	if got := tr.Restriction().Position; got != id(5, 0) {
		t.Errorf("Pass went back to %v", got)
	}
	if !tr.Restriction().Ahead {
		t.Error("a Pass to nowhere says that the stream has come to the start")
	}
	if tr.Pass(id(6, 0)); tr.Restriction().Ahead {
		t.Error("still ahead of the stream where the group has passed")
	}
	tr.Replace(id(1, 0), id(2, 0))
	want := endless(id(2, 0))
	want.Start, want.Epoch = id(1, 0), 1 // and no longer ahead of its stream
	if diff := cmp.Diff(want, tr.Restriction()); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	tr.End()
	ended := tr.Restriction()
	tr.Pass(id(7, 0))
	tr.Replace(id(8, 0), id(8, 0))
	if diff := cmp.Diff(ended, tr.Restriction()); diff != "" {
		t.Errorf("changed after its end (-want +got):\n%s", diff)
	}
}

func TestProgressCountsClaimsAndBacklog(t *testing.T) {
	tr := NewTracker(endless(id(5, 0)))
	tr.SetBacklog(7)
	tr.Claim(id(6, 0))
	tr.Claim(id(7, 0))
	if done, left := tr.GetProgress(); done != 2 || left != 7 {
		t.Errorf("progress %v, %v; want 2, 7", done, left)
	}
	tr.End()
	if done, left := tr.GetProgress(); done != 2 || left != 0 {
		t.Errorf("progress at the end %v, %v; want 2, 0", done, left)
	}
}

// TestTrackersHandOverWithoutGapOrRepeat drives chains of trackers, each made
// from the residual of the one before, with random operations, and compares
// them with a model.
func TestTrackersHandOverWithoutGapOrRepeat(t *testing.T) {
	for seed := range uint64(300) {
		chain := newChain(rand.New(rand.NewPCG(seed, 1)))
		for range 60 {
			if complaint := chain.step(); complaint != "" {
				t.Fatalf("seed %d: %s", seed, complaint)
			}
		}
	}
}

// chain is a tracker and what has to be true of it.
type chain struct {
	rng   *rand.Rand
	tr    *Tracker
	model Restriction
}

func newChain(rng *rand.Rand) *chain {
	r := endless(id(rng.Uint64N(5), 0))
	if rng.IntN(2) == 0 {
		r.Stop = id(40+rng.Uint64N(60), 0)
	}
	if rng.IntN(2) == 0 {
		r.Remaining = rng.Int64N(40)
	}
	return &chain{rng: rng, tr: NewTracker(r), model: r}
}

func (c *chain) step() string {
	switch next := id(c.model.Position.Ms+1+c.rng.Uint64N(3), c.rng.Uint64N(2)); c.rng.IntN(20) {
	default:
		ok := !c.model.Ended && !c.model.Stop.Less(next) && c.model.Remaining != 0
		if got := c.tr.Claim(next); got != ok {
			return "claim refused or granted against the bounds"
		}
		if ok {
			c.model.Position = next
			if c.model.Remaining > 0 {
				c.model.Remaining--
			}
		}
	case 0, 1:
		if c.tr.Pass(next); !c.model.Ended {
			c.model.Position = next
		}
	case 2:
		if c.tr.Replace(id(1, 0), id(2, 0)); !c.model.Ended {
			c.model.Start, c.model.Position, c.model.Epoch = id(1, 0), id(2, 0), c.model.Epoch+1
		}
	case 3, 4, 5:
		return c.checkpoint()
	case 6:
		if _, r, _ := c.tr.TrySplit(c.rng.Float64() + 1e-6); r != nil {
			return "split above 0"
		}
	case 7:
		if c.rng.IntN(5) == 0 {
			c.tr.End()
			c.model.Ended = true
		}
	}
	return c.compare()
}

func (c *chain) checkpoint() string {
	_, residual, err := c.tr.TrySplit(0)
	switch {
	case err != nil:
		return err.Error()
	case c.model.Ended != (residual == nil):
		return "an ended read was split, or one that goes on was not"
	case residual == nil:
		return c.compare()
	case !c.tr.IsDone() || c.tr.Claim(c.model.Position.Next()):
		return "the primary goes on beside its residual"
	}
	b := encodeRestriction(residual.(Restriction))
	restored, err := decodeRestriction(b)
	if err != nil {
		return err.Error()
	}
	c.tr = NewTracker(restored)
	c.model.Turn++
	return c.compare()
}

func (c *chain) compare() string {
	if err := c.tr.GetError(); err != nil {
		return err.Error()
	}
	if c.tr.IsDone() != c.model.Ended {
		return "done is not ended"
	}
	return cmp.Diff(c.model, c.tr.Restriction())
}

// TestSplitsRunBesideClaims: exactly one split succeeds, and the residual
// begins right after the last entry that was claimed.
func TestSplitsRunBesideClaims(t *testing.T) {
	for range 50 {
		tr := NewTracker(endless(id(0, 1)))
		var splits atomic.Int32
		var residual Restriction
		var wg sync.WaitGroup
		for range 3 {
			wg.Go(func() {
				tr.GetProgress()
				tr.IsBounded()
				if _, r, _ := tr.TrySplit(0); r != nil {
					splits.Add(1)
					residual = r.(Restriction)
				}
			})
		}
		last := id(0, 1)
		for next := last.Next(); tr.Claim(next); next = last.Next() {
			last = next
		}
		wg.Wait()
		if splits.Load() != 1 || residual.Position != last || tr.GetError() != nil {
			t.Fatalf("%d splits, residual after %v, last claimed %v, %v", splits.Load(), residual.Position, last, tr.GetError())
		}
	}
}

var _ beamsdf.BoundableRTracker = (*Tracker)(nil)

// TestReadGoesOnAfterTheRunnerTookACheckpoint: a runner may ask for a checkpoint
// while a bundle emits. The entry whose claim that refuses, and what was
// fetched with it, belong to the residual.
func TestReadGoesOnAfterTheRunnerTookACheckpoint(t *testing.T) {
	const entries, splitAfter = 20, 7
	r, plain := startReader(t, Defaults())
	for range entries {
		if err := plain.XAdd(t.Context(), &redis.XAddArgs{Stream: r.stream, Values: []string{"f", "v"}}).Err(); err != nil {
			t.Fatal(err)
		}
	}
	var got []message.EntryID
	var residual any
	tr := NewTracker(endless(message.EntryID{}))
	play := func() bool {
		r.begin(tr.Restriction())
		turn := testTurn(r, tr, func(m message.Message) {
			if got = append(got, m.ID); len(got) == splitAfter {
				_, residual, _ = tr.TrySplit(0)
			}
		})
		ended, err := turn.run(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		turn.close(t.Context())
		return ended
	}
	if ended := play(); ended || len(got) != splitAfter || residual == nil {
		t.Fatalf("ended %v, %d entries emitted, residual %v; want a turn that stops after %d", ended, len(got), residual, splitAfter)
	}
	tr = NewTracker(residual.(Restriction))
	if ended := play(); ended {
		t.Error("the read ended where the runner had only taken a checkpoint")
	}
	if len(got) != entries {
		t.Fatalf("%d entries emitted, want %d", len(got), entries)
	}
	for i := 1; i < len(got); i++ {
		if !got[i-1].Less(got[i]) {
			t.Errorf("%v emitted after %v", got[i], got[i-1])
		}
	}
}

// startReader gives a reader of a partition on a server of its own, whose group
// begins at 0-0, and a plain client of the server.
func startReader(t *testing.T, cfg Config) (*reader, *redis.Client) {
	t.Helper()
	s := redistest.Start(t)
	cfg.Conn, cfg.Group = s.Config(), "g"
	client, err := rdb.Open(cfg.Conn)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := client.CreateGroup(t.Context(), "in:0", cfg.Group, "0"); err != nil {
		t.Fatal(err)
	}
	return newReader(client, &cfg, "in:0"), s.Client()
}

// testTurn is a turn without a harness: acknowledgements are never due.
func testTurn(r *reader, tr *Tracker, emit func(message.Message)) *turn {
	return &turn{
		cfg: r.cfg, r: r, tr: tr, we: &WatermarkEstimator{ms: noWatermark}, scope: scopeOf(nil, r.cfg),
		emit:       func(_ beam.EventTime, m message.Message) { emit(m) },
		emitFailed: func(beam.EventTime, message.DeadLetter) {},
		later:      func(func(context.Context)) {},
	}
}
