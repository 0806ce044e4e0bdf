package sdf

import (
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"example.com/beamredis/redisio/internal/telemetry"
	"example.com/beamredis/redisio/message"
)

func (r *runner) setGroup(id message.EntryID) {
	r.t.Helper()
	r.must(r.redis.XGroupSetID(r.t.Context(), stream, group, id.String()).Err())
}

// addAt adds an entry with the ID ms-0 and the number n.
func (r *runner) addAt(ms, n int) {
	r.t.Helper()
	id := message.EntryID{Ms: uint64(ms)}
	r.must(r.redis.XAdd(r.t.Context(), &redis.XAddArgs{Stream: stream, ID: id.String(), Values: []any{"n", n}}).Err())
}

func TestGroupBehindItsPositionIsSkippedAndAcknowledged(t *testing.T) {
	for _, ack := range strategies {
		for name, cold := range map[string]bool{"warm": false, "cold": true} {
			t.Run(string(ack)+" "+name, func(t *testing.T) {
				r := newRunner(t, ackBy(ack))
				skipped := counting(telemetry.Skipped)
				ids := r.add(stream, 10)
				r.open(stream)
				wantNumbers(t, r.read(10), upTo(1, 10)...)
				r.setGroup(ids[3])
				r.add(stream, 2)
				if cold {
					r.newWorker()
				}
				wantNumbers(t, r.read(2), 11, 12)
				if n := skipped(); n != 6 {
					t.Errorf("%d entries counted as skipped, want 6", n)
				}
				r.wantNothingPendingSoon()
			})
		}
	}
}

func (r *runner) wantNothingPendingSoon() {
	r.t.Helper()
	r.bundle().commit()
	r.settleAcks()
	r.wantPending()
}

func TestSkippedEntriesWaitForTheFinalization(t *testing.T) {
	r := newRunner(t)
	ids := r.add(stream, 4)
	r.open(stream)
	r.bundle().want(upTo(1, 4)...).commit()
	r.setGroup(ids[1])
	r.add(stream, 1)
	b := r.bundle()
	for len(b.got) == 0 {
		b = r.bundle()
	}
	r.wantPending(3, 4, 5)
}

// Far behind: more entries than one fetch brings are skipped on the way.
func TestGroupFarBehindCatchesUpWithinABundle(t *testing.T) {
	r := newRunner(t, func(cfg *Config) { cfg.IdleTime, cfg.BundleTime = 2*time.Second, 4*time.Second })
	r.add(stream, 4500)
	r.open(stream)
	r.read(4500)
	r.setGroup(message.EntryID{})
	r.add(stream, 1)
	r.newWorker()
	var arrived time.Time
	start := time.Now()
	b := r.try(mishap{onEmit: func(message.Message) { arrived = time.Now() }}).want(4501)
	r.must(b.err)
	if took := arrived.Sub(start); took > time.Second {
		t.Errorf("the entry was emitted after %v, want no idle waiting on the way", took)
	}
}

func TestGroupBeyondItsStreamGoesOnFromTheStreamsEnd(t *testing.T) {
	beyond := message.EntryID{Ms: 9000}
	for _, ack := range strategies {
		t.Run(string(ack), func(t *testing.T) {
			t.Run("a new job", func(t *testing.T) {
				r := newRunner(t, ackBy(ack))
				r.addAt(100, 1)
				r.createGroup(beyond.String())
				r.open(stream)
				r.bundle().want()
				r.addAt(200, 2)
				wantNumbers(t, r.read(1), 2)
			})
			t.Run("while it is read", func(t *testing.T) {
				r := newRunner(t, ackBy(ack))
				r.addAt(100, 1)
				r.open(stream)
				r.bundle().want(1).commit()
				r.setGroup(beyond)
				r.addAt(200, 2)
				wantNumbers(t, r.read(1), 2)
				r.addAt(300, 3)
				wantNumbers(t, r.read(1), 3)
			})
			t.Run("at a cold start", func(t *testing.T) {
				r := newRunner(t, ackBy(ack))
				r.addAt(100, 1)
				r.open(stream)
				r.bundle().want(1).commit()
				r.setGroup(beyond)
				r.newWorker()
				r.bundle().want()
				r.addAt(200, 2)
				wantNumbers(t, r.read(1), 2)
			})
		})
	}
}

func TestDestroyedGroupIsMadeAgainAtThePosition(t *testing.T) {
	for _, ack := range strategies {
		for name, cold := range map[string]bool{"warm": false, "cold": true} {
			t.Run(string(ack)+" "+name, func(t *testing.T) {
				r := newRunner(t, ackBy(ack))
				healed := counting(telemetry.GroupsHealed)
				r.add(stream, 5)
				r.open(stream)
				wantNumbers(t, r.read(5), upTo(1, 5)...)
				r.add(stream, 2) // before the group is made again: "$" would lose them
				r.must(r.redis.XGroupDestroy(t.Context(), stream, group).Err())
				r.add(stream, 2)
				if cold {
					r.newWorker()
				}
				wantNumbers(t, r.read(4), upTo(6, 9)...)
				if n := healed(); n != 1 {
					t.Errorf("%d groups counted as made again, want 1", n)
				}
				r.wantNothingPendingSoon()
			})
		}
	}
}

// What was fetched ahead is in the reader and in no group any more.
func TestGroupDestroyedBeforeEverythingFetchedWasEmitted(t *testing.T) {
	r := newRunner(t, smallBundles(3))
	r.add(stream, 10)
	r.open(stream)
	r.bundle().want(1, 2, 3)
	r.must(r.redis.XGroupDestroy(t.Context(), stream, group).Err())
	r.add(stream, 2)
	wantNumbers(t, r.read(9), upTo(4, 12)...)
	r.wantNothingPendingSoon()
}

func TestStreamDeletedAndMadeAnewStartsOver(t *testing.T) {
	for name, cold := range map[string]bool{"warm": false, "cold": true} {
		t.Run(name, func(t *testing.T) {
			r := newRunner(t)
			replaced := counting(telemetry.Replaced)
			for n := 1; n <= 5; n++ {
				r.addAt(1000+n, n)
			}
			r.open(stream)
			wantNumbers(t, r.read(5), upTo(1, 5)...)
			r.must(r.redis.Del(t.Context(), stream).Err())
			for n := 1; n <= 3; n++ {
				r.addAt(n, n)
			}
			if cold {
				r.newWorker()
			} else {
				r.forgetTheEmptyRead()
			}
			wantNumbers(t, r.read(3), upTo(1, 3)...)
			if rest := r.restriction(stream); rest.Epoch != 1 || !rest.Start.IsZero() {
				t.Errorf("epoch %d and start %s, want 1 and 0-0", rest.Epoch, rest.Start)
			}
			if n := replaced(); n != 1 {
				t.Errorf("%d streams counted as replaced, want 1", n)
			}
			r.wantNothingPendingSoon()
		})
	}
}

// forgetTheEmptyRead makes the next bundle look at the server at once: else an
// idle partition is looked at every two seconds.
func (r *runner) forgetTheEmptyRead() { r.reader().lastFetch = r.reader().lastFetch.Add(-fetchEvery) }

func TestDeletedStreamThatStaysAwayIsWaitedFor(t *testing.T) {
	r := newRunner(t)
	r.add(stream, 2)
	r.open(stream)
	r.bundle().want(1, 2).commit()
	r.must(r.redis.Del(t.Context(), stream).Err())
	r.newWorker()
	r.bundle().want()
	r.add(stream, 3)
	wantNumbers(t, r.read(3), 1, 2, 3)
}

// A replica that lagged became master, or a backup was restored: what the
// group has not read by that copy comes again, and what comes is new, although
// its IDs may be at or before the position.
func TestStreamSetBackToAnOlderCopyGoesOnFromItsGroup(t *testing.T) {
	for _, ack := range strategies {
		for name, cold := range map[string]bool{"warm": false, "cold": true} {
			t.Run(string(ack)+" "+name, func(t *testing.T) {
				r := newRunner(t, ackBy(ack))
				for n := 1; n <= 3; n++ {
					r.addAt(n*100, n)
				}
				r.open(stream)
				wantNumbers(t, r.read(2), 1, 2, 3)
				r.addAt(310, 4) // delivered in the future, not in the copy
				older := r.dump()
				r.addAt(400, 5)
				r.addAt(500, 6)
				wantNumbers(t, r.read(3), 4, 5, 6)
				r.must(r.redis.RestoreReplace(t.Context(), stream, 0, older).Err())
				if cold {
					r.newWorker()
				} else {
					r.forgetTheEmptyRead()
				}
				wantNumbers(t, r.read(1), 4) // whose delivery the copy does not know
				r.addAt(450, 7)
				wantNumbers(t, r.read(1), 7)
				if rest := r.restriction(stream); rest.Epoch != 1 {
					t.Errorf("epoch %d, want 1", rest.Epoch)
				}
				r.wantNothingPendingSoon()
			})
		}
	}
}

func (r *runner) dump() string {
	r.t.Helper()
	v, err := r.redis.Dump(r.t.Context(), stream).Result()
	r.must(err)
	return v
}

// The stream is deleted and made anew; the bundle that finds that out fails.
func TestStreamMadeAnewStartsOverWhateverBecomesOfTheFirstBundle(t *testing.T) {
	for name, committed := range map[string]bool{"first bundle fails": false, "first bundle is committed": true} {
		t.Run(name, func(t *testing.T) {
			r := newRunner(t)
			for n := 1; n <= 5; n++ {
				r.addAt(1000+n, n)
			}
			r.open(stream)
			wantNumbers(t, r.read(5), upTo(1, 5)...)
			r.must(r.redis.Del(t.Context(), stream).Err())
			for n := 1; n <= 3; n++ {
				r.addAt(n, n)
			}
			r.newWorker()
			if !committed {
				if b := r.try(mishap{atEnd: true}); b.err == nil {
					t.Fatal("did not fail")
				}
				r.newWorker()
			}
			var got []message.Message
			for range 5 {
				got = append(got, r.bundle().commit().got...)
			}
			wantNumbers(t, got, 1, 2, 3)
			r.wantPending()
		})
	}
}

// A bundle of the old stream becomes final after the stream was made anew.
func TestLateFinalizationOfTheOldStreamAcknowledgesNothingOfTheNew(t *testing.T) {
	r := newRunner(t)
	for n := 1; n <= 5; n++ {
		r.addAt(n, n)
	}
	r.open(stream)
	old := r.bundle().want(upTo(1, 5)...)
	r.must(r.redis.Del(t.Context(), stream).Err())
	for n := 1; n <= 3; n++ {
		r.addAt(n, n)
	}
	r.forgetTheEmptyRead()
	r.bundle().want(1, 2, 3)
	r.wantPending(1, 2, 3)
	old.commit()
	r.wantPending(1, 2, 3)
}
