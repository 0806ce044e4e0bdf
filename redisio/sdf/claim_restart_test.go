package sdf

import (
	"testing"

	"example.com/beamredis/redisio/internal/telemetry"
)

func smallBundles(n int) func(*Config) {
	return func(cfg *Config) { cfg.BundleEntries = n }
}

func TestColdStartRereadsEverythingAfterPosition(t *testing.T) {
	r := newRunner(t, smallBundles(4))
	r.add(stream, 20)
	r.open(stream)
	r.bundle().want(upTo(1, 4)...)
	saved := r.checkpoint()
	r.bundle().want(upTo(5, 8)...)
	r.restore(saved)
	r.newWorker()
	r.bundle().want(upTo(5, 8)...)
	r.bundle().want(upTo(9, 12)...)
}

func TestWarmReaderDoesNotRereadWhatItFetched(t *testing.T) {
	r := newRunner(t, smallBundles(4))
	r.add(stream, 12)
	r.open(stream)
	r.bundle().want(upTo(1, 4)...)
	calls := r.commandCalls("xrange", "xpending")
	r.bundle().want(upTo(5, 8)...)
	r.bundle().want(upTo(9, 12)...)
	if n := calls(); n != 0 {
		t.Errorf("the reader asked %d times for what it had, want 0", n)
	}
}

func TestRollbackWithTheSameWorkerStartsCold(t *testing.T) {
	for _, replaced := range []bool{false, true} {
		r := newRunner(t, smallBundles(3))
		r.add(stream, 12)
		r.open(stream)
		r.bundle().want(upTo(1, 3)...).commit()
		saved := r.checkpoint()
		r.bundle().want(upTo(4, 6)...)
		r.bundle().want(upTo(7, 9)...)
		r.restore(saved)
		if replaced {
			r.newWorker()
		}
		r.bundle().want(upTo(4, 6)...)
		r.bundle().want(upTo(7, 9)...)
	}
}

// The position does not move with redeliveries, so it cannot tell that the
// bundle with them was rolled back.
func TestRollbackOfABundleWithRedeliveriesOnlyStartsCold(t *testing.T) {
	r := newRunner(t)
	r.createGroup("0")
	r.add(stream, 3)
	r.take(Defaults().Consumer, 3)
	r.open(stream)
	saved := r.checkpoint()
	r.bundle().want(1, 2, 3)
	r.restore(saved)
	r.bundle().want(1, 2, 3).commit()
	r.wantPending()
}

func TestPendingUpToPositionIsAcknowledgedOnlyByTheFirstFinalization(t *testing.T) {
	r := newRunner(t, smallBundles(4))
	r.add(stream, 8)
	r.open(stream)
	r.bundle().want(upTo(1, 4)...) // durable, but its worker dies before it hears of that
	r.newWorker()
	b := r.bundle().want(upTo(5, 8)...)
	r.wantPending(upTo(1, 8)...)
	b.commit()
	r.wantPending()
}

func TestColdStartWithNothingToReadStillAcknowledgesUpToPosition(t *testing.T) {
	r := newRunner(t)
	r.add(stream, 5)
	r.open(stream)
	r.bundle().want(upTo(1, 5)...)
	r.newWorker()
	b := r.bundle().want()
	r.wantPending(upTo(1, 5)...)
	b.commit()
	r.wantPending()
}

func TestFailedBundleIsNotAcknowledged(t *testing.T) {
	for name, m := range map[string]mishap{"at the end": {atEnd: true}, "while it emits": {atEmit: 3}} {
		t.Run(name, func(t *testing.T) {
			r := newRunner(t, smallBundles(5))
			r.add(stream, 5)
			r.open(stream)
			if b := r.try(m).commit(); b.err == nil {
				t.Fatal("the bundle did not fail")
			}
			r.wantPending(upTo(1, 5)...)
			r.bundle().want(upTo(1, 5)...).commit()
			r.wantPending()
		})
	}
}

// A runner may repeat a bundle on the same worker with the very restriction
// that the failed one had begun with.
func TestBundleThatFailedWhileEmittingIsRepeatedFromItsStart(t *testing.T) {
	r := newRunner(t, smallBundles(4))
	r.add(stream, 8)
	r.open(stream)
	r.bundle().want(upTo(1, 4)...)
	if b := r.try(mishap{atEmit: 3}); b.err == nil {
		t.Fatal("the bundle did not fail")
	}
	r.bundle().want(upTo(5, 8)...)
}

func TestAcknowledgementsAreCountedOncePerEntry(t *testing.T) {
	r := newRunner(t, smallBundles(4))
	acknowledged := counting(telemetry.Acknowledged)
	r.add(stream, 12)
	r.open(stream)
	r.read(12)
	if n := acknowledged(); n != 12 {
		t.Errorf("%d entries counted as acknowledged, want 12", n)
	}
}

func TestBundlesMayBeFinalizedInAnyOrder(t *testing.T) {
	r := newRunner(t, smallBundles(2))
	r.add(stream, 6)
	r.open(stream)
	first, second, third := r.bundle(), r.bundle(), r.bundle()
	second.commit()
	r.wantPending(1, 2, 5, 6)
	third.commit()
	r.wantPending(1, 2)
	first.commit()
	r.wantPending()
}
