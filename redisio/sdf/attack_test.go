package sdf

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"example.com/beamredis/redisio/internal/finalize"
	"example.com/beamredis/redisio/message"
)

// A fetch whose reply is lost, near the stop time: everything before the stop
// is read all the same.
func TestAttackStopTimeAfterALostFetch(t *testing.T) {
	r := newRunner(t, ackBy(NoAck), stopAt(message.FirstIDAt(time.Now().Add(1500*time.Millisecond)).Prev()))
	p := r.throughProxy()
	r.open(stream)
	r.bundle().want()
	r.add(stream, 500)
	p.loseReplyTo("xreadgroup")
	eventually(t, "the fetch is lost", func() bool { r.bundle().want().commit(); return p.losses() == 1 })
	eventually(t, "stop has passed", func() bool { return r.cfg.StopAt.Less(message.FirstIDAt(time.Now())) })
	rd := r.reader()
	t.Logf("drained %v phase %v doubt %v serverMs %d stop %v", rd.drained, rd.phase, rd.doubt, rd.serverMs, r.cfg.StopAt)
	t.Logf("group at %d", r.numberOf(r.groupInfo().LastDeliveredID))
	got := numbersOf(t, r.bundle().commit().got)
	t.Logf("first bundle %d, ended %v, drained %v", len(got), r.ended(), rd.drained)
	got = append(got, numbersOf(t, r.untilEnded())...)
	if len(got) != 500 {
		t.Errorf("%d entries, want 500", len(got))
	}
}

func TestAttackLostClaimRepliesCondemnNobody(t *testing.T) {
	r := newRunner(t, limited(3))
	p := r.throughProxy()
	leavePending(r, r.cfg.Consumer, 3)
	r.open(stream)
	for i := range 2 {
		p.loseReplyTo("xclaim")
		eventually(t, "lost", func() bool { r.bundle(); return p.losses() == i+1 })
	}
	var dead []message.DeadLetter
	var got []message.Message
	for range 10 {
		b := r.bundle().commit()
		dead = append(dead, b.failed...)
		got = append(got, b.got...)
	}
	if len(dead) > 0 {
		t.Errorf("%d entries condemned without ever being emitted: %s", len(dead), dead[0].Reason)
	}
	wantNumbers(t, got, 1, 2, 3)
}

func TestAttackInflightIsWithinTheBudget(t *testing.T) {
	r := newRunner(t, smallBundles(50), func(c *Config) { c.BundleTime = 10 * time.Second })
	var names []string
	value := strings.Repeat("x", 1000)
	for i := range 120 {
		name := fmt.Sprintf("s%d", i)
		names = append(names, name)
		pipe := r.redis.Pipeline()
		for n := range 1200 {
			pipe.XAdd(t.Context(), &redis.XAddArgs{Stream: name, Values: []any{"n", n, "v", value}})
		}
		_, err := pipe.Exec(t.Context())
		r.must(err)
	}
	before := fetchedBytes.Load()
	r.open(names...)
	r.bundle()
	r.bundle()
	time.Sleep(500 * time.Millisecond)
	held := fetchedBytes.Load() - before
	inflight := 0
	m := r.readers()
	for _, rd := range m {
		if rd.inflight != nil {
			f := <-rd.inflight
			inflight += f.fetched.Bytes
			rd.inflight <- f
		}
	}
	t.Logf("held %d MiB, in flight and uncounted %d MiB", held>>20, inflight>>20)
	if n := max(held, int64(inflight)); n > fetchBudget+(2<<20) {
		t.Errorf("%d MiB fetched ahead, the budget is %d", n>>20, fetchBudget>>20)
	}
}

func TestAttackNoXreadPermission(t *testing.T) {
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
	t.Logf("%d fetches in a second of idling", calls())
	if calls() > 50 {
		t.Error("busy loop")
	}
}

func TestAttackGiveBackThatFailsOnce(t *testing.T) {
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

func TestAttackNoAckStopWithinAGap(t *testing.T) {
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

func TestAttackCaughtUpIncludesWhatOthersHold(t *testing.T) {
	for name, newer := range map[string]int{"nothing newer": 0, "something newer": 2} {
		t.Run(name, func(t *testing.T) {
			r := newRunner(t, func(c *Config) { c.StopAtLatest = true }, claimAfter(time.Second))
			leavePending(r, "somebody", 2)
			r.open(stream)
			if newer > 0 {
				r.add(stream, newer)
			}
			got := r.untilEnded()
			wantNumbers(t, got, 1, 2)
			r.wantPending()
		})
	}
}

func TestAttackErrorStreamHiccup(t *testing.T) {
	r := newRunner(t, func(c *Config) { c.EventTimeField, c.ErrorStream = "missing", "theerrorstream" })
	p := r.throughProxy()
	r.add(stream, 1)
	r.open(stream)
	p.loseReplyTo("theerrorstream")
	if b := r.try(mishap{}); b.err != nil {
		t.Errorf("one lost reply fails the bundle: %v", b.err)
	}
}

// Skipping costs no idle wait.
func TestAttackGroupSetBackFarWarm(t *testing.T) {
	r := newRunner(t, func(c *Config) { c.IdleTime = 200 * time.Millisecond })
	r.add(stream, 50_000)
	r.open(stream)
	r.read(50_000)
	r.setGroup(message.EntryID{})
	r.add(stream, 1)
	r.newWorker()
	start := time.Now()
	wantNumbers(t, r.read(1), 50_001)
	t.Logf("took %v", time.Since(start))
}

func (r *runner) readers() map[readerKey]*reader {
	return r.memory().readers
}

func (r *runner) memory() (m *memory) {
	r.inBundle(func(ctx context.Context) { m = memoryOf(finalize.FromContext(ctx).Connection()) })
	return m
}

// A bundle becomes final after the next one failed and was tried again.
func TestAttackFinalizationAfterAFailedBundle(t *testing.T) {
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

func TestAttackFinalizationRacesWithAColdStart(t *testing.T) {
	r := newRunner(t, smallBundles(2))
	r.add(stream, 4)
	r.open(stream)
	first := r.bundle().want(1, 2)
	saved := r.checkpoint()
	done := make(chan struct{})
	r.bundle()
	r.restore(saved)
	go func() { defer close(done); first.commit() }()
	r.bundle()
	<-done
}

func TestAttackFirstFetchOfLargeEntries(t *testing.T) {
	r := newRunner(t)
	value := strings.Repeat("x", 2<<20)
	for n := range 60 {
		r.must(r.redis.XAdd(t.Context(), &redis.XAddArgs{Stream: stream, Values: []any{"n", n, "v", value}}).Err())
	}
	r.open(stream)
	var most int64
	b := r.try(mishap{onEmit: func(message.Message) { most = max(most, fetchedBytes.Load()) }})
	r.must(b.err)
	t.Logf("%d emitted, %d MiB held at most", len(b.got), most>>20)
	if most > 8<<20 {
		t.Errorf("%d MiB held, want about 1 MiB or one entry", most>>20)
	}
}

// Another consumer lives, holds an old entry and looks at it now and then.
func TestAttackCaughtUpBesideALiveHolder(t *testing.T) {
	r := newRunner(t, func(c *Config) { c.StopAtLatest = true }, claimAfter(300*time.Millisecond))
	leavePending(r, "somebody", 2)
	r.open(stream)
	for start := time.Now(); !r.ended(); {
		r.bundle().commit()
		r.must(r.redis.XReadGroup(t.Context(), &redis.XReadGroupArgs{Group: group, Consumer: "somebody", Streams: []string{stream, "0"}}).Err())
		if time.Since(start) > 5*time.Second {
			t.Fatal("the bounded read has not ended after 5 s")
		}
	}
}
