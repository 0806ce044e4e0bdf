package sdf

import (
	"context"
	"reflect"

	"github.com/apache/beam/sdks/v2/go/pkg/beam"
	"github.com/apache/beam/sdks/v2/go/pkg/beam/core/sdf"
	"github.com/apache/beam/sdks/v2/go/pkg/beam/core/util/reflectx"

	"example.com/beamredis/redisio/internal/finalize"
	"example.com/beamredis/redisio/internal/logs"
	"example.com/beamredis/redisio/message"
	"example.com/beamredis/redisio/topic"
)

type processElement = func(context.Context, *WatermarkEstimator, beam.BundleFinalization, *Tracker, topic.Partition,
	func(beam.EventTime, message.Message), func(beam.EventTime, message.DeadLetter)) (sdf.ProcessContinuation, error)

// processCaller calls ProcessElement. The direct runner (Beam 2.77,
// exec.SdfFallback) has no watermark estimators and hands over a bare nil,
// which the caller that package register makes panics at.
type processCaller struct{ fn processElement }

var _ reflectx.Func7x2 = processCaller{}

// takeMissingEstimators has to be called after the DoFn was registered: the
// last registration wins.
func takeMissingEstimators() {
	reflectx.RegisterFunc(reflect.TypeFor[processElement](), func(fn any) reflectx.Func { return processCaller{fn.(processElement)} })
}

// Name returns the name of the function.
func (c processCaller) Name() string { return reflectx.FunctionName(c.fn) }

// Type returns the type of the function.
func (c processCaller) Type() reflect.Type { return reflect.TypeOf(c.fn) }

// Call calls the function with as many arguments as it has.
func (c processCaller) Call(args []any) []any {
	r0, r1 := c.Call7x2(args[0], args[1], args[2], args[3], args[4], args[5], args[6])
	return []any{r0, r1}
}

// Call7x2 calls the function; a missing estimator is nil.
func (c processCaller) Call7x2(ctx, we, bf, tr, part, emit, emitFailed any) (any, any) {
	estimator, _ := we.(*WatermarkEstimator)
	return c.fn(ctx.(context.Context), estimator, bf.(beam.BundleFinalization), tr.(*Tracker), part.(topic.Partition),
		emit.(func(beam.EventTime, message.Message)), emitFailed.(func(beam.EventTime, message.DeadLetter)))
}

// directAcks are the acknowledgements of a run on the direct runner, which
// knows no finalization. The zero value has none.
type directAcks struct {
	waiting  []func(context.Context)
	begun    bool
	failures int64 // of sinks in this process, when the first of it was read
	finished bool  // everything that waits has been processed
}

// begin has to be called before anything is emitted.
func (d *directAcks) begin() {
	if !d.begun {
		d.begun, d.failures = true, finalize.SinkFailures()
	}
	d.finished = false
}

func (d *directAcks) later(ack func(context.Context)) { d.waiting = append(d.waiting, ack) }

func (d *directAcks) processed() { d.finished = true }

// settle acknowledges what waits, unless something may not have been written.
func (d *directAcks) settle(ctx context.Context, group string) {
	switch whole := d.finished && finalize.SinkFailures() == d.failures; {
	case whole:
		for _, ack := range d.waiting {
			ack(ctx)
		}
	case d.begun:
		logs.Log.WarnContext(ctx, "the pipeline failed: what it read stays pending, and the next run is given it again", "group", group)
	}
	*d = directAcks{}
}
