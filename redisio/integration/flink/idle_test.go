package flink_test

import (
	"context"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"example.com/beamredis/redisio"
)

// TestAnIdleTopicStaysFlat watches a job that has nothing to read: neither its
// checkpoints nor its commands may grow with time.
func TestAnIdleTopicStaysFlat(t *testing.T) {
	if os.Getenv("BEAMREDIS_LONG") != "1" {
		t.Skip("SKIPPED, takes ten minutes: run scripts/test --long")
	}
	c := flink(t)
	s := startRedis(t)
	in := redisio.Topic{Name: "in", Partitions: 4}
	s.load(in, 0, 1000)
	j := newJob(c, s.Config(), in, 2)
	j.limit = 15 * time.Minute
	j.begin(t)
	eventually(t, "everything is copied and acknowledged", func() bool { return s.length(out) == 1000 && s.pending(in) == 0 })
	id := j.id(t)
	const samples = 20
	var sizes, rates []float64
	tick := time.NewTicker(30 * time.Second)
	defer tick.Stop()
	for before := s.commands(t); len(rates) < samples; {
		<-tick.C
		now := s.commands(t)
		rates = append(rates, float64(now-before)/30)
		before = now
		sizes = append(sizes, float64(c.checkpointSize(t.Context(), id)))
		t.Logf("%v: checkpoint %.0f bytes, %.1f commands/s", time.Duration(len(rates))*30*time.Second, sizes[len(sizes)-1], rates[len(rates)-1])
	}
	for what, series := range map[string][]float64{"checkpoint size": sizes, "commands per second": rates} {
		first, last := slices.Max(series[:samples/2]), slices.Max(series[samples/2:])
		if last > 1.1*first || first == 0 {
			t.Errorf("%s: at most %.0f in the first half, %.0f in the second", what, first, last)
		}
	}
}

// commands is how many commands the server has processed.
func (s *server) commands(t *testing.T) int {
	t.Helper()
	info, err := s.client.Info(t.Context(), "stats").Result()
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(info, "total_commands_processed:")
	n, err := strconv.Atoi(strings.TrimSpace(strings.SplitN(rest, "\n", 2)[0]))
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// checkpointSize is the size of the latest completed checkpoint's state.
func (c *cluster) checkpointSize(ctx context.Context, job string) int {
	var stats struct {
		Latest struct {
			Completed struct {
				Size int `json:"state_size"`
			}
		}
	}
	if c.get(ctx, "/jobs/"+job+"/checkpoints", &stats) != nil {
		return 0
	}
	return stats.Latest.Completed.Size
}
