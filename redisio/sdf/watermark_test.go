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

func TestEventWatermarkRule(t *testing.T) {
	const none = noWatermark
	base := eventWatermark{latestMs: 1000, addedMs: 5000, idleMs: 300, emptyMs: none, serverMs: 9000}
	with := func(change func(*eventWatermark)) eventWatermark {
		w := base
		change(&w)
		return w
	}
	for name, tc := range map[string]struct {
		w    eventWatermark
		want int64
	}{
		"the latest event time":        {base, 1000},
		"less the disorder":            {with(func(w *eventWatermark) { w.behindMs = 400 }), 600},
		"nothing emitted":              {with(func(w *eventWatermark) { w.latestMs = none }), none},
		"nothing emitted, in disorder": {with(func(w *eventWatermark) { w.latestMs, w.behindMs = none, 400 }), none},
		"an event of the future":       {with(func(w *eventWatermark) { w.latestMs = 20_000 }), 9000},
		"caught up just now":           {with(func(w *eventWatermark) { w.emptyMs, w.caughtUp = 5299, true }), 1000},
		"idle":                         {with(func(w *eventWatermark) { w.emptyMs, w.caughtUp = 5300, true }), 5300},
		"idle, in disorder":            {with(func(w *eventWatermark) { w.emptyMs, w.caughtUp, w.behindMs = 5300, true, 400 }), 4900},
		"idle before something came":   {with(func(w *eventWatermark) { w.emptyMs = 5300 }), 1000},
		"never anything, and idle":     {with(func(w *eventWatermark) { w.latestMs, w.addedMs, w.emptyMs, w.caughtUp = none, 0, 5300, true }), 5300},
		"an event later than the idle": {with(func(w *eventWatermark) { w.latestMs, w.emptyMs, w.caughtUp = 6000, 5300, true }), 6000},
		"redeliveries to come":         {with(func(w *eventWatermark) { w.held = true }), none},
		"clock unknown":                {with(func(w *eventWatermark) { w.serverMs = none }), none},
	} {
		if got := tc.w.value(); got != tc.want {
			t.Errorf("%s: %d, want %d", name, got, tc.want)
		}
	}
}
