package redisio

import (
	"testing"

	"github.com/apache/beam/sdks/v2/go/pkg/beam"
	"github.com/apache/beam/sdks/v2/go/pkg/beam/runners/direct" //nolint:staticcheck // deprecated, and still in use

	"example.com/beamredis/redisio/internal/redistest"
)

// What a failed pipeline on the direct runner did not write is not
// acknowledged.
func TestAttackDirectRunnerFailedPipelineAcknowledgesNothing(t *testing.T) {
	s := redistest.Start(t)
	addOrders(t, s, "a", "b", "c")
	if err := s.Client().Set(t.Context(), "out:0", "not a stream", 0).Err(); err != nil {
		t.Fatal(err)
	}
	p, root := beam.NewPipelineWithRoot()
	msgs := Read(root, s.Config(), orders, "g", WithStart(StartEarliest()), WithStopAtLatest())
	Write(root, s.Config(), Topic{Name: "out", Partitions: 1}, msgs)
	if _, err := direct.Execute(t.Context(), p); err == nil {
		t.Fatal("the pipeline did not fail")
	}
	if n := s.Client().XPending(t.Context(), "orders:0", "g").Val().Count; n != 3 {
		t.Errorf("%d entries are pending, want the 3 that were not written", n)
	}
}
