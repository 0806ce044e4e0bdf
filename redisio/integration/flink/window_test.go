package flink_test

import (
	"strconv"
	"testing"
	"time"

	"github.com/apache/beam/sdks/v2/go/pkg/beam"
	"github.com/apache/beam/sdks/v2/go/pkg/beam/core/graph/window"
	"github.com/apache/beam/sdks/v2/go/pkg/beam/register"
	"github.com/apache/beam/sdks/v2/go/pkg/beam/transforms/stats"

	"example.com/beamredis/redisio"
)

func init() {
	register.Function1x1(streamOf)
	register.Function2x1(countMessage)
}

func streamOf(m redisio.Message) string { return m.Stream }

// countMessage says how many entries a window had of a stream.
func countMessage(stream string, n int) redisio.Message {
	return redisio.Message{Key: stream, Fields: []redisio.Field{{Name: "count", Value: strconv.Itoa(n)}}}
}

// TestWindowsFireWhileAPartitionIsIdle: three of the four partitions never get
// an entry. Their watermarks are the server's clock, so the windows of the
// fourth end all the same.
func TestWindowsFireWhileAPartitionIsIdle(t *testing.T) {
	c := flink(t)
	s := startRedis(t)
	in := redisio.Topic{Name: "in", Partitions: 4}
	const n = 100
	for i := range n {
		if err := s.client.Do(t.Context(), "xadd", "in:2", "*", "_key", "k", "n", i).Err(); err != nil {
			t.Fatal(err)
		}
	}
	j := newJob(c, s.Config(), in, 2)
	j.build = func(scope beam.Scope, msgs beam.PCollection) {
		streams := beam.ParDo(scope, streamOf, beam.WindowInto(scope, window.NewFixedWindows(time.Second), msgs))
		counts := beam.ParDo(scope, countMessage, stats.Count(scope, streams))
		redisio.Write(scope, s.Config(), out, counts)
	}
	j.begin(t)
	total := 0
	eventually(t, "the windows have fired", func() bool {
		total = 0
		for _, p := range out.Parts() {
			entries, err := s.client.XRange(t.Context(), p.Stream, "-", "+").Result()
			if err != nil {
				t.Fatal(err)
			}
			for _, e := range entries {
				count, err := strconv.Atoi(e.Values["count"].(string))
				if err != nil || e.Values["_key"] != "in:2" {
					t.Fatalf("entry %v: %v", e.Values, err)
				}
				total += count
			}
		}
		return total >= n
	})
	if total != n {
		t.Errorf("the windows count %d entries, want %d", total, n)
	}
}
