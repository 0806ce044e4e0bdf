package sdf

import (
	"math"
	"sync"
	"time"

	"github.com/apache/beam/sdks/v2/go/pkg/beam/core/graph/mtime"
	"github.com/apache/beam/sdks/v2/go/pkg/beam/core/sdf"
)

// WatermarkEstimator holds a partition's watermark. It has a lock of its own
// because splits ask for the watermark from another goroutine.
type WatermarkEstimator struct {
	mu sync.Mutex
	ms int64
}

var _ sdf.WatermarkEstimator = (*WatermarkEstimator)(nil)

// noWatermark is the state before anything is known.
const noWatermark = int64(math.MinInt64)

// CurrentWatermark returns the watermark, clamped to Beam's range of times.
func (e *WatermarkEstimator) CurrentWatermark() time.Time {
	return eventTime(e.state()).ToTime()
}

func (e *WatermarkEstimator) state() int64 {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.ms
}

// advance moves the watermark to ms. It never goes back.
func (e *WatermarkEstimator) advance(ms int64) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.ms = max(e.ms, ms)
}

// eventTime turns milliseconds since the Unix epoch into an event time within
// the range that Beam allows.
func eventTime(ms int64) mtime.Time {
	return mtime.Normalize(mtime.Time(ms))
}

// idTime is the event time of an ID's milliseconds, which may be any uint64.
func idTime(ms uint64) int64 { return int64(min(ms, math.MaxInt64)) }

// watermark is the pure rule: given what is known at the end of a bundle, how
// far the watermark may go.
type watermark struct {
	emittedMs int64 // time of the last emitted entry's ID; noWatermark if none ever
	emptyMs   int64 // the server's clock from before a read that found nothing
	caughtUp  bool  // that read is later than anything that was emitted
	serverMs  int64 // the latest server clock seen
	holdMs    int64 // time of the oldest redelivery still to come; MaxInt64 if none
	skewMs    int64
}

func (w watermark) value() int64 {
	ms := w.emittedMs
	if w.caughtUp {
		ms = max(ms, w.emptyMs)
	}
	ms = min(ms, w.serverMs)
	if ms == noWatermark { // less the skew it would wrap around
		return noWatermark
	}
	return min(ms-w.skewMs, w.holdMs)
}
