package sdf

import (
	"context"
	"errors"
	"fmt"

	"github.com/apache/beam/sdks/v2/go/pkg/beam"
	"github.com/apache/beam/sdks/v2/go/pkg/beam/core/sdf"
	"github.com/apache/beam/sdks/v2/go/pkg/beam/register"

	"example.com/beamredis/redisio/internal/finalize"
	"example.com/beamredis/redisio/internal/rdb"
	"example.com/beamredis/redisio/internal/telemetry"
	"example.com/beamredis/redisio/message"
	"example.com/beamredis/redisio/topic"
)

func init() {
	register.DoFn7x2[context.Context, *WatermarkEstimator, beam.BundleFinalization, *Tracker, topic.Partition,
		func(beam.EventTime, message.Message), func(beam.EventTime, message.DeadLetter),
		sdf.ProcessContinuation, error](&ReadFn{})
	takeMissingEstimators()
	register.Emitter2[beam.EventTime, message.Message]()
	register.Emitter2[beam.EventTime, message.DeadLetter]()
}

// ReadFn is the splittable DoFn that reads the partitions of a topic.
type ReadFn struct {
	Config Config

	client *rdb.Client
	times  eventTimes
	direct directAcks
	sdk    *telemetry.SDK // nil: nothing is exported
}

// ErrUnboundedDirect says that the direct runner cannot run a read without end.
var ErrUnboundedDirect = errors.New("the direct runner cannot run a Read without end, because it drops what is left of an unfinished read; " +
	"bound it (WithStopAtLatest, WithStopAt, WithMaxEntries or WithMaxTime) or use --runner=prism")

// Setup connects to nothing yet; it resolves what the configuration refers to.
func (fn *ReadFn) Setup() (err error) {
	if fn.client, err = rdb.Open(fn.Config.Conn); err != nil {
		return err
	}
	fn.sdk = fn.Config.sdk()
	fn.times, err = newEventTimes(&fn.Config)
	return err
}

// SplitRestriction does not split: order within a partition is kept.
func (fn *ReadFn) SplitRestriction(_ topic.Partition, rest Restriction) []Restriction {
	return []Restriction{rest}
}

// RestrictionSize is the number of bytes that waited to be read when the
// partition was last looked at.
func (fn *ReadFn) RestrictionSize(part topic.Partition, rest Restriction) float64 {
	if rest.Ended {
		return 0
	}
	return backlogOf(keyOf(&fn.Config, part.Stream))
}

func keyOf(cfg *Config, stream string) readerKey {
	return readerKey{deployment: cfg.Conn.Fingerprint(), stream: stream, group: cfg.Group}
}

// CreateTracker makes the tracker of a restriction.
func (fn *ReadFn) CreateTracker(rest Restriction) *Tracker { return NewTracker(rest) }

// TruncateRestriction ends the read: the pipeline is being drained.
func (fn *ReadFn) TruncateRestriction(tr *Tracker, _ topic.Partition) Restriction {
	tr.End()
	return tr.Restriction()
}

// InitialWatermarkEstimatorState is the state before anything was read.
func (fn *ReadFn) InitialWatermarkEstimatorState(_ beam.EventTime, _ Restriction, _ topic.Partition) int64 {
	return noWatermark
}

// CreateWatermarkEstimator makes the estimator from its state.
func (fn *ReadFn) CreateWatermarkEstimator(ms int64) *WatermarkEstimator {
	return &WatermarkEstimator{ms: ms}
}

// WatermarkEstimatorState returns the state of an estimator.
func (fn *ReadFn) WatermarkEstimatorState(we *WatermarkEstimator) int64 { return we.state() }

// ProcessElement gives one partition its turn in a bundle. Bundle finalization
// goes through package finalize; the parameter is there because runners look
// for it.
func (fn *ReadFn) ProcessElement(ctx context.Context, we *WatermarkEstimator, _ beam.BundleFinalization, tr *Tracker, part topic.Partition,
	emit func(beam.EventTime, message.Message), emitFailed func(beam.EventTime, message.DeadLetter)) (sdf.ProcessContinuation, error) {
	if err := fn.Config.owns(part); err != nil {
		return sdf.StopProcessing(), err
	}
	t := &turn{cfg: &fn.Config, tr: tr, we: we, bundle: finalize.FromContext(ctx), times: fn.times,
		emit: emit, emitFailed: emitFailed, later: fn.direct.later}
	if t.bundle == nil {
		return sdf.StopProcessing(), fn.processDirectly(ctx, t, part)
	}
	m := memoryOf(t.bundle.Connection())
	t.r = m.lease(keyOf(&fn.Config, part.Stream), func() *reader { return newReader(fn.client, &fn.Config, part.Stream) })
	defer m.release(t.r)
	t.r.trace(part)
	t.scope = scopeOf(t.bundle, &fn.Config)
	t.r.begin(tr.Restriction())
	ended, err := t.run(ctx)
	if err == nil {
		err = tr.GetError()
	}
	if err != nil {
		t.r.reset()
		return sdf.StopProcessing(), fmt.Errorf("partition %s: %w", part.Stream, err)
	}
	t.close(ctx)
	if ended {
		return sdf.StopProcessing(), nil
	}
	return sdf.ResumeProcessingIn(0), nil
}

// processDirectly reads to the end at once: the direct runner does not resume.
func (fn *ReadFn) processDirectly(ctx context.Context, t *turn, part topic.Partition) error {
	if !t.tr.IsBounded() {
		return ErrUnboundedDirect
	}
	fn.direct.begin()
	if t.we == nil {
		t.we = &WatermarkEstimator{ms: noWatermark}
	}
	t.r = newReader(fn.client, &fn.Config, part.Stream)
	t.r.trace(part)
	for {
		t.scope = scopeOf(nil, &fn.Config)
		ended, err := t.run(ctx)
		if err == nil {
			err = t.tr.GetError()
		}
		if err != nil {
			return fmt.Errorf("partition %s: %w", part.Stream, err)
		}
		t.close(ctx)
		if ended {
			return nil
		}
		*t = turn{cfg: t.cfg, r: t.r, tr: t.tr, we: t.we, times: t.times, emit: t.emit, emitFailed: t.emitFailed, later: t.later}
	}
}

// FinishBundle notes that everything that was emitted has been processed, and
// has exported what was measured.
func (fn *ReadFn) FinishBundle(_ context.Context, _ func(beam.EventTime, message.Message), _ func(beam.EventTime, message.DeadLetter)) {
	fn.direct.processed()
	fn.sdk.FlushSoon()
}

// Teardown acknowledges what was read where there is no finalization: the
// direct runner calls it at the end of the pipeline, of a failed one as well,
// and does not tell which. So nothing is acknowledged if the bundle was not
// finished, or if a sink of this package has failed since it began; all of it
// is pending then and the next run reads it again. What cannot be seen from
// here is a failure of somebody else's DoFn after this one's FinishBundle: in
// its own FinishBundle, or behind a GroupByKey.
func (fn *ReadFn) Teardown(ctx context.Context) error {
	fn.direct.settle(ctx, fn.Config.Group)
	fn.sdk.Flush(ctx)
	return nil
}
