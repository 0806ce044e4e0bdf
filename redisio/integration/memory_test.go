package integration_test

import (
	"context"
	"runtime"
	"runtime/debug"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"example.com/beamredis/redisio"
)

// heapBound is what a copy may use, however much there is to read: a budget of
// 64 MiB for what was fetched, and on top of it one fetch for each partition,
// the batches of the sink, and the same once more as garbage.
const heapBound = 160 << 20

// heapDuring returns the largest heap, beyond that at the start, while run runs.
func heapDuring(run func()) uint64 {
	defer debug.SetGCPercent(debug.SetGCPercent(20)) // garbage is not what is measured
	runtime.GC()
	var base, now runtime.MemStats
	runtime.ReadMemStats(&base)
	done := make(chan struct{})
	go func() {
		defer close(done)
		run()
	}()
	most := base.HeapAlloc
	for {
		select {
		case <-done:
			return most - base.HeapAlloc
		case <-time.After(5 * time.Millisecond):
			runtime.ReadMemStats(&now)
			most = max(most, now.HeapAlloc)
		}
	}
}

// TestHeapStaysBoundedBehindASlowSink: the reader fetches ahead of a sink that
// cannot keep up only as far as its budget goes.
func TestHeapStaysBoundedBehindASlowSink(t *testing.T) {
	for _, tt := range []struct {
		name       string
		n          int
		size       int
		partitions int
	}{
		{"small entries", sized(60_000, 300_000), 0, 4},
		{"entries of 100 KiB", sized(2_500, 10_000), 100 << 10, 4},
		// Each may hold what is left of a fetch and the next one, 2 MiB together:
		// more than the budget.
		{"many partitions", sized(30_000, 60_000), 10 << 10, 120},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := start(t)
			padding := strings.Repeat("x", tt.size)
			padded := func(n int) []string { return append(entryOf(n), "padding", padding) }
			source := redisio.Topic{Name: in.Name, Partitions: tt.partitions}
			s.load(source, 0, tt.n, padded)
			var seen atomic.Int64
			job := untilCaughtUp(s)
			job.source = source
			if tt.partitions > 4 { // turns that leave something over
				job.opts = append(job.opts, redisio.WithBundleBounds(20, 8<<20, 500*time.Millisecond))
			}
			every := int64(max(1, tt.n/300))
			job.watch = &watch{see: func(context.Context, redisio.Message) error {
				if seen.Add(1)%every == 0 {
					pause(5 * time.Millisecond)
				}
				return nil
			}}
			heap := heapDuring(func() {
				if err := job.run(t.Context()); err != nil {
					t.Error(err)
				}
			})
			t.Logf("%d entries of %d bytes and more: the heap grew by %d MiB at most", tt.n, tt.size, heap>>20)
			if heap > heapBound {
				t.Errorf("the heap grew by %d MiB, want at most %d", heap>>20, heapBound>>20)
			}
			if got := s.length(out); got != tt.n {
				t.Errorf("%d entries arrived, want %d", got, tt.n)
			}
			s.wantCaughtUp(source, group)
		})
	}
}
