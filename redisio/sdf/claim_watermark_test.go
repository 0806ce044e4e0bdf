package sdf

import (
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"example.com/beamredis/redisio/message"
)

func (r *runner) watermark() int64 { return r.state[stream].watermark }

// serverTime is the server's clock in ms.
func (r *runner) serverTime() int64 {
	r.t.Helper()
	now, err := r.redis.Time(r.t.Context()).Result()
	r.must(err)
	return now.UnixMilli()
}

func TestWatermarkWhileBehindIsTheLastEmittedID(t *testing.T) {
	r := newRunner(t, smallBundles(2))
	for n := 1; n <= 5; n++ {
		r.addAt(n*1000, n)
	}
	r.open(stream)
	r.bundle().want(1, 2)
	wantEqual(t, "watermark", r.watermark(), 2000)
	r.bundle().want(3, 4)
	wantEqual(t, "watermark", r.watermark(), 4000)
	r.newWorker()
	r.bundle().want(5)
	if got := r.watermark(); got < 5000 {
		t.Errorf("watermark %d, want 5000 at least", got)
	}
}

func TestWatermarkOfAnEmptyPartitionIsTheServersClockBeforeTheRead(t *testing.T) {
	r := newRunner(t)
	r.open(stream)
	for range 3 {
		earliest := r.serverTime() - emptyFor.Milliseconds()
		r.bundle().want()
		latest := r.serverTime()
		if got := r.watermark(); got < earliest || got > latest {
			t.Errorf("watermark %d, want it in [%d, %d]", got, earliest, latest)
		}
	}
	next := r.add(stream, 1)[0]
	if got := r.watermark(); int64(next.Ms) < got {
		t.Errorf("an entry was added at %d, before the watermark %d", next.Ms, got)
	}
}

func TestWatermarkNeverGoesBackWhateverHappens(t *testing.T) {
	r := newRunner(t, smallBundles(3))
	r.open(stream)
	last := r.watermark()
	step := func() {
		r.bundle().commit()
		if got := r.watermark(); got < last {
			t.Fatalf("watermark went back from %d to %d", last, got)
		}
		last = r.watermark()
	}
	for i := range 6 {
		step()
		r.add(stream, 4)
		step()
		if i%2 == 1 {
			r.newWorker()
			step()
		}
	}
}

func TestWatermarkIsHeldAtTheOldestRedeliveryStillToCome(t *testing.T) {
	r := newRunner(t, claimAfter(300*time.Millisecond))
	r.addAt(1000, 1)
	r.addAt(2000, 2)
	r.createGroup("0")
	r.take("somebody", 2)
	r.must(r.redis.XAck(t.Context(), stream, group, "1000-0").Err())
	r.open(stream)
	r.bundle().want()
	if got := r.watermark(); got > 2000 {
		t.Errorf("watermark %d while entry 2000-0 is still to be redelivered", got)
	}
	wantNumbers(t, r.read(1), 2)
	r.bundle().want().commit()
	if got, now := r.watermark(), r.serverTime(); got < now-int64(patience/time.Millisecond) {
		t.Errorf("watermark %d after the redelivery, want about %d", got, now)
	}
}

func TestWatermarkDoesNotMoveBeforeTheOwnRedeliveriesAreEmitted(t *testing.T) {
	r := newRunner(t, smallBundles(2))
	leavePending(r, r.cfg.Consumer, 5)
	r.open(stream)
	for _, want := range [][]int{{1, 2}, {3, 4}} {
		r.bundle().want(want...)
		if got := r.watermark(); got != noWatermark {
			t.Errorf("watermark %d after %v, want none", got, want)
		}
	}
	r.bundle().want(5)
	if r.bundle(); r.watermark() == noWatermark {
		t.Error("no watermark after all redeliveries")
	}
}

func TestWatermarkIsLessTheSkew(t *testing.T) {
	r := newRunner(t, func(cfg *Config) { cfg.Skew = 700 * time.Millisecond }, smallBundles(1))
	r.addAt(1000, 1)
	r.addAt(2000, 2)
	r.open(stream)
	r.bundle().want(1)
	wantEqual(t, "watermark", r.watermark(), 300)
}

func TestWatermarkIsNeverAboveTheServersClock(t *testing.T) {
	r := newRunner(t)
	future := message.FirstIDAt(time.Now().Add(time.Hour))
	r.addAt(int(future.Ms), 1)
	r.open(stream)
	r.bundle().want(1)
	if got, now := r.watermark(), r.serverTime(); got > now {
		t.Errorf("watermark %d, the server's clock %d", got, now)
	}
}

func TestEventTimeIsThatOfTheID(t *testing.T) {
	r := newRunner(t)
	r.addAt(1234, 1)
	r.open(stream)
	b := r.bundle().want(1)
	wantEqual(t, "event time", b.times[0], eventTime(1234))
}

// addEvent adds entry n with its event time, in ms, in the field at.
func (r *runner) addEvent(n int, at int64) {
	r.t.Helper()
	r.must(r.redis.XAdd(r.t.Context(), &redis.XAddArgs{Stream: stream, Values: []any{"n", n, "at", at}}).Err())
}

func byEventTimes(behind, idle time.Duration) func(*Config) {
	return func(cfg *Config) {
		cfg.EventTimeField, cfg.FollowEventTimes, cfg.OutOfOrderness, cfg.IdleAdvance = "at", true, behind, idle
	}
}

func TestWatermarkFollowsEventTimesAndNeverGoesBack(t *testing.T) {
	r := newRunner(t, smallBundles(1), byEventTimes(2*time.Second, time.Hour))
	for n, at := range []int64{10_000, 9000, 4000, 15_000, 14_000} {
		r.addEvent(n+1, at)
	}
	r.open(stream)
	for n, want := range []int64{8000, 8000, 8000, 13_000, 13_000} {
		r.bundle().want(n + 1)
		wantEqual(t, "watermark", r.watermark(), want)
	}
	r.newWorker()
	r.addEvent(6, 1000)
	r.bundle().want(6)
	wantEqual(t, "watermark after a restart", r.watermark(), 13_000)
	r.bundle().want()
	wantEqual(t, "watermark of a partition that is not idle for long", r.watermark(), 13_000)
}

func TestIdlePartitionFollowsTheClockInTime(t *testing.T) {
	r := newRunner(t, byEventTimes(time.Minute, 50*time.Millisecond))
	r.addEvent(1, 5000)
	r.open(stream)
	r.bundle().want(1)
	started := time.Now()
	for r.watermark() < r.serverTime()-2*time.Minute.Milliseconds() {
		if time.Since(started) > time.Minute {
			t.Fatalf("watermark %d, want it about a minute behind the clock", r.watermark())
		}
		r.bundle().want()
	}
	if got, most := r.watermark(), r.serverTime()-time.Minute.Milliseconds(); got > most {
		t.Errorf("watermark %d, want it at most %d", got, most)
	}
}

func TestEventWatermarkWaitsForRedeliveries(t *testing.T) {
	r := newRunner(t, claimAfter(time.Hour), byEventTimes(0, 50*time.Millisecond))
	r.addEvent(1, 1000)
	r.createGroup("0")
	r.take("somebody", 1)
	r.addEvent(2, 9000)
	r.open(stream)
	r.bundle().want(2)
	wantEqual(t, "watermark before the redelivery", r.watermark(), noWatermark)
	r.cfg.ClaimIdle = time.Millisecond
	r.newWorker()
	for deadline, got := time.Now().Add(time.Minute), 0; got == 0; {
		if time.Now().After(deadline) {
			t.Fatal("the entry of the other consumer was not taken over within a minute")
		}
		got = len(r.bundle().got)
	}
	for deadline := time.Now().Add(time.Minute); r.watermark() < 9000; r.bundle() {
		if time.Now().After(deadline) {
			t.Fatalf("watermark %d, want 9000 at least", r.watermark())
		}
	}
}
