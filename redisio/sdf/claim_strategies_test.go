package sdf

import (
	"testing"

	"example.com/beamredis/redisio/internal/telemetry"
	"example.com/beamredis/redisio/message"
)

func ackBy(s AckStrategy) func(*Config) { return func(cfg *Config) { cfg.Ack = s } }

var strategies = []AckStrategy{AckOnCheckpoint, AckOnEmit, NoAck}

func TestEntriesLeaveThePendingListWhenTheStrategySaysSo(t *testing.T) {
	for _, tc := range []struct {
		ack         AckStrategy
		afterBundle []int
	}{
		{AckOnCheckpoint, upTo(1, 5)},
		{AckOnEmit, []int{}},
		{NoAck, []int{}},
	} {
		t.Run(string(tc.ack), func(t *testing.T) {
			r := newRunner(t, ackBy(tc.ack))
			r.add(stream, 5)
			r.open(stream)
			b := r.bundle().want(upTo(1, 5)...)
			r.settleAcks()
			r.wantPending(tc.afterBundle...)
			b.commit()
			r.wantPending()
		})
	}
}

// settleAcks waits until the acknowledgements that are under way are done.
func (r *runner) settleAcks() {
	r.t.Helper()
	reader := r.reader()
	eventually(r.t, "acknowledgements are sent", func() bool {
		reader.acks.mu.Lock()
		defer reader.acks.mu.Unlock()
		return !reader.acks.sending
	})
}

// A restart from position P with the group at L: 1 to 4 are committed, 5 to 12
// are delivered, and 7 and 10 of those were acknowledged by somebody.
func TestRestartReadsAgainWhatTheStrategySays(t *testing.T) {
	for _, tc := range []struct {
		ack  AckStrategy
		want []int
	}{
		{AckOnCheckpoint, upTo(5, 14)},
		{AckOnEmit, []int{5, 6, 8, 9, 11, 12, 13, 14}},
		{NoAck, []int{13, 14}},
	} {
		t.Run(string(tc.ack), func(t *testing.T) {
			r := newRunner(t, ackBy(tc.ack))
			ids := r.add(stream, 4)
			r.open(stream)
			r.bundle().want(upTo(1, 4)...).commit()
			ids = append(ids, r.add(stream, 8)...)
			r.take(r.cfg.Consumer, 4)
			r.take("somebody", 4)
			r.must(r.redis.XAck(t.Context(), stream, group, ids[6].String(), ids[9].String()).Err())
			r.add(stream, 2)
			r.newWorker()
			r.bundle().want(tc.want...).commit()
			r.newWorker()
			r.bundle().want()
		})
	}
}

// On-emit: what a restart passed over is never read again, not even by the
// next restart.
func TestOnEmitPassesOverWhatIsNotPendingForGood(t *testing.T) {
	r := newRunner(t, ackBy(AckOnEmit))
	r.open(stream)
	saved := r.checkpoint()
	r.add(stream, 10)
	r.bundle().want(upTo(1, 10)...).commit()
	r.restore(saved)
	r.newWorker()
	r.bundle().want().commit()
	r.restore(saved)
	r.newWorker()
	r.add(stream, 2)
	r.bundle().want(11, 12)
}

func TestOnEmitDoesNotAcknowledgeTheEntryWhoseEmissionFailed(t *testing.T) {
	r := newRunner(t, ackBy(AckOnEmit))
	r.add(stream, 6)
	r.open(stream)
	if b := r.try(mishap{atEmit: 4}); b.err == nil {
		t.Fatal("the bundle did not fail")
	}
	r.settleAcks()
	r.newWorker()
	r.bundle().want(4, 5, 6)
}

func TestNoAckFetchesNothingAhead(t *testing.T) {
	r := newRunner(t, ackBy(NoAck), smallBundles(7))
	r.add(stream, 30)
	r.open(stream)
	for first := 1; first <= 21; first += 7 {
		r.bundle().want(upTo(first, first+6)...)
		if got, want := parseID(t, r.groupInfo().LastDeliveredID), r.restriction(stream).Position; got != want {
			t.Fatalf("the group stands at %s, the position is %s: what lies between is delivered and not emitted", got, want)
		}
	}
	r.newWorker() // a clean stop, such as a savepoint
	r.bundle().want(upTo(22, 28)...)
}

// With no-ack the gap, and what was delivered along with its discovery, are
// nowhere but in the reader: a clean stop between two bundles must not lose
// them.
func TestNoAckEmitsAGapInOneBundle(t *testing.T) {
	r := newRunner(t, ackBy(NoAck), smallBundles(4))
	r.open(stream)
	r.bundle().want()
	r.add(stream, 10)
	r.take("somebody", 6)
	var got []int
	for len(got) == 0 {
		got = numbersOf(t, r.bundle().got)
	}
	r.newWorker()
	for range 3 {
		got = append(got, numbersOf(t, r.bundle().got)...)
	}
	wantEqual(t, "emitted entries", got, upTo(1, 10))
}

func TestGapIsReadInOrderUnderEveryStrategy(t *testing.T) {
	for _, ack := range strategies {
		t.Run(string(ack), func(t *testing.T) {
			r := newRunner(t, ackBy(ack))
			healed := counting(telemetry.GapsHealed)
			r.add(stream, 3)
			r.open(stream)
			r.bundle().want(1, 2, 3).commit()
			r.add(stream, 6)
			r.take("somebody", 4)
			wantNumbers(t, r.read(6), upTo(4, 9)...)
			if n := healed(); n != 4 {
				t.Errorf("%d entries counted as read from a gap, want 4", n)
			}
			r.add(stream, 1)
			wantNumbers(t, r.read(1), 10)
			r.settleAcks()
			if ack != NoAck { // what somebody else holds on to is acknowledged as well
				r.wantPending()
			}
		})
	}
}

func TestTwoReadersOfOneGroupBothGetEverything(t *testing.T) {
	a := newRunner(t, smallBundles(5))
	a.createGroup("0")
	b := a.newJob()
	a.open(stream)
	b.open(stream)
	var gotA, gotB []int
	for range 4 {
		a.add(stream, 7)
		gotA = append(gotA, numbersOf(t, a.read(7))...)
		a.add(stream, 3)
		gotB = append(gotB, numbersOf(t, b.read(10))...)
		gotA = append(gotA, numbersOf(t, a.read(3))...)
	}
	wantEqual(t, "read by the first", gotA, upTo(1, 40))
	wantEqual(t, "read by the second", gotB, upTo(1, 40))
}

func TestNoAckStopWithinAGapLosesNothing(t *testing.T) {
	r := newRunner(t, ackBy(NoAck))
	r.add(stream, 3)
	r.open(stream)
	r.bundle().want(1, 2, 3).commit()
	r.add(stream, 2)
	r.take("somebody", 2)
	r.add(stream, 3)
	defer stopping.Store(false)
	var got []message.Message
	for range 50 {
		if r.ended() {
			break
		}
		b := r.try(mishap{onEmit: func(m message.Message) {
			if n, _ := m.Get("n"); n == "4" {
				Stop()
			}
		}})
		r.must(b.err)
		got = append(got, b.commit().got...)
	}
	stopping.Store(false)
	next := r.newJob()
	next.open(stream)
	for range 5 {
		got = append(got, next.bundle().commit().got...)
	}
	wantNumbers(t, got, upTo(4, 8)...)
}

// Nothing is fetched that a bound on the number of entries would leave over, so
// that nothing has to be given back; what a gap leaves over is given back.
func TestNoAckWithMostEntriesLeavesTheRestToTheNextJob(t *testing.T) {
	for name, gap := range map[string]int{"no gap": 0, "a gap": 3} {
		t.Run(name, func(t *testing.T) {
			r := newRunner(t, ackBy(NoAck), func(c *Config) { c.MaxEntries = 5 })
			r.add(stream, 3)
			r.open(stream)
			r.bundle().want(1, 2, 3).commit()
			r.add(stream, 6)
			if gap > 0 {
				r.take("somebody", gap)
			}
			fetches := r.commandCalls("evalsha", "eval")
			wantNumbers(t, r.untilEnded(), 4, 5)
			if gap == 0 && fetches() > 0 {
				t.Error("something had to be given back")
			}
			next := r.newJob(func(c *Config) { c.MaxEntries = 0 })
			next.open(stream)
			wantNumbers(t, next.read(4), upTo(6, 9)...)
		})
	}
}
