package sdf

import (
	"math"
	"sync"
	"testing"
	"time"

	"github.com/apache/beam/sdks/v2/go/pkg/beam/core/graph/mtime"
)

func TestWatermarkRule(t *testing.T) {
	const none, open = noWatermark, int64(math.MaxInt64)
	for name, tc := range map[string]struct {
		w    watermark
		want int64
	}{
		"nothing known":                        {watermark{none, none, false, none, open, 0}, none},
		"behind: the last emitted":             {watermark{1000, none, false, 5000, open, 0}, 1000},
		"behind: an empty read is old news":    {watermark{1000, 4000, false, 5000, open, 0}, 1000},
		"caught up: the clock before the read": {watermark{1000, 4000, true, 5000, open, 0}, 4000},
		"caught up, never emitted":             {watermark{none, 4000, true, 5000, open, 0}, 4000},
		"caught up, entry after the clock":     {watermark{4500, 4000, true, 5000, open, 0}, 4500},
		"never above the server's clock":       {watermark{9000, none, false, 5000, open, 0}, 5000},
		"less the skew":                        {watermark{1000, none, false, 5000, open, 300}, 700},
		"skew below the epoch":                 {watermark{100, none, false, 5000, open, 300}, -200},
		"clock, then skew":                     {watermark{9000, none, false, 5000, open, 300}, 4700},
		"held by a redelivery":                 {watermark{1000, 4000, true, 5000, 70, 0}, 70},
		"a later redelivery holds nothing":     {watermark{1000, none, false, 5000, 2000, 0}, 1000},
		"not opened yet":                       {watermark{1000, none, false, 5000, none, 0}, none},
		"clock unknown":                        {watermark{1000, none, false, none, open, 0}, none},
		"clock unknown, with skew":             {watermark{1000, none, false, none, open, 300}, none},
		"largest ID":                           {watermark{open, none, false, 5000, open, 0}, 5000},
	} {
		if got := tc.w.value(); got != tc.want {
			t.Errorf("%s: %d, want %d", name, got, tc.want)
		}
	}
}

func TestWatermarkNeverGoesBack(t *testing.T) {
	e := &WatermarkEstimator{ms: noWatermark}
	for _, tc := range []struct{ to, want int64 }{{noWatermark, noWatermark}, {500, 500}, {400, 500}, {noWatermark, 500}, {501, 501}} {
		if e.advance(tc.to); e.state() != tc.want {
			t.Errorf("after advance(%d): %d, want %d", tc.to, e.state(), tc.want)
		}
	}
}

func TestWatermarkStaysWithinBeamsTimes(t *testing.T) {
	for ms, want := range map[int64]mtime.Time{
		noWatermark: mtime.MinTimestamp, math.MaxInt64: mtime.MaxTimestamp, 0: 0, 1_700_000_000_123: 1_700_000_000_123,
	} {
		got := (&WatermarkEstimator{ms: ms}).CurrentWatermark()
		if !got.Equal(want.ToTime()) || mtime.FromTime(got) != want {
			t.Errorf("%d: watermark %v, want %v", ms, got, want.ToTime())
		}
	}
}

func TestWatermarkIsReadBesideItsMoves(t *testing.T) {
	e := &WatermarkEstimator{ms: noWatermark}
	var wg sync.WaitGroup
	wg.Go(func() {
		for last := (time.Time{}); ; {
			now := e.CurrentWatermark()
			if now.Before(last) {
				t.Errorf("went back from %v to %v", last, now)
			}
			if last = now; e.state() == 1000 {
				return
			}
		}
	})
	for ms := range int64(1001) {
		e.advance(ms)
	}
	wg.Wait()
}

func TestEventTimeOfAnyID(t *testing.T) {
	for ms, want := range map[uint64]mtime.Time{0: 0, 5: 5, math.MaxInt64: mtime.MaxTimestamp, math.MaxUint64: mtime.MaxTimestamp} {
		if got := eventTime(idTime(ms)); got != want {
			t.Errorf("%d: %v, want %v", ms, got, want)
		}
	}
}
