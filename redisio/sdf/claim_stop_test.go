package sdf

import (
	"context"
	"testing"
	"time"

	"github.com/apache/beam/sdks/v2/go/pkg/beam"

	"example.com/beamredis/redisio/message"
)

func stopAt(id message.EntryID) func(*Config) {
	return func(cfg *Config) { cfg.StopAt = &id }
}

func TestReadEndsAtItsStopBound(t *testing.T) {
	for name, tc := range map[string]struct {
		bound func(*Config)
		want  []int
	}{
		"latest":               {func(cfg *Config) { cfg.StopAtLatest = true }, upTo(1, 6)},
		"ID":                   {stopAt(message.EntryID{Ms: 400}), upTo(1, 4)},
		"ID between entries":   {stopAt(message.EntryID{Ms: 450}), upTo(1, 4)},
		"ID before all":        {stopAt(message.EntryID{Ms: 50}), []int{}},
		"most entries":         {func(cfg *Config) { cfg.MaxEntries = 3 }, upTo(1, 3)},
		"as many as there are": {func(cfg *Config) { cfg.MaxEntries = 6 }, upTo(1, 6)},
	} {
		for _, ack := range strategies {
			t.Run(name+" "+string(ack), func(t *testing.T) {
				r := newRunner(t, tc.bound, ackBy(ack))
				for n := 1; n <= 6; n++ {
					r.addAt(n*100, n)
				}
				r.open(stream)
				r.addAt(700, 7)
				wantNumbers(t, r.untilEnded(), tc.want...)
				r.settleAcks()
				r.wantPending()
				// What was fetched beyond the bound is given back.
				next := r.newJob(func(cfg *Config) { cfg.StopAtLatest, cfg.StopAt, cfg.MaxEntries = false, nil, 0 })
				next.open(stream)
				rest := 7 - len(tc.want)
				wantNumbers(t, next.read(rest), upTo(8-rest, 7)...)
			})
		}
	}
}

func TestStopInTheFutureWaitsForItsTime(t *testing.T) {
	r := newRunner(t, stopAt(message.FirstIDAt(time.Now().Add(700*time.Millisecond)).Prev()))
	r.add(stream, 3)
	r.open(stream)
	r.bundle().want(1, 2, 3).commit()
	r.add(stream, 2)
	wantNumbers(t, r.read(2), 4, 5)
	if r.ended() {
		t.Fatal("the read ended before its time")
	}
	wantNumbers(t, r.untilEnded())
	if now := message.FirstIDAt(time.Now()); now.Less(*r.cfg.StopAt) {
		t.Errorf("the read ended at %s, before its bound %s", now, r.cfg.StopAt)
	}
}

func TestReadEndsWhenItsTimeIsUp(t *testing.T) {
	r := newRunner(t, func(cfg *Config) { cfg.MaxTime = 300 * time.Millisecond })
	r.add(stream, 2)
	start := time.Now()
	r.open(stream)
	wantNumbers(t, r.untilEnded(), 1, 2)
	if took := time.Since(start); took < 250*time.Millisecond {
		t.Errorf("the read ended after %v, want 300ms", took)
	}
	r.wantPending()
}

func TestNothingIsGivenBackWhenSomebodyElseHasReadInBetween(t *testing.T) {
	r := newRunner(t, func(cfg *Config) { cfg.MaxEntries = 3 })
	r.add(stream, 6)
	r.open(stream)
	b := r.try(mishap{onEmit: func(m message.Message) {
		if n, _ := m.Get("n"); n != "1" {
			return
		}
		eventually(t, "the fetch ahead is back", func() bool { return len(r.reader().inflight) == 1 })
		r.add(stream, 2)
		r.take("somebody", 2)
	}}).want(1, 2, 3)
	r.must(b.err)
	b.commit()
	r.untilEnded()
	r.wantPending(upTo(4, 8)...)
	wantEqual(t, "last delivered", r.numberOf(r.groupInfo().LastDeliveredID), 8)
}

func TestFinishingWaitsForTheFinalizationOfEveryBundle(t *testing.T) {
	for _, ack := range strategies {
		t.Run(string(ack), func(t *testing.T) {
			r := newRunner(t, func(cfg *Config) { cfg.StopAtLatest = true }, ackBy(ack), smallBundles(2))
			r.add(stream, 4)
			r.open(stream)
			first, second := r.bundle(), r.bundle()
			for range 3 {
				r.bundle().commit()
			}
			second.commit()
			if r.bundle(); r.ended() {
				t.Fatal("the read ended while a bundle is not final")
			}
			first.commit()
			r.untilEnded()
			r.wantPending()
		})
	}
}

// A worker that is replaced after the last bundle knows nothing of what that
// bundle has to acknowledge.
func TestFinishingOnANewWorkerAcknowledgesWhatWasRead(t *testing.T) {
	for name, bound := range map[string]func(*Config){
		"most entries": func(cfg *Config) { cfg.MaxEntries = 3 },
		"latest":       func(cfg *Config) { cfg.StopAtLatest = true },
		"time":         func(cfg *Config) { cfg.MaxTime = 50 * time.Millisecond },
	} {
		t.Run(name, func(t *testing.T) {
			r := newRunner(t, bound)
			r.add(stream, 3)
			r.open(stream)
			r.bundle().want(1, 2, 3)
			deadline := r.restriction(stream).Deadline
			eventually(t, "the time is up", func() bool { return time.Now().UnixMilli() > deadline })
			r.newWorker()
			r.untilEnded()
			r.wantPending()
		})
	}
}

func TestFailedBundleDoesNotKeepTheReadFromEnding(t *testing.T) {
	r := newRunner(t, func(cfg *Config) { cfg.StopAtLatest = true })
	r.add(stream, 3)
	r.open(stream)
	if b := r.try(mishap{atEnd: true}); b.err == nil {
		t.Fatal("the bundle did not fail")
	}
	wantNumbers(t, r.untilEnded(), 1, 2, 3)
	r.wantPending()
}

func TestStopBoundWithWhatIsToBeRedelivered(t *testing.T) {
	for name, newer := range map[string]int{"nothing newer": 0, "something newer": 3} {
		t.Run(name, func(t *testing.T) {
			r := newRunner(t, func(cfg *Config) { cfg.StopAtLatest = true }, claimAfter(200*time.Millisecond))
			leavePending(r, "somebody", 2)
			leavePending(r, r.cfg.Consumer, 2)
			r.open(stream)
			r.add(stream, newer)
			got := map[int]bool{}
			for _, n := range numbersOf(t, r.untilEnded()) {
				got[n] = true
			}
			wantEqual(t, "emitted entries", got, map[int]bool{1: true, 2: true, 3: true, 4: true})
			r.wantPending()
			wantEqual(t, "last delivered", r.numberOf(r.groupInfo().LastDeliveredID), 4)
		})
	}
}

// The tail of the stream was deleted, so the server cannot tell the lag.
func TestReadEndsWhereTheLagIsUnknown(t *testing.T) {
	r := newRunner(t, func(cfg *Config) { cfg.StopAtLatest = true })
	ids := r.add(stream, 5)
	r.open(stream)
	r.must(r.redis.XDel(t.Context(), stream, ids[2].String(), ids[4].String()).Err())
	wantNumbers(t, r.untilEnded(), 1, 2, 4)
}

func TestStopEndsEveryReadAndAcknowledgesIt(t *testing.T) {
	r := newRunner(t, smallBundles(3))
	r.add(stream, 6)
	r.open(stream)
	r.bundle().want(1, 2, 3).commit()
	Stop()
	defer stopping.Store(false)
	wantNumbers(t, r.untilEnded())
	r.wantPending()
	if got, want := parseID(t, r.groupInfo().LastDeliveredID), r.restriction(stream).Position; got != want {
		t.Errorf("the group stands at %s, want %s: what was only fetched is given back", got, want)
	}
}

func TestTruncateEndsAtOnce(t *testing.T) {
	r := newRunner(t, smallBundles(2))
	r.add(stream, 5)
	r.open(stream)
	last := r.bundle().want(1, 2)
	tr := r.worker.fn.CreateTracker(r.restriction(stream))
	rest := r.worker.fn.TruncateRestriction(tr, partition(stream))
	if !rest.Ended || !rest.Bounded() || !tr.IsDone() {
		t.Fatalf("truncated to %+v, want an end", rest)
	}
	d := r.state[stream]
	d.restriction = r.encode(rest)
	r.state[stream] = d
	r.bundle().want()
	if !r.ended() {
		t.Error("the read goes on")
	}
	last.commit()
	r.wantPending()
}

func TestSplitsThatWouldBreakTheOrderAreRefused(t *testing.T) {
	r := newRunner(t)
	r.add(stream, 4)
	r.open(stream)
	tr := r.worker.fn.CreateTracker(r.restriction(stream))
	for _, fraction := range []float64{0.5, 0.01, 1} {
		if primary, residual, err := tr.TrySplit(fraction); primary != nil || residual != nil || err != nil {
			t.Errorf("split at %v: %v, %v, %v; want it refused", fraction, primary, residual, err)
		}
	}
	if got := r.worker.fn.SplitRestriction(partition(stream), r.restriction(stream)); len(got) != 1 {
		t.Errorf("split into %d restrictions at the start, want 1", len(got))
	}
}

// A runner may take the rest away while entries are emitted. The read does not
// end with that: the residual begins with the entry that could not be claimed.
func TestRestTakenAwayWhileEmittingIsReadByTheResidual(t *testing.T) {
	for name, another := range map[string]bool{"same worker": false, "another worker": true} {
		t.Run(name, func(t *testing.T) {
			r := newRunner(t)
			r.add(stream, 10)
			r.open(stream)
			tr := r.worker.fn.CreateTracker(r.restriction(stream))
			var residual any
			var got []message.Message
			r.turn(tr, func(_ beam.EventTime, m message.Message) {
				if got = append(got, m); len(got) == 4 {
					_, residual, _ = tr.TrySplit(0)
				}
			})
			wantNumbers(t, got, upTo(1, 4)...)
			r.state[stream] = durable{restriction: r.encode(residual.(Restriction)), watermark: noWatermark}
			if another {
				r.newWorker()
			}
			r.bundle().want(upTo(5, 10)...)
		})
	}
}

// turn gives stream one turn in a bundle of its own, with a tracker of the
// test's.
func (r *runner) turn(tr *Tracker, emit func(beam.EventTime, message.Message)) {
	r.t.Helper()
	r.inBundle(func(ctx context.Context) {
		_, err := r.worker.fn.ProcessElement(ctx, r.worker.fn.CreateWatermarkEstimator(noWatermark), nil, tr, partition(stream), emit, nil)
		r.must(err)
	})
}
