package sdf

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"example.com/beamredis/redisio/message"
)

func limited(n int64) func(*Config) {
	return func(cfg *Config) { cfg.DeliveryLimit, cfg.CollectFailed = n, true }
}

// poisoned fails the bundle in which entry n is emitted.
func poisoned(t *testing.T, n int) mishap {
	return mishap{onEmit: func(m message.Message) {
		if numbersOf(t, []message.Message{m})[0] == n {
			panic(fmt.Sprintf("entry %d is poison", n))
		}
	}}
}

func TestPoisonEntryBecomesADeadLetterAndTheOthersAreDelivered(t *testing.T) {
	for name, tc := range map[string]struct {
		limit int64
		old   bool // the entries are at or before the start
	}{"limit 3": {3, false}, "limit 5": {5, false}, "at or before the start": {4, true}} {
		t.Run(name, func(t *testing.T) {
			r := newRunner(t, limited(tc.limit))
			if tc.old {
				leavePending(r, r.cfg.Consumer, 10)
			} else {
				r.add(stream, 10)
			}
			r.open(stream)
			delivered, kills := map[int]bool{}, 0
			var dead []message.DeadLetter
			for range 40 {
				b := r.try(poisoned(t, 4))
				if b.err != nil {
					kills++
					r.newWorker()
					continue
				}
				for _, n := range numbersOf(t, b.commit().got) {
					delivered[n] = true
				}
				dead = append(dead, b.failed...)
			}
			if len(dead) != 1 {
				t.Fatalf("%d dead letters, want 1", len(dead))
			}
			wantNumbers(t, []message.Message{dead[0].Message}, 4)
			if dead[0].Attempts != tc.limit || kills > int(tc.limit) {
				t.Errorf("dead after %d attempts and %d failed bundles, want %d and no more", dead[0].Attempts, kills, tc.limit)
			}
			if len(delivered) != 9 || delivered[4] {
				t.Errorf("delivered %v, want all but 4", delivered)
			}
			r.wantPending()
		})
	}
}

// Every worker lives for at least one bundle: two kills in a row that strike one
// entry while it is alone are what poison looks like.
func TestTwentyKillsWithoutPoisonGiveNoDeadLetters(t *testing.T) {
	for seed := range uint64(2) {
		r := newRunner(t, limited(5), smallBundles(10))
		random := rand.New(rand.NewPCG(seed, 0))
		r.add(stream, 200)
		r.open(stream)
		delivered, life := map[int]bool{}, 0
		for kills := 0; kills < 20 || len(delivered) < 200; {
			m := mishap{}
			if life--; life < 0 && kills < 20 {
				life, kills = 1+random.IntN(12), kills+1
				m.atEmit, m.atEnd = 1+random.IntN(10), true
				if len(delivered) == 200 {
					r.add(stream, 10)
				}
			}
			b := r.try(m)
			if len(b.failed) > 0 {
				t.Fatalf("seed %d: dead letter %+v after %d kills", seed, b.failed[0], kills)
			}
			if b.err != nil {
				r.newWorker()
				continue
			}
			for _, n := range numbersOf(t, b.commit().got) {
				delivered[n] = true
			}
		}
		r.untilNothingPending()
	}
}

// untilNothingPending runs and commits bundles until the group is done.
func (r *runner) untilNothingPending() {
	r.t.Helper()
	eventually(r.t, "everything is acknowledged", func() bool {
		r.bundle().commit()
		return len(r.pending()) == 0
	})
}

// Isolated bundles that went well are rolled back with everything else, any
// number of times: that says nothing against the entries in them.
func TestRollbackOfIsolatedBundlesCondemnsNobody(t *testing.T) {
	r := newRunner(t, limited(3))
	r.add(stream, 4)
	r.open(stream)
	saved := r.checkpoint()
	r.bundle().want(1, 2, 3, 4)
	for range 5 {
		r.restore(saved)
		r.newWorker()
		var got []int
		for range 12 {
			b := r.bundle()
			if len(b.failed) > 0 {
				t.Fatalf("dead letter %+v", b.failed[0])
			}
			if len(b.got) > 1 {
				t.Fatalf("%d entries in a bundle, want suspects alone", len(b.got))
			}
			got = append(got, numbersOf(t, b.got)...)
		}
		wantEqual(t, "emitted entries", got, upTo(1, 4))
	}
}

func TestSuspectIsAloneInABundleOfSeveralPartitions(t *testing.T) {
	r := newRunner(t, limited(3))
	r.open("other", stream)
	r.add(stream, 1)
	if b := r.try(mishap{atEmit: 1}); b.err == nil {
		t.Fatal("the bundle did not fail")
	}
	r.newWorker()
	var bundles [][]string
	for range 30 {
		r.add("other", 1)
		var streams []string
		for _, m := range r.bundle().commit().got {
			streams = append(streams, m.Stream)
		}
		bundles = append(bundles, streams)
	}
	i := slices.IndexFunc(bundles, func(b []string) bool { return slices.Contains(b, stream) })
	if i < 0 || len(bundles[i]) != 1 {
		t.Errorf("bundles %v: want %s once, alone", bundles, stream)
	}
}

func TestDeadLetterIsAcknowledgedByFinalizationOnly(t *testing.T) {
	r := newRunner(t, limited(3))
	r.add(stream, 1)
	r.open(stream)
	var b *bundle
	for range 3 {
		if b = r.try(poisoned(t, 1)); b.err == nil {
			t.Fatal("the bundle did not fail")
		}
		r.newWorker()
	}
	b = r.bundle()
	if len(b.failed) != 1 {
		t.Fatalf("dead letters %v, want 1", b.failed)
	}
	r.wantPending(1)
	b.commit()
	r.wantPending()
}

func TestLostClaimRepliesCondemnNobody(t *testing.T) {
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

// The reply to the count of a delivery alone is lost: the bundle does not fail,
// and the entry is delivered once.
func TestLostReplyToTheCountOfADeliveryAloneIsHealed(t *testing.T) {
	r := newRunner(t, limited(3))
	p := r.throughProxy()
	r.add(stream, 1)
	r.open(stream)
	if b := r.try(mishap{atEmit: 1}); b.err == nil {
		t.Fatal("the bundle did not fail")
	}
	r.newWorker()
	p.loseReplyTo("justid")
	wantNumbers(t, r.read(1), 1)
	wantEqual(t, "lost replies", p.losses(), 1)
	r.untilNothingPending()
}
