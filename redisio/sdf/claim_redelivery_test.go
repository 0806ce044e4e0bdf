package sdf

import (
	"testing"
	"time"

	"example.com/beamredis/redisio/internal/telemetry"
	"example.com/beamredis/redisio/message"
)

func claimAfter(d time.Duration) func(*Config) {
	return func(cfg *Config) { cfg.ClaimIdle = d }
}

// leavePending has consumer take n entries that are there before the job.
func leavePending(r *runner, consumer string, n int) []message.EntryID {
	r.t.Helper()
	if exists, err := r.redis.Exists(r.t.Context(), stream).Result(); err == nil && exists == 0 {
		r.createGroup("0")
	}
	ids := r.add(stream, n)
	r.take(consumer, n)
	return ids
}

func TestPendingOfTheOwnNameIsRedeliveredAtEveryColdStart(t *testing.T) {
	for _, ack := range strategies {
		t.Run(string(ack), func(t *testing.T) {
			r := newRunner(t, ackBy(ack))
			redelivered := counting(telemetry.Redelivered)
			leavePending(r, r.cfg.Consumer, 3)
			r.open(stream)
			r.add(stream, 2)
			saved := r.checkpoint()
			r.bundle().want(upTo(1, 5)...)
			r.restore(saved)
			r.newWorker()
			b := r.bundle()
			wantNumbers(t, b.got[:3], 1, 2, 3)
			r.settleAcks()
			wantEqual(t, "pending redeliveries", r.pending()[:3], upTo(1, 3))
			b.commit()
			r.wantPending()
			r.newWorker()
			r.bundle().want()
			if n := redelivered(); n < 6 {
				t.Errorf("%d entries counted as redelivered, want at least 6", n)
			}
		})
	}
}

func TestRedeliveryOfManyEntriesSpansBundlesAndPages(t *testing.T) {
	r := newRunner(t, smallBundles(150))
	leavePending(r, r.cfg.Consumer, 2*claimPage+50)
	r.open(stream)
	r.add(stream, 1)
	wantNumbers(t, r.read(2*claimPage+51), upTo(1, 2*claimPage+51)...)
	r.wantPending()
}

func TestRedeliveriesAreEmittedWithoutAClaim(t *testing.T) {
	r := newRunner(t)
	leavePending(r, r.cfg.Consumer, 3)
	r.open(stream)
	before := r.restriction(stream).Position
	r.bundle().want(1, 2, 3)
	if got := r.restriction(stream).Position; got != before {
		t.Errorf("the position moved from %s to %s", before, got)
	}
}

func TestPendingOfOtherNamesIsTakenOverOnlyAfterTheIdleTime(t *testing.T) {
	r := newRunner(t, claimAfter(time.Hour))
	leavePending(r, "somebody", 3)
	r.open(stream)
	r.bundle().want().commit()
	r.wantPending(1, 2, 3)

	r.cfg.ClaimIdle = 50 * time.Millisecond
	r.newWorker()
	wantNumbers(t, r.read(3), 1, 2, 3)
	r.wantPending()
}

// The entries become idle while the reader is warm.
func TestWarmReaderTakesOverWhatBecomesIdle(t *testing.T) {
	r := newRunner(t, claimAfter(300*time.Millisecond))
	leavePending(r, "somebody", 3)
	r.open(stream)
	r.bundle().want().commit()
	wantNumbers(t, r.read(3), 1, 2, 3)
	r.wantPending()
}

// Entries after the start belong to the position, whoever holds them.
func TestPendingAfterStartIsNotTakenOver(t *testing.T) {
	r := newRunner(t, claimAfter(time.Millisecond))
	r.add(stream, 2)
	r.open(stream)
	r.bundle().want(1, 2)
	for range 3 {
		r.bundle().want()
	}
	r.wantPending(1, 2)
}

func TestThirdJobGetsWhatTheFirstTwoLeftPending(t *testing.T) {
	first := newRunner(t, smallBundles(4))
	first.add(stream, 4)
	first.open(stream)
	first.bundle().want(upTo(1, 4)...) // killed before its first finalization

	second := first.newJob()
	second.open(stream)
	second.add(stream, 2)
	second.bundle().want(upTo(1, 4)...) // killed, too
	second.bundle().want(5, 6)

	third := second.newJob()
	third.open(stream)
	third.add(stream, 1)
	wantNumbers(t, third.read(7), upTo(1, 7)...)
	third.wantPending()
}
