package telemetry

import (
	"testing"
	"time"

	"go.opentelemetry.io/otel/metric"
)

// Another worker may read a partition by now, and tell of it.
func TestAGaugeForgetsAPartitionThatNobodySetsItFor(t *testing.T) {
	g := &Gauge{Definition: Definition{Namespace: Namespace, Name: "test"}, latest: map[Of]*latest{}}
	now := time.Now()
	g.set(Of{Stream: "in:0"}, 1, now.Add(-staleAfter-time.Second))
	g.set(Of{Stream: "in:1"}, 2, now)
	var told []int64
	g.observe(now, func(v int64, _ ...metric.ObserveOption) { told = append(told, v) })
	if len(told) != 1 || told[0] != 2 || len(g.latest) != 1 {
		t.Errorf("it tells %v, and keeps %d partitions", told, len(g.latest))
	}
}

func TestWhatIsCountedOutsideOfBundlesReachesBeamOnce(t *testing.T) {
	c := newCounter("test", "outside", "", "")
	definitions = definitions[:len(definitions)-1]
	c.AddOutside(t.Context(), 3, At())
	c.Settle(t.Context())
	if c.outside.Load() != 0 || c.Process() != 3 {
		t.Errorf("%d are left, %d counted", c.outside.Load(), c.Process())
	}
}
