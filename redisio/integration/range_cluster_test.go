package integration_test

import (
	"fmt"
	"testing"

	"github.com/apache/beam/sdks/v2/go/pkg/beam"
	"github.com/apache/beam/sdks/v2/go/pkg/beam/register"
	"github.com/redis/go-redis/v9"

	"example.com/beamredis/redisio"
	"example.com/beamredis/redisio/internal/redistest"
)

func init() {
	register.Function1x0(discardMessage)
	register.Function2x0(onlyFirstPartition)
}

func discardMessage(redisio.Message) {}

func onlyFirstPartition(m redisio.Message, emit func(redisio.Message)) {
	if m.Stream == in.Key(0) {
		emit(m)
	}
}

// TestRangesOfAClusterAreReadAndKeepTheirIDs: partitions are on different nodes,
// and every round trip of a range stays on one.
func TestRangesOfAClusterAreReadAndKeepTheirIDs(t *testing.T) {
	c := redistest.StartCluster(t)
	const n = 2000
	for i := range n {
		stream := in.Key(i % in.Partitions)
		if err := c.Client().XAdd(t.Context(), &redis.XAddArgs{Stream: stream, ID: fmt.Sprintf("%d-0", i+1), Values: []any{"n", i}}).Err(); err != nil {
			t.Fatal(err)
		}
	}
	got := newSeen()
	p, scope := beam.NewPipelineWithRoot()
	msgs := redisio.ReadRange(scope, c.Config(), in, redisio.Earliest(), redisio.Latest(), redisio.WithRangeEntries(100), redisio.WithGroupAtEnd(group))
	beam.ParDo0(scope, discardMessage, watched(scope, got.watch(), msgs))
	copied := redisio.ReadRange(scope, c.Config(), in, redisio.Earliest(), redisio.Latest(), redisio.WithOrder())
	redisio.Write(scope, c.Config(), redisio.Topic{Name: "copy", Partitions: 1}, beam.ParDo(scope, onlyFirstPartition, copied), redisio.WithEntryIDs())
	if err := runPipeline(t.Context(), p); err != nil {
		t.Fatal(err)
	}
	if got.len() != n {
		t.Errorf("%d entries were read, want %d", got.len(), n)
	}
	for key, times := range got.counts {
		if times != 1 {
			t.Errorf("%s was read %d times", key, times)
		}
	}
	a, b := c.Client().XRange(t.Context(), in.Key(0), "-", "+").Val(), c.Client().XRange(t.Context(), "copy:0", "-", "+").Val()
	if len(b) != n/in.Partitions || a[0].ID != b[0].ID || a[len(a)-1].ID != b[len(b)-1].ID {
		t.Errorf("%d entries of %d were copied", len(b), len(a))
	}
	for i := range in.Partitions {
		groups := c.Client().XInfoGroups(t.Context(), in.Key(i)).Val()
		if len(groups) != 1 || groups[0].LastDeliveredID != fmt.Sprintf("%d-0", n-in.Partitions+i+1) {
			t.Errorf("groups of %s: %+v", in.Key(i), groups)
		}
	}
}
