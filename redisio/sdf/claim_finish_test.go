package sdf

import (
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
)

func TestGivingBackThatFailsOnceIsTriedAgain(t *testing.T) {
	for _, ack := range strategies {
		t.Run(string(ack), func(t *testing.T) {
			r := newRunner(t, ackBy(ack), func(c *Config) { c.StopAtLatest = true })
			p := r.throughProxy()
			r.add(stream, 3)
			r.open(stream)
			r.add(stream, 3)
			p.mu.Lock()
			p.lose, p.drop = []byte("evalsha"), true
			p.mu.Unlock()
			wantNumbers(t, r.untilEnded(), 1, 2, 3)
			wantEqual(t, "losses", p.losses(), 1)
			r.settleAcks()
			r.wantPending()
			next := r.newJob(func(c *Config) { c.StopAtLatest = false })
			next.open(stream)
			wantNumbers(t, next.read(3), 4, 5, 6)
		})
	}
}

func TestReadThatHasCaughtUpTakesOverWhatOthersLeft(t *testing.T) {
	for name, newer := range map[string]int{"nothing newer": 0, "something newer": 2} {
		t.Run(name, func(t *testing.T) {
			r := newRunner(t, func(c *Config) { c.StopAtLatest = true }, claimAfter(300*time.Millisecond))
			leavePending(r, "somebody", 2)
			r.open(stream)
			if newer > 0 {
				r.add(stream, newer)
			}
			fetches := r.commandCalls("xreadgroup")
			wantNumbers(t, r.untilEnded(), 1, 2)
			r.wantPending()
			if n := fetches(); n > 5 {
				t.Errorf("%d fetches while nothing was left to read, want no busy loop", n)
			}
		})
	}
}

// Another consumer lives, holds an old entry and looks at it now and then.
func TestReadThatHasCaughtUpWaitsForALiveHolderForABoundedTime(t *testing.T) {
	r := newRunner(t, func(c *Config) { c.StopAtLatest = true }, claimAfter(300*time.Millisecond))
	leavePending(r, "somebody", 2)
	r.open(stream)
	r.add(stream, 1) // newer than the stop
	start := time.Now()
	eventually(t, "the read ends", func() bool {
		r.bundle().want().commit()
		r.must(r.redis.XReadGroup(t.Context(), &redis.XReadGroupArgs{Group: group, Consumer: "somebody", Streams: []string{stream, "0"}}).Err())
		return r.ended()
	})
	if took := time.Since(start); took < r.cfg.ClaimIdle || took > 10*r.cfg.ClaimIdle {
		t.Errorf("the read ended after %v, want it after a claim idle time of %v", took, r.cfg.ClaimIdle)
	}
	r.wantPending(1, 2)
	wantEqual(t, "last delivered", r.numberOf(r.groupInfo().LastDeliveredID), 2)
}

func TestSignalDoesNotWaitForWhatOthersHold(t *testing.T) {
	r := newRunner(t, func(c *Config) { c.StopAtLatest = true }, claimAfter(time.Hour))
	leavePending(r, "somebody", 2)
	r.open(stream)
	if r.bundle().want().commit(); r.ended() {
		t.Fatal("ended without waiting")
	}
	Stop()
	defer stopping.Store(false)
	if r.bundle().want(); !r.ended() {
		t.Error("the read goes on")
	}
	r.wantPending(1, 2)
}

func TestReadEndsWhereGivingBackIsNotPermitted(t *testing.T) {
	for _, ack := range strategies {
		t.Run(string(ack), func(t *testing.T) {
			r := newRunner(t, ackBy(ack), func(c *Config) { c.StopAtLatest = true })
			r.must(r.redis.Do(t.Context(), "acl", "setuser", "default", "-eval", "-evalsha").Err())
			r.add(stream, 3)
			r.open(stream)
			r.add(stream, 2)
			wantNumbers(t, r.untilEnded(), 1, 2, 3)
			r.settleAcks()
			if ack == NoAck {
				r.wantPending()
				return
			}
			r.wantPending(4, 5)
			next := r.newJob(func(c *Config) { c.StopAtLatest = false })
			next.open(stream)
			wantNumbers(t, next.read(2), 4, 5)
		})
	}
}

// A bundle becomes final after the next one failed and was tried again.
func TestFinishingWaitsForTheFinalizationOfBundlesAcrossAColdStart(t *testing.T) {
	for name, late := range map[string]bool{"commit before the retry": false, "commit after the retry": true} {
		t.Run(name, func(t *testing.T) {
			r := newRunner(t, func(c *Config) { c.StopAtLatest = true }, smallBundles(2))
			r.add(stream, 4)
			r.open(stream)
			first := r.bundle().want(1, 2)
			if b := r.try(mishap{atEnd: true}); b.err == nil {
				t.Fatal("did not fail")
			}
			if !late {
				first.commit()
			}
			second := r.bundle().want(3, 4)
			if late {
				first.commit()
			}
			for range 3 {
				r.bundle().commit()
			}
			if r.ended() {
				t.Error("the read ended although the second bundle is not final")
			}
			second.commit()
			r.untilEnded()
			r.wantPending()
		})
	}
}

func TestFinalizationMayComeWhileTheReaderStartsCold(t *testing.T) {
	r := newRunner(t, smallBundles(2))
	r.add(stream, 4)
	r.open(stream)
	first := r.bundle().want(1, 2)
	saved := r.checkpoint()
	done := make(chan struct{})
	r.bundle()
	r.restore(saved)
	go func() { defer close(done); first.commit() }()
	r.bundle().want(3, 4)
	<-done
}

// The runner has used the ID of a bundle again: that one is never final, and the
// read does not wait for it. A later bundle acknowledges what was in it.
func TestFinishingDoesNotWaitForABundleWhoseIDWasUsedAgain(t *testing.T) {
	r := newRunner(t, func(c *Config) { c.StopAtLatest = true }, smallBundles(2))
	r.add(stream, 4)
	r.open(stream)
	r.bundle().want(1, 2)
	r.worker.ran--
	r.bundle().want(3, 4).commit()
	wantNumbers(t, r.untilEnded())
	r.wantPending()
}
