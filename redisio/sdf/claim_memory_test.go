package sdf

import (
	"context"
	"fmt"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"example.com/beamredis/redisio/internal/finalize"
	"example.com/beamredis/redisio/message"
)

func TestCountOfAFetchAdaptsToTheSizeOfEntries(t *testing.T) {
	r := newRunner(t)
	r.addLarge(250, 100<<10)
	r.open(stream)
	r.bundle()
	most, previous := int64(0), r.groupInfo().Pending
	for range 100 {
		r.bundle()
		if pending := r.groupInfo().Pending; pending > previous {
			most, previous = max(most, pending-previous), pending
		}
	}
	// A bundle emits 8 MiB, and one fetch of 1 MiB is ahead of it.
	if most*(100<<10) > 12<<20 {
		t.Errorf("a bundle fetched %d entries of 100 KiB", most)
	}
	if n := r.reader().size.count(); n < 5 || n > 20 {
		t.Errorf("the next fetch asks for %d entries of 100 KiB, want about 10", n)
	}
}

func TestBudgetGetsBackWhatReadersHeld(t *testing.T) {
	settled := func() bool {
		runtime.GC()
		return fetchedBytes.Load() == 0 && waitingIDs.Load() == 0
	}
	t.Run("readers come and go", func(t *testing.T) {
		r := newRunner(t, smallBundles(10))
		r.addLarge(200, 1000)
		r.open(stream)
		for range 3 {
			r.bundle() // never finalized
			if fetchedBytes.Load() == 0 || waitingIDs.Load() == 0 {
				t.Fatal("nothing is counted, so nothing can be given back")
			}
			r.newWorker()
		}
	})
	eventually(t, "what dead connections held is given back", settled)
}

func TestBytesInMemoryAreGivenBackWhenTheyAreEmitted(t *testing.T) {
	r := newRunner(t)
	r.addLarge(300, 1000)
	r.open(stream)
	r.read(300)
	r.bundle()
	if got := r.reader().held.bytes.Load(); got != 0 {
		t.Errorf("the reader holds %d bytes after all is emitted, want 0", got)
	}
}

// More IDs wait than are to be kept: bundles remember ranges, and acknowledge
// the same.
func TestWaitingIDsBeyondTheBoundBecomeRanges(t *testing.T) {
	waitingIDs.Add(maxWaitingIDs)
	defer waitingIDs.Add(-maxWaitingIDs)
	r := newRunner(t, smallBundles(10))
	leavePending(r, r.cfg.Consumer, 3)
	r.open(stream)
	r.add(stream, 27)
	waiting := waitingIDs.Load()
	first, second, third := r.bundle(), r.bundle(), r.bundle()
	if n := waitingIDs.Load() - waiting; n > 3 {
		t.Errorf("%d more IDs wait, want those of the 3 redeliveries at most", n)
	}
	second.commit()
	wantEqual(t, "pending", r.pending(), append(upTo(1, 10), upTo(21, 30)...))
	first.commit()
	third.commit()
	r.wantPending()
}

func TestLeaseIsForOneBundleAtATime(t *testing.T) {
	m := &memory{readers: map[readerKey]*reader{}}
	r := newRunner(t)
	fresh := func() *reader { return newReader(r.worker.fn.client, &r.cfg, stream) }
	key := keyOf(&r.cfg, stream)
	first := m.lease(key, fresh)
	second := m.lease(key, fresh)
	if first == second {
		t.Fatal("two bundles have the same reader")
	}
	m.release(second)
	m.release(first)
	if m.lease(key, fresh) != first {
		t.Error("the reader was forgotten")
	}
}

func TestWhatIsFetchedAheadForManyPartitionsIsWithinTheBudget(t *testing.T) {
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
	for range 4 { // fetches grow
		r.bundle()
	}
	inflight := 0
	for _, rd := range r.memory().readers {
		if rd.inflight != nil {
			f := <-rd.inflight
			inflight += f.fetched.Bytes
			rd.inflight <- f
		}
	}
	// What is reserved for fetches that are under way may differ a little from
	// what they bring.
	n := max(fetchedBytes.Load()-before, int64(inflight))
	t.Logf("%d MiB fetched ahead", n>>20)
	if n < fetchBudget/2 || n > fetchBudget+(2<<20) {
		t.Errorf("%d MiB fetched ahead, want the budget of %d to be used and kept", n>>20, fetchBudget>>20)
	}
}

func (r *runner) memory() (m *memory) {
	r.inBundle(func(ctx context.Context) { m = memoryOf(finalize.FromContext(ctx).Connection()) })
	return m
}

func TestFirstFetchOfLargeEntriesBringsAboutOne(t *testing.T) {
	r := newRunner(t)
	value := strings.Repeat("x", 2<<20)
	for n := range 60 {
		r.must(r.redis.XAdd(t.Context(), &redis.XAddArgs{Stream: stream, Values: []any{"n", n, "v", value}}).Err())
	}
	r.open(stream)
	before, most := fetchedBytes.Load(), int64(0)
	b := r.try(mishap{onEmit: func(message.Message) { most = max(most, fetchedBytes.Load()-before) }})
	r.must(b.err)
	if most > 8<<20 {
		t.Errorf("%d MiB held, want about 1 MiB or one entry", most>>20)
	}
}
