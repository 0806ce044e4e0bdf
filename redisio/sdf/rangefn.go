package sdf

import (
	"context"
	"fmt"

	"github.com/apache/beam/sdks/v2/go/pkg/beam"
	"github.com/apache/beam/sdks/v2/go/pkg/beam/register"

	"example.com/beamredis/redisio/internal/rdb"
	"example.com/beamredis/redisio/internal/telemetry"
	"example.com/beamredis/redisio/message"
)

func init() {
	register.DoFn6x1[context.Context, *RangeTracker, Range, func(beam.EventTime, message.Message),
		func(beam.EventTime, message.DeadLetter), func(string, string), error](&RangeFn{})
}

// RangeFn is the splittable DoFn that reads ranges. It needs no consumer group,
// and its outputs are bounded. The third one says of each part of a range that
// it was read: its stream, and the ID up to which.
//
// It returns no ProcessContinuation, because Beam takes the output of a DoFn
// that does for unbounded.
type RangeFn struct {
	Config RangeConfig

	client *rdb.Client
	times  eventTimes
	sdk    *telemetry.SDK // nil: nothing is exported
}

// Setup connects to nothing yet; it resolves what the configuration refers to.
func (fn *RangeFn) Setup() (err error) {
	if fn.client, err = rdb.Open(fn.Config.Conn); err != nil {
		return err
	}
	fn.sdk = fn.Config.sdk()
	fn.times, err = newEventTimes(&fn.Config.Config)
	return err
}

// CreateInitialRestriction is all of the range.
func (fn *RangeFn) CreateInitialRestriction(r Range) RangeRestriction {
	return RangeRestriction{After: r.After, To: r.To}
}

// SplitRestriction does not split: [PlanFn] has, in time for the runner to
// spread the ranges.
func (fn *RangeFn) SplitRestriction(_ Range, rest RangeRestriction) []RangeRestriction {
	return []RangeRestriction{rest}
}

// RestrictionSize is about how many bytes there are to read.
func (fn *RangeFn) RestrictionSize(r Range, rest RangeRestriction) float64 {
	whole := idDistance(r.After, r.To)
	if rest.empty() || whole <= 0 {
		return 0
	}
	return r.Entries * r.EntryBytes * idDistance(rest.After, rest.To) / whole
}

// CreateTracker makes the tracker of a restriction.
func (fn *RangeFn) CreateTracker(rest RangeRestriction) *RangeTracker {
	tr := NewRangeTracker(rest, fn.Config.Ordered)
	// What a split leaves to another bundle may lie behind entries that the consumer
	// of the first part deletes, where nothing tells that from trimming.
	tr.whole = fn.Config.FailOnLoss
	return tr
}

// ProcessElement reads a range, or what a split has left of it, to its end.
func (fn *RangeFn) ProcessElement(ctx context.Context, tr *RangeTracker, r Range, emit func(beam.EventTime, message.Message),
	emitFailed func(beam.EventTime, message.DeadLetter), emitEnd func(string, string)) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	p := newPages(fn.client, &fn.Config, tr, r)
	defer p.hold(0)
	defer fn.sdk.FlushSoon()
	for {
		page, err := p.next(ctx)
		if err != nil {
			return fmt.Errorf("partition %s: %w", r.Stream, err)
		}
		n, err := fn.emitPage(ctx, p, page.Entries, emit, emitFailed)
		telemetry.EntriesRead.Add(ctx, int64(n), p.where)
		telemetry.BytesRead.Add(ctx, int64(n*page.Bytes/max(1, len(page.Entries))), p.where)
		if err != nil {
			return fmt.Errorf("partition %s: %w", r.Stream, err)
		}
		if n < len(page.Entries) || n == 0 {
			break
		}
	}
	tr.End()
	emitEnd(r.Stream, tr.GetRestriction().(RangeRestriction).To.String())
	return tr.GetError()
}

// emitPage emits entries as long as they can be claimed, and returns how many.
func (fn *RangeFn) emitPage(ctx context.Context, p *pages, entries []rdb.Entry, emit func(beam.EventTime, message.Message),
	emitFailed func(beam.EventTime, message.DeadLetter)) (n int, err error) {
	for i := range entries {
		e := &entries[i]
		if i == len(entries)-1 {
			p.settle(ctx)
		}
		if !p.tr.Claim(e.ID) {
			return i, p.tr.GetError()
		}
		m := messageOf(p.of.Stream, e, fn.Config.KeyField, nil)
		ts, err := fn.times.of(&m)
		if err != nil {
			if err := reject(ctx, fn.client, &fn.Config.Config, m, err.Error(), 1, emitFailed); err != nil {
				return i, err
			}
			continue
		}
		emit(ts, m)
	}
	return len(entries), nil
}
