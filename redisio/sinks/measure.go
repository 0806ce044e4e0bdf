package sinks

import (
	"context"
	"sync"
	"time"

	"example.com/beamredis/redisio/internal/telemetry"
)

// tally is what has been counted.
type tally struct{ written, deadLetters, retries, repeated int64 }

// report brings the counters up to date, once a bundle: they cost too much to
// be moved with every element.
func (t *tally) report(ctx context.Context, now tally, where telemetry.Where) {
	telemetry.Written.Add(ctx, now.written-t.written, where)
	telemetry.WriteDeadLetters.Add(ctx, now.deadLetters-t.deadLetters, where)
	telemetry.WriteRetries.Add(ctx, now.retries-t.retries, where)
	telemetry.Repeated.Add(ctx, now.repeated-t.repeated, where)
	*t = now
}

func (w *WriteFn) report(ctx context.Context) {
	now := tally{deadLetters: w.failed.count.Load()}
	for _, l := range w.lanes {
		now.written += l.delivery.written.Load()
		now.retries += l.delivery.retries.Load()
		if l.once != nil {
			now.repeated += l.once.repeated.Load()
		}
		l.delivery.flushes.report(ctx)
	}
	w.reported.report(ctx, now, w.where)
}

func (d *DocumentFn) report(ctx context.Context) {
	now := tally{deadLetters: d.burial.count.Load()}
	for _, l := range d.lanes {
		now.written += l.delivery.written.Load()
		now.retries += l.delivery.retries.Load()
		l.delivery.flushes.report(ctx)
	}
	d.reported.report(ctx, now, d.where)
}

// flushes observes the batches of one delivery. OpenTelemetry hears of each at
// once, Beam at the end of the bundle: its metrics are not safe for the
// goroutine that delivers. The nil pointer observes nothing.
type flushes struct {
	where telemetry.Where

	mu   sync.Mutex
	done []flush
}

type flush struct {
	took time.Duration
	size int
}

// mostFlushes bounds how many of a bundle's batches Beam hears of, the first.
const mostFlushes = 4096

func (f *flushes) observe(ctx context.Context, took time.Duration, size int) {
	if f == nil {
		return
	}
	telemetry.FlushLatency.Observe(ctx, took.Microseconds(), f.where)
	telemetry.BatchSize.Observe(ctx, int64(size), f.where)
	f.mu.Lock()
	defer f.mu.Unlock()
	if len(f.done) < mostFlushes {
		f.done = append(f.done, flush{took, size})
	}
}

func (f *flushes) report(ctx context.Context) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, each := range f.done {
		telemetry.FlushLatency.ObserveInBundle(ctx, each.took.Microseconds())
		telemetry.BatchSize.ObserveInBundle(ctx, int64(each.size))
	}
	f.done = f.done[:0]
}
