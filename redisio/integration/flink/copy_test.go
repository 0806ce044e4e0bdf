package flink_test

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"example.com/beamredis/redisio"
)

func TestCopyEndsExactAndAcknowledged(t *testing.T) {
	c := flink(t)
	const n = 100_000
	for _, parallelism := range []int{2, 4} {
		t.Run(fmt.Sprint("parallelism ", parallelism), func(t *testing.T) {
			s := startRedis(t)
			in := redisio.Topic{Name: "in", Partitions: 4}
			s.load(in, 0, n)
			newJob(c, s.Config(), in, parallelism, redisio.WithStopAtLatest()).mustRun(t)
			s.wantExactlyOnce(n)
			s.wantNothingPending(in)
		})
	}
}

func TestNothingIsAcknowledgedBeforeACheckpoint(t *testing.T) {
	c := flink(t)
	const n = 20_000
	s := startRedis(t)
	in := redisio.Topic{Name: "in", Partitions: 4}
	s.load(in, 0, n)
	j := newJob(c, s.Config(), in, 2)
	j.flags["checkpointing_interval"] = "1h" // this test triggers them
	j.begin(t)
	eventually(t, "everything is copied", func() bool { return s.length(out) == n })
	if got := s.pending(in); got != n {
		t.Errorf("%d entries are pending before the first checkpoint, want %d", got, n)
	}
	id := j.id(t)
	if got := c.checkpoints(t.Context(), id); got != 0 {
		t.Fatalf("%d checkpoints were taken already: this test proves nothing", got)
	}
	var trigger map[string]any
	if err := c.call(t.Context(), http.MethodPost, "/jobs/"+id+"/checkpoints", map[string]any{"checkpointType": "FULL"}, &trigger); err != nil {
		t.Fatal(err)
	}
	eventually(t, "everything is acknowledged", func() bool { return s.pending(in) == 0 })
	eventually(t, "Flink tells of one checkpoint", func() bool { return c.checkpoints(t.Context(), id) == 1 })
	s.wantExactlyOnce(n)
}

func TestSubtasksShareThePartitions(t *testing.T) {
	c := flink(t)
	for _, tt := range []struct {
		partitions, parallelism int
		want                    []int
	}{
		{4, 2, []int{2, 2}},
		{7, 3, []int{2, 2, 3}},
		{8, 4, []int{2, 2, 2, 2}},
	} {
		t.Run(fmt.Sprintf("%d on %d", tt.partitions, tt.parallelism), func(t *testing.T) {
			s := startRedis(t)
			in := redisio.Topic{Name: "in", Partitions: tt.partitions}
			j := newJob(c, s.Config(), in, tt.parallelism)
			j.begin(t)
			id := j.id(t)
			var got []int
			eventually(t, "every partition has reached its subtask", func() bool {
				got = c.elementsPerSubtask(t, id, tt.parallelism)
				return sum(got) == tt.partitions
			})
			slices.Sort(got)
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("partitions per subtask (-want +got):\n%s", diff)
			}
		})
	}
}

func sum(counts []int) (total int) {
	for _, n := range counts {
		total += n
	}
	return total
}

// elementsPerSubtask is how many elements each subtask of the reading stage got:
// one for each partition.
func (c *cluster) elementsPerSubtask(t *testing.T, job string, parallelism int) []int {
	t.Helper()
	var graph struct {
		Vertices []struct{ ID, Name string }
	}
	if c.get(t.Context(), "/jobs/"+job, &graph) != nil {
		return nil
	}
	for _, v := range graph.Vertices {
		if !strings.Contains(v.Name, "redisio.Write") {
			continue
		}
		counts := make([]int, parallelism)
		var names []string
		for i := range counts {
			names = append(names, fmt.Sprint(i, ".numRecordsIn"))
		}
		var metrics []struct {
			ID    string
			Value string
		}
		if c.get(t.Context(), "/jobs/"+job+"/vertices/"+v.ID+"/metrics?get="+strings.Join(names, ","), &metrics) != nil {
			return nil
		}
		for _, m := range metrics {
			var subtask, n int
			_, errs := fmt.Sscanf(m.ID+" "+m.Value, "%d.numRecordsIn %d", &subtask, &n)
			if errs != nil {
				t.Fatalf("metric %+v: %v", m, errs)
			}
			counts[subtask] = n
		}
		return counts
	}
	return nil
}
