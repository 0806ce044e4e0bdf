package sdf

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"example.com/beamredis/redisio/conn"
	"example.com/beamredis/redisio/internal/logs"
	"example.com/beamredis/redisio/internal/rdb"
	"example.com/beamredis/redisio/internal/redistest"
	"example.com/beamredis/redisio/internal/telemetry"
	"example.com/beamredis/redisio/message"
)

func TestLostReplyToAFetchIsHealed(t *testing.T) {
	for _, ack := range strategies {
		t.Run(string(ack), func(t *testing.T) {
			r := newRunner(t, ackBy(ack))
			p := r.throughProxy()
			r.add(stream, 5)
			r.open(stream)
			r.bundle().want(upTo(1, 5)...).commit()
			p.loseReplyTo("xreadgroup")
			r.add(stream, 5)
			got := numbersOf(t, r.read(5))
			r.add(stream, 2)
			wantEqual(t, "emitted entries", append(got, numbersOf(t, r.read(2))...), upTo(6, 12))
			if p.losses() != 1 {
				t.Fatalf("%d replies were lost, want 1", p.losses())
			}
			r.wantNothingPendingSoon()
		})
	}
}

func TestLostReplyAtAColdStartIsHealed(t *testing.T) {
	for _, command := range []string{"xinfo", "xpending", "xrange", "xreadgroup"} {
		t.Run(command, func(t *testing.T) {
			r := newRunner(t)
			p := r.throughProxy()
			leavePending(r, r.cfg.Consumer, 2)
			r.open(stream)
			r.add(stream, 3)
			r.bundle().want(upTo(1, 5)...)
			r.add(stream, 2)
			r.try(mishap{atEmit: 1}) // so that they are delivered
			r.newWorker()
			p.loseReplyTo(command)
			wantNumbers(t, r.read(4), 1, 2, 6, 7)
			if p.losses() != 1 {
				t.Fatalf("%d replies were lost, want 1", p.losses())
			}
			r.wantNothingPendingSoon()
		})
	}
}

// The entries of another consumer are this reader's own when the reply to their
// take-over is lost, and it has not seen them.
func TestLostReplyToATakeOverIsHealed(t *testing.T) {
	for name, tc := range map[string]struct {
		consumer string
		limit    int64
	}{
		"own":                    {Defaults().Consumer, 0},
		"other":                  {"somebody", 0},
		"own, delivery limit":    {Defaults().Consumer, 5},
		"other, delivery limit":  {"somebody", 5},
		"own, the least limit":   {Defaults().Consumer, MinDeliveryLimit},
		"other, the least limit": {"somebody", MinDeliveryLimit},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRunner(t, claimAfter(50*time.Millisecond), limited(tc.limit))
			p := r.throughProxy()
			leavePending(r, tc.consumer, 3)
			r.open(stream)
			p.loseReplyTo("xclaim")
			wantNumbers(t, r.read(3), 1, 2, 3)
			if p.losses() != 1 {
				t.Fatalf("%d replies were lost, want 1", p.losses())
			}
			r.untilNothingPending()
		})
	}
}

func TestLostReplyToAnAcknowledgementIsHealed(t *testing.T) {
	for _, ack := range []AckStrategy{AckOnCheckpoint, AckOnEmit} {
		t.Run(string(ack), func(t *testing.T) {
			r := newRunner(t, ackBy(ack))
			p := r.throughProxy()
			r.add(stream, 5)
			r.open(stream)
			p.loseReplyTo("xack")
			wantNumbers(t, r.read(5), upTo(1, 5)...)
			r.settleAcks()
			r.wantPending()
			if p.losses() != 1 {
				t.Fatalf("%d replies were lost, want 1", p.losses())
			}
		})
	}
}

func TestRestartedRedisIsReadOn(t *testing.T) {
	r := newRunnerOn(t, redistest.Start(t, redistest.Durable()), smallBundles(4))
	retries := counting(telemetry.ReadRetries)
	r.add(stream, 12)
	r.open(stream)
	got := numbersOf(t, r.bundle().commit().got)
	r.server.Kill()
	for i := 0; retries() == 0; i++ { // what was fetched before is emitted all the same
		got = append(got, numbersOf(t, r.bundle().got)...)
		if i == 100 {
			t.Fatal("Redis is down, and the reader has not noticed")
		}
	}
	r.server.Restart()
	got = append(got, numbersOf(t, r.read(12-len(got)))...)
	r.add(stream, 3)
	got = append(got, numbersOf(t, r.read(3))...)
	wantEqual(t, "emitted entries", got, upTo(1, 15))
}

func TestRedisDownForLongerThanRetryForFailsWithOneClearError(t *testing.T) {
	r := newRunner(t, func(cfg *Config) { cfg.RetryFor = 200 * time.Millisecond })
	r.add(stream, 2)
	r.open(stream)
	r.bundle().want(1, 2)
	r.server.Kill()
	start := time.Now()
	var err error
	for err == nil {
		if time.Since(start) > patience {
			t.Fatal("the read goes on without Redis")
		}
		err = r.try(mishap{}).err
	}
	want := fmt.Sprintf("partition %s: redis out of reach for ", stream)
	if !strings.HasPrefix(err.Error(), want) || strings.Contains(err.Error(), "\n") {
		t.Errorf("error %q, want one line that begins with %q", err, want)
	}
	if took := time.Since(start); took < r.cfg.RetryFor {
		t.Errorf("gave up after %v, want not before %v", took, r.cfg.RetryFor)
	}
}

func TestAcknowledgementsThatFailAreLeftToALaterBundle(t *testing.T) {
	r := newRunner(t)
	r.add(stream, 3)
	r.open(stream)
	r.bundle().want(1, 2, 3)
	acks := r.reader().acks
	acks.giveUp(leftovers{span: idRange{to: r.restriction(stream).Position}})
	r.bundle().want().commit()
	r.wantPending()
	if acks.hasFailed() {
		t.Error("the acknowledgements still count as failed")
	}
}

func TestStopTimeAfterALostFetchLosesNothing(t *testing.T) {
	r := newRunner(t, ackBy(NoAck), stopAt(message.FirstIDAt(time.Now().Add(1500*time.Millisecond)).Prev()))
	p := r.throughProxy()
	r.open(stream)
	r.bundle().want()
	r.add(stream, 500)
	p.loseReplyTo("xreadgroup")
	eventually(t, "the fetch is lost", func() bool { r.bundle().want().commit(); return p.losses() == 1 })
	eventually(t, "stop has passed", func() bool { return r.cfg.StopAt.Less(message.FirstIDAt(time.Now())) })
	wantNumbers(t, r.untilEnded(), upTo(1, 500)...)
}

// Writers have to wait for room, but what there is can be read.
func TestFullServerIsReadAndAcknowledged(t *testing.T) {
	for _, ack := range strategies {
		t.Run(string(ack), func(t *testing.T) {
			r := newRunner(t, ackBy(ack), smallBundles(4))
			leavePending(r, r.cfg.Consumer, 2)
			r.open(stream)
			saved := r.checkpoint()
			r.bundle() // a group's first reader marks it, which needs memory
			r.restore(saved)
			r.newWorker()
			r.add(stream, 6)
			r.must(r.redis.ConfigSet(t.Context(), "maxmemory", "1").Err())
			wantNumbers(t, r.read(4), upTo(1, 4)...)
			r.newWorker()
			wantNumbers(t, r.read(4), upTo(5, 8)...)
			r.wantNothingPendingSoon()
		})
	}
}

// A replica that takes over may not have heard of the last acknowledgements.
func TestAcknowledgementsThatAFailoverForgotAreRepeated(t *testing.T) {
	for _, ack := range []AckStrategy{AckOnCheckpoint, AckOnEmit} {
		t.Run(string(ack), func(t *testing.T) {
			r := newRunner(t, ackBy(ack))
			p := r.throughProxy()
			ids := r.add(stream, 5)
			r.open(stream)
			r.bundle().want(upTo(1, 5)...).commit()
			r.settleAcks()
			r.wantPending()
			r.must(r.redis.Do(t.Context(), "xclaim", stream, group, r.cfg.Consumer, 0, ids[1].String(), ids[4].String(), "force", "justid").Err())
			r.wantPending(2, 5)
			p.loseReplyTo("xreadgroup")
			r.add(stream, 1)
			wantNumbers(t, r.read(1), 6)
			if p.losses() != 1 {
				t.Fatalf("%d replies were lost, want 1", p.losses())
			}
			r.wantNothingPendingSoon()
		})
	}
}

func TestAFetchThatOutlivesItsOwnDeadlineIsTriedAgain(t *testing.T) {
	client, err := rdb.Open(conn.Config{Addr: "127.0.0.1:1"})
	if err != nil {
		t.Fatal(err)
	}
	r := &reader{client: client, stream: stream, log: logs.Of(stream, "g"), where: telemetry.Of{Stream: stream, Group: "g"}.Where()}
	tn := &turn{cfg: &Config{RetryFor: time.Minute}, r: r, scope: &scope{}}
	if err := tn.outOfReach(t.Context(), fmt.Errorf("read %s: %w", stream, context.DeadlineExceeded)); err != nil {
		t.Errorf("the turn fails: %v", err)
	}
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	if err := tn.outOfReach(ended, context.Canceled); err == nil {
		t.Error("the turn goes on though its bundle has ended")
	}
}
