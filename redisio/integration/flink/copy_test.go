package flink_test

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
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
		{9, 8, []int{1, 1, 1, 1, 1, 1, 1, 2}}, // on two TaskManagers
	} {
		t.Run(fmt.Sprintf("%d on %d", tt.partitions, tt.parallelism), func(t *testing.T) {
			c.slots(t, tt.parallelism)
			s := startRedis(t)
			in := redisio.Topic{Name: "in", Partitions: tt.partitions}
			s.load(in, 0, 1000)
			j := newJob(c, s.Config(), in, tt.parallelism)
			j.begin(t)
			id := j.id(t)
			var got []int
			eventually(t, "every partition has reached its subtask", func() bool {
				got = c.perSubtask(t, id, tt.parallelism, "numRecordsIn")
				return sum(got) == tt.partitions
			})
			slices.Sort(got)
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("partitions per subtask (-want +got):\n%s", diff)
			}
			eventually(t, "everything is copied", func() bool { return s.length(out) == 1000 })
		})
	}
}

// slots adds a TaskManager if the job needs more slots than there are.
func (c *cluster) slots(t *testing.T, wanted int) {
	t.Helper()
	var o struct {
		Total int `json:"slots-total"`
	}
	if err := c.get(t.Context(), "/overview", &o); err != nil {
		t.Fatal(err)
	}
	if o.Total >= wanted {
		return
	}
	c.mustScript(t, "add-taskmanager")
	t.Cleanup(func() {
		c.mustScript(t, "kill-taskmanager")
		eventually(t, "Flink misses the TaskManager", func() bool { return c.get(context.Background(), "/overview", &o) == nil && o.Total < wanted })
	})
}

func sum(counts []int) (total int) {
	for _, n := range counts {
		total += n
	}
	return total
}

// perSubtask is a metric of the reading stage of a job, subtask by subtask; nil
// while Flink does not tell it of all of them.
func (c *cluster) perSubtask(t *testing.T, job string, parallelism int, metric string) []int {
	t.Helper()
	vertex := c.readingStage(t, job)
	if vertex == "" {
		return nil
	}
	return c.metricPerSubtask(t, "/jobs/"+job+"/vertices/"+vertex+"/metrics", parallelism, metric)
}

// readingStage is Flink's name of the stage that reads a topic and writes what it
// reads; empty while Flink does not know it.
func (c *cluster) readingStage(t *testing.T, job string) string {
	t.Helper()
	var graph struct {
		Vertices []struct{ ID, Name string }
	}
	if c.get(t.Context(), "/jobs/"+job, &graph) != nil {
		return ""
	}
	for _, v := range graph.Vertices {
		if strings.Contains(v.Name, "redisio.Write") {
			return v.ID
		}
	}
	return ""
}

func (c *cluster) metricPerSubtask(t *testing.T, path string, parallelism int, metric string) []int {
	t.Helper()
	type value struct{ ID, Value string }
	var known, values []value
	if c.get(t.Context(), path, &known) != nil {
		return nil
	}
	var names []string
	for _, k := range known {
		if strings.Contains(k.ID, "redisio_Write") && strings.HasSuffix(k.ID, "."+metric) {
			names = append(names, k.ID)
		}
	}
	if len(names) != parallelism || c.get(t.Context(), path+"?get="+url.QueryEscape(strings.Join(names, ",")), &values) != nil {
		return nil
	}
	counts := make([]int, parallelism)
	for _, v := range values {
		index, _, _ := strings.Cut(v.ID, ".")
		subtask, err := strconv.Atoi(index)
		if err != nil || subtask >= parallelism {
			t.Fatalf("metric %+v: %v", v, err)
		}
		if counts[subtask], err = strconv.Atoi(v.Value); err != nil {
			t.Fatalf("metric %+v: %v", v, err)
		}
	}
	return counts
}
