package integration_test

import (
	"context"
	"sync/atomic"
	"testing"
	"time"

	"example.com/beamredis/redisio"
)

// highest is a level that goes up and down, and the highest that it had.
type highest struct{ level, most atomic.Int64 }

func (h *highest) up() {
	for now := h.level.Add(1); ; {
		most := h.most.Load()
		if now <= most || h.most.CompareAndSwap(most, now) {
			return
		}
	}
}

func (h *highest) down() { h.level.Add(-1) }

// TestSlowBundlesOnPrismKeepTheOrderPerKey: Prism splits a bundle that makes no
// progress between two of its looks (0.1 s apart, or more), and runs what it
// split off at once beside it.
func TestSlowBundlesOnPrismKeepTheOrderPerKey(t *testing.T) {
	n := sized(2_000, 20_000)
	s := start(t)
	s.load(in, 0, n, entryOf)
	var seen atomic.Int64
	var bundles highest
	job := untilCaughtUp(s, redisio.WithBundleBounds(400, 8<<20, 500*time.Millisecond))
	job.watch = &watch{
		begin: bundles.up,
		end:   bundles.down,
		see: func(context.Context, redisio.Message) error {
			if seen.Add(1)%250 == 1 {
				pause(450 * time.Millisecond)
			}
			return nil
		},
	}
	job.mustRun(t)
	s.wantExactlyOnce(s.arrived(out), n)
	s.wantCaughtUp(in, group)
	if bundles.most.Load() < 2 {
		t.Error("Prism never ran two bundles at once: this test proves nothing")
	}
	t.Logf("%d bundles, up to %d at once", job.watch.bundles.Load(), bundles.most.Load())
}
