package flink_test

import (
	"context"
	"flag"
	"testing"
	"time"

	"github.com/apache/beam/sdks/v2/go/pkg/beam"

	"example.com/beamredis/redisio"
)

// TestRangeIsReadOnceInBatchAndStreaming: either job reads every entry that was
// there at the start once, and ends by itself.
func TestRangeIsReadOnceInBatchAndStreaming(t *testing.T) {
	c := flink(t)
	const n = 100_000
	for _, streaming := range []string{"false", "true"} {
		t.Run("streaming "+streaming, func(t *testing.T) {
			s := startRedis(t)
			in := redisio.Topic{Name: "in", Partitions: 2}
			s.load(in, 0, n)
			j := newJob(c, s.Config(), in, 2)
			j.flags["streaming"] = streaming
			t.Cleanup(func() { _ = flag.Set("streaming", "true") }) // for the tests that follow
			if err := j.flagsSet(); err != nil {
				t.Fatal(err)
			}
			p, scope := beam.NewPipelineWithRoot()
			msgs := redisio.ReadRange(scope, j.conn, in, redisio.Earliest(), redisio.Latest(), redisio.WithRangeEntries(5000), redisio.WithGroupAtEnd(group))
			redisio.Write(scope, j.conn, out, msgs)
			ctx, cancel := context.WithTimeout(t.Context(), 3*time.Minute)
			defer cancel()
			begun := time.Now()
			if _, err := beam.Run(ctx, "flink-streaming", p); err != nil {
				t.Fatal(err)
			}
			t.Logf("the job took %v", time.Since(begun).Round(time.Millisecond))
			for i, ranges := range c.readPerSubtask(t, j.id(t)) {
				if ranges == 0 {
					t.Errorf("subtask %d had nothing to read", i)
				}
			}
			seen := make([]int, n)
			for _, part := range s.arrived() {
				for _, i := range part {
					seen[i]++
				}
			}
			for i, times := range seen {
				if times != 1 {
					t.Fatalf("entry %d arrived %d times", i, times)
				}
			}
			for _, part := range in.Parts() {
				last := s.client.XInfoStream(t.Context(), part.Stream).Val().LastGeneratedID
				groups := s.client.XInfoGroups(t.Context(), part.Stream).Val()
				if len(groups) != 1 || groups[0].LastDeliveredID != last {
					t.Errorf("groups of %s: %+v, want one that stands at %s", part.Stream, groups, last)
				}
			}
		})
	}
}

// readPerSubtask is how many elements each subtask of the reading stage of a job
// that has ended was given.
func (c *cluster) readPerSubtask(t *testing.T, job string) (elements []int) {
	t.Helper()
	var stage struct {
		Subtasks []struct {
			Metrics struct {
				Read int `json:"read-records"`
			}
		}
	}
	vertex := c.readingStage(t, job)
	if err := c.get(t.Context(), "/jobs/"+job+"/vertices/"+vertex, &stage); err != nil || len(stage.Subtasks) == 0 {
		t.Fatalf("stage %s: %+v, %v", vertex, stage, err)
	}
	for _, s := range stage.Subtasks {
		elements = append(elements, s.Metrics.Read)
	}
	return elements
}
