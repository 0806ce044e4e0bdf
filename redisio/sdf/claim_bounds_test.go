package sdf

import (
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"example.com/beamredis/redisio/message"
)

func TestBundleIsBoundedByEntries(t *testing.T) {
	for _, ack := range strategies {
		r := newRunner(t, smallBundles(30), ackBy(ack))
		r.add(stream, 100)
		r.open(stream)
		for _, want := range []int{30, 30, 30, 10} {
			wantEqual(t, "entries in a bundle", len(r.bundle().got), want)
		}
	}
}

func TestBundleIsBoundedByBytes(t *testing.T) {
	r := newRunner(t, func(cfg *Config) { cfg.BundleBytes = 10_000 })
	r.addLarge(60, 1000)
	r.open(stream)
	for range 3 {
		if n := len(r.bundle().got); n < 8 || n > 10 {
			t.Errorf("%d entries of 1,000 bytes in a bundle of 10,000", n)
		}
	}
}

// addLarge adds n entries of the given size.
func (r *runner) addLarge(n, size int) {
	r.t.Helper()
	pipe := r.redis.Pipeline()
	for i := range n {
		pipe.XAdd(r.t.Context(), &redis.XAddArgs{Stream: stream, Values: []any{"n", i + 1, "data", strings.Repeat("x", size)}})
	}
	_, err := pipe.Exec(r.t.Context())
	r.must(err)
}

// What consumes the entries is slow: the time is looked at often enough.
func TestBundleIsBoundedByTime(t *testing.T) {
	r := newRunner(t, func(cfg *Config) { cfg.BundleTime = 100 * time.Millisecond })
	r.add(stream, 200)
	r.open(stream)
	b := r.try(mishap{onEmit: func(message.Message) { time.Sleep(10 * time.Millisecond) }})
	r.must(b.err)
	if n := len(b.got); n < 2 || n > 20 {
		t.Errorf("%d entries of 10 ms each in a bundle of 100 ms (it took %v)", n, b.took)
	}
}

func TestIdlePartitionsOfABundleShareOneWait(t *testing.T) {
	r := newRunner(t, func(cfg *Config) { cfg.IdleTime = 300 * time.Millisecond })
	r.open("a", "b", "c", "d", "e", "f")
	for range 3 {
		b := r.bundle()
		if b.took < 250*time.Millisecond || b.took > 600*time.Millisecond {
			t.Errorf("a bundle of six idle partitions took %v, want about 300ms", b.took)
		}
	}
}

func TestEntryThatArrivesWhileTheBundleIsOpenIsEmittedInIt(t *testing.T) {
	for _, ack := range strategies {
		t.Run(string(ack), func(t *testing.T) {
			r := newRunner(t, ackBy(ack), func(cfg *Config) { cfg.IdleTime, cfg.BundleTime = 900*time.Millisecond, 2*time.Second })
			r.open(stream)
			r.idleOnce()
			var added time.Time
			go func() {
				r.awaitBlockedClient()
				added = time.Now()
				r.add(stream, 1)
			}()
			var arrived time.Time
			b := r.try(mishap{onEmit: func(message.Message) { arrived = time.Now() }}).want(1)
			r.must(b.err)
			if took := arrived.Sub(added); took > 600*time.Millisecond {
				t.Errorf("the entry was emitted %v after it was added, want at once", took)
			}
		})
	}
}

// idleOnce lets the worker meet its partitions in a short bundle.
func (r *runner) idleOnce() {
	r.t.Helper()
	idle := r.worker.fn.Config.IdleTime
	r.worker.fn.Config.IdleTime = time.Millisecond
	r.bundle()
	r.worker.fn.Config.IdleTime = idle
}

// awaitBlockedClient waits until a client waits for entries.
func (r *runner) awaitBlockedClient() {
	eventually(r.t, "a reader waits", func() bool {
		info, err := r.redis.InfoMap(r.t.Context(), "clients").Result()
		return err == nil && info["Clients"]["blocked_clients"] != "0"
	})
}

func TestArrivalInALaterPartitionEndsTheWaitOfTheFirst(t *testing.T) {
	r := newRunner(t, func(cfg *Config) { cfg.IdleTime, cfg.BundleTime = 1500*time.Millisecond, 3*time.Second })
	r.open("first", "second", stream)
	r.idleOnce()
	r.idleOnce() // the thread is known by the bundle before
	done := make(chan struct{})
	go func() {
		defer close(done)
		r.awaitBlockedClient()
		r.add(stream, 1)
	}()
	emitted := time.Time{}
	start := time.Now()
	b := r.try(mishap{onEmit: func(message.Message) { emitted = time.Now() }}).want(1)
	<-done
	r.must(b.err)
	if took := emitted.Sub(start); took > time.Second {
		t.Errorf("the entry was emitted after %v, want at once", took)
	}
}

// The server cannot tell the lag after a deletion behind the group. That is no
// reason to believe that there is something to read.
func TestUnknownLagIsNoBacklog(t *testing.T) {
	r := newRunner(t, func(cfg *Config) { cfg.IdleTime = 300 * time.Millisecond })
	r.add(stream, 3)
	r.open(stream, "idle")
	r.bundle().want(1, 2, 3).commit()
	r.delete(r.add(stream, 1)...)
	r.newWorker()
	r.bundle()
	if lag, err := r.redis.XInfoGroups(t.Context(), stream).Result(); err != nil || lag[0].Lag != -1 {
		t.Fatalf("groups %+v, %v: the test needs an unknown lag", lag, err)
	}
	if size := r.worker.fn.RestrictionSize(partition(stream), r.restriction(stream)); size != 0 {
		t.Errorf("size %v of a partition that is read to its end, want 0", size)
	}
	for range 2 {
		if b := r.bundle("idle", stream); b.took < 200*time.Millisecond {
			t.Errorf("an idle bundle took %v, want about 300ms: it spins", b.took)
		}
	}
}

func TestSizeOfARestrictionIsItsBacklogInBytes(t *testing.T) {
	r := newRunner(t, smallBundles(100))
	r.addLarge(1000, 100)
	r.open(stream)
	r.bundle()
	size := r.worker.fn.RestrictionSize(partition(stream), r.restriction(stream))
	if size < 50_000 || size > 250_000 {
		t.Errorf("size %v, want about 900 entries of 140 bytes", size)
	}
	r.read(900)
	r.bundle()
	if size := r.worker.fn.RestrictionSize(partition(stream), r.restriction(stream)); size != 0 {
		t.Errorf("size %v at the end, want 0", size)
	}
}

func TestIdlePartitionsArePolledWithoutThePermissionToWait(t *testing.T) {
	r := newRunner(t, func(c *Config) { c.IdleTime = 200 * time.Millisecond })
	r.must(r.redis.Do(t.Context(), "acl", "setuser", "default", "-xread").Err())
	r.add(stream, 1)
	r.open(stream)
	r.bundle()
	calls := r.commandCalls("xreadgroup")
	start := time.Now()
	for time.Since(start) < time.Second {
		r.bundle()
	}
	if n := calls(); n > 15 {
		t.Errorf("%d fetches in a second of idling", n)
	}
	r.add(stream, 1)
	wantNumbers(t, r.read(1), 2)
}
