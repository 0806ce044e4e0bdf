package finalize

import (
	"context"
	"sync/atomic"
)

var sinkFailures atomic.Int64

// SinkFailed tells sources of this process that a sink has failed in ctx, where no harness tells them: on the direct runner, which takes DoFns
// down in the same way whether its one bundle went well or not. In a harness it does nothing, because there the bundle itself fails.
func SinkFailed(ctx context.Context) {
	if FromContext(ctx) == nil {
		sinkFailures.Add(1)
	}
}

// SinkFailures returns how often [SinkFailed] was called outside of a harness so far. A source whose count has changed cannot tell whose failure it was,
// and has to take it for that of its own pipeline.
func SinkFailures() int64 { return sinkFailures.Load() }
