package sdf

import (
	"testing"
	"time"

	"example.com/beamredis/redisio/internal/telemetry"
	"example.com/beamredis/redisio/message"
)

// trim leaves the newest n entries.
func (r *runner) trim(n int64) {
	r.t.Helper()
	r.must(r.redis.XTrimMaxLen(r.t.Context(), stream, n).Err())
}

func (r *runner) delete(ids ...message.EntryID) {
	r.t.Helper()
	texts := make([]string, len(ids))
	for i, id := range ids {
		texts[i] = id.String()
	}
	r.must(r.redis.XDel(r.t.Context(), stream, texts...).Err())
}

func TestEntriesTrimmedBeforeTheyAreReadAreCountedExactly(t *testing.T) {
	for _, ack := range strategies {
		t.Run(string(ack), func(t *testing.T) {
			r := newRunner(t, ackBy(ack))
			lost := counting(telemetry.Lost)
			r.add(stream, 10)
			r.open(stream)
			wantNumbers(t, r.read(10), upTo(1, 10)...)

			r.add(stream, 10) // trimmed before the reader wakes for them? It may have seen some.
			r.newWorker()
			r.trim(4)
			got := len(r.read(4))
			wantEqual(t, "entries read", got, 4)
			wantEqual(t, "entries counted as lost", lost(), int64(6))

			r.bundle().want()
			r.trim(0) // all of this was read
			r.newWorker()
			r.bundle().want()
			wantEqual(t, "entries counted as lost", lost(), int64(6))
		})
	}
}

func TestWarmReaderCountsWhatIsTrimmedInFrontOfIt(t *testing.T) {
	r := newRunner(t, smallBundles(5), func(cfg *Config) { cfg.Ack = NoAck })
	lost := counting(telemetry.Lost)
	r.add(stream, 20)
	r.open(stream)
	r.bundle().want(upTo(1, 5)...)
	r.trim(8)
	r.bundle().want(upTo(13, 17)...)
	wantEqual(t, "entries counted as lost", lost(), int64(7))
	r.trim(0)
	r.add(stream, 1)
	r.bundle().want(21)
	wantEqual(t, "entries counted as lost", lost(), int64(10))
}

func TestStreamTrimmedToNothingBeforeItIsReadIsALoss(t *testing.T) {
	r := newRunner(t)
	lost := counting(telemetry.Lost)
	r.add(stream, 3)
	r.open(stream)
	r.bundle().want(1, 2, 3).commit()
	r.add(stream, 5)
	r.trim(0)
	r.newWorker()
	r.bundle().want()
	wantEqual(t, "entries counted as lost", lost(), int64(5))
}

func TestWhatWasTrimmedBeforeTheJobBeganIsNoLoss(t *testing.T) {
	r := newRunner(t)
	lost, unknown := counting(telemetry.Lost), counting(telemetry.LossesUnknown)
	r.add(stream, 10)
	r.trim(4)
	r.open(stream)
	wantNumbers(t, r.read(4), upTo(7, 10)...)
	r.newWorker()
	r.bundle().want()
	wantEqual(t, "losses", []int64{lost(), unknown()}, []int64{0, 0})
}

// The group was set by hand, so the server does not know how many entries it
// has read.
func TestLossThatCannotBeCountedIsReportedOnce(t *testing.T) {
	r := newRunner(t, startAt(Start{Latest: true}))
	unknown := counting(telemetry.LossesUnknown)
	r.createGroup("0")
	ids := r.add(stream, 10)
	r.delete(ids[1])
	r.setGroup(ids[3])
	r.open(stream)
	r.trim(3)
	wantNumbers(t, r.read(3), 8, 9, 10)
	r.newWorker()
	r.bundle().want()
	if n := unknown(); n != 1 {
		t.Errorf("%d uncounted losses, want 1", n)
	}
}

func TestReadEntriesMayBeTrimmedOrDeletedWithoutALoss(t *testing.T) {
	r := newRunner(t)
	lost, unknown := counting(telemetry.Lost), counting(telemetry.LossesUnknown)
	r.open(stream)
	for range 4 {
		ids := r.add(stream, 5)
		r.read(5)
		r.delete(ids[1], ids[3])
		r.add(stream, 2)
		r.read(2)
		r.trim(1)
		r.newWorker()
		r.bundle().want()
	}
	wantEqual(t, "losses", []int64{lost(), unknown()}, []int64{0, 0})
}

func TestPendingEntriesThatAreGoneAreCountedAndLeaveThePendingList(t *testing.T) {
	for name, remove := range map[string]func(r *runner, ids []message.EntryID){
		"trimmed": func(r *runner, _ []message.EntryID) { r.trim(3) },
		"deleted": func(r *runner, ids []message.EntryID) { r.delete(ids[0], ids[1]) },
	} {
		t.Run("after the position "+name, func(t *testing.T) {
			r := newRunner(t)
			lost := counting(telemetry.Lost)
			ids := r.add(stream, 5)
			r.open(stream)
			r.try(mishap{atEnd: true}).want(upTo(1, 5)...)
			r.newWorker()
			remove(r, ids)
			wantNumbers(t, r.read(3), 3, 4, 5)
			r.wantPending()
			wantEqual(t, "entries counted as lost", lost(), int64(2))
		})
		for _, consumer := range []string{Defaults().Consumer, "somebody"} {
			t.Run("at or before the start "+name+" of "+consumer, func(t *testing.T) {
				r := newRunner(t, claimAfter(10*time.Millisecond))
				lost := counting(telemetry.Lost)
				ids := leavePending(r, consumer, 5)
				r.open(stream)
				remove(r, ids)
				wantNumbers(t, r.read(3), 3, 4, 5)
				r.untilNothingPending()
				wantEqual(t, "entries counted as lost", lost(), int64(2))
			})
		}
	}
}
