package sinks

import (
	"context"

	"github.com/apache/beam/sdks/v2/go/pkg/beam"
)

// metricsNamespace is the Beam namespace of the counters.
const metricsNamespace = "redisio.write"

var (
	writtenCounter     = beam.NewCounter(metricsNamespace, "written")
	deadLettersCounter = beam.NewCounter(metricsNamespace, "dead_letters")
	retriesCounter     = beam.NewCounter(metricsNamespace, "retries")
	// repeatedCounter counts outputs that an idempotent sink found written.
	repeatedCounter = beam.NewCounter(metricsNamespace, "repeated")
)

// tally is what has been counted.
type tally struct{ written, deadLetters, retries, repeated int64 }

// report brings the counters up to date, once a bundle: they cost too much to
// be moved with every element.
func (t *tally) report(ctx context.Context, now tally) {
	writtenCounter.Inc(ctx, now.written-t.written)
	deadLettersCounter.Inc(ctx, now.deadLetters-t.deadLetters)
	retriesCounter.Inc(ctx, now.retries-t.retries)
	repeatedCounter.Inc(ctx, now.repeated-t.repeated)
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
	}
	w.reported.report(ctx, now)
}

func (d *DocumentFn) report(ctx context.Context) {
	now := tally{deadLetters: d.burial.count.Load()}
	for _, l := range d.lanes {
		now.written += l.delivery.written.Load()
		now.retries += l.delivery.retries.Load()
	}
	d.reported.report(ctx, now)
}
