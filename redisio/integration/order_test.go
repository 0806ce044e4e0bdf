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
// split off at once beside it. That may be other partitions, but not the rest
// of one.
func TestSlowBundlesOnPrismKeepTheOrderPerKey(t *testing.T) {
	n := sized(1_500, 20_000)
	for _, tt := range []struct {
		name       string
		partitions int
		beside     bool // bundles run beside each other
	}{
		{"partitions are split off", 4, true},
		{"a partition stays whole", 1, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := start(t)
			source := redisio.Topic{Name: "slow", Partitions: tt.partitions}
			s.load(source, 0, n, entryOf)
			bundles, job := slowly(untilCaughtUp(s, redisio.WithBundleBounds(400, 8<<20, 500*time.Millisecond)))
			job.source = source
			job.mustRun(t)
			s.wantExactlyOnce(s.arrived(out), n)
			s.wantCaughtUp(source, group)
			most := bundles.most.Load()
			if most > 1 != tt.beside {
				t.Errorf("Prism ran up to %d bundles at once; want more than one: %v", most, tt.beside)
			}
			t.Logf("%d bundles, up to %d at once", job.watch.bundles.Load(), most)
		})
	}
}

// slowly has j stand still now and then for so long that Prism splits its
// bundles. It counts the bundles that run.
func slowly(j copyJob) (*highest, copyJob) {
	var seen atomic.Int64
	bundles := new(highest)
	j.watch = &watch{
		begin: bundles.up,
		end:   bundles.down,
		see: func(context.Context, redisio.Message) error {
			if seen.Add(1)%250 == 1 {
				pause(450 * time.Millisecond)
			}
			return nil
		},
	}
	return bundles, j
}
