package flink_test

import (
	"fmt"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"example.com/beamredis/redisio"
)

// boot is Beam's program that TaskManagers run to get a PROCESS worker: it
// fetches the staged binary, which is this test, and runs it.
var boot = sync.OnceValues(func() (string, error) {
	c, err := theCluster()
	if err != nil {
		return "", err
	}
	path := filepath.Join(c.dir, "boot")
	out, err := exec.Command("go", "build", "-o", path, "github.com/apache/beam/sdks/v2/go/container").CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("%w: %s", err, out)
	}
	return path, nil
})

func (j *job) inProcesses(t *testing.T) {
	t.Helper()
	path, err := boot()
	if err != nil {
		t.Fatal(err)
	}
	j.flags["environment_type"] = "PROCESS"
	j.flags["environment_config"] = fmt.Sprintf(`{"command":%q}`, path)
	j.flags["on_interrupt"] = "cancel"
}

func TestKillsInTheMiddleOfACopyLoseNothing(t *testing.T) {
	c := flink(t)
	for _, tt := range []struct {
		name      string
		processes bool
		kill      string // what of the TaskManager, beside itself
	}{
		{"TaskManager, loopback workers", false, ""},
		{"TaskManager and workers", true, "--workers"},
		{"TaskManager, orphaned workers", true, ""},
		{"workers", true, "--workers-only"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := startRedis(t)
			in := redisio.Topic{Name: "in", Partitions: 4}
			const n = 100_000
			s.load(in, 0, n)
			j := newJob(c, s.Config(), in, 2, redisio.WithStopAtLatest())
			if tt.processes {
				j.inProcesses(t)
			}
			j.pause = 200 * time.Microsecond
			ended := j.begin(t)
			rounds := sized(1, 5)
			for round := range rounds {
				copied := s.length(out)
				eventually(t, "the copy goes on, and a checkpoint completes", func() bool {
					return s.length(out) > copied+n/20 && c.checkpoints(t.Context(), j.id(t)) > round
				})
				c.kill(t, tt.kill)
				t.Logf("round %d: killed at %d entries", round+1, s.length(out))
			}
			if err := <-ended; err != nil {
				t.Fatal(err)
			}
			if !c.failed(t.Context(), j.id(t)) {
				t.Error("the job was never interrupted: this proves nothing")
			}
			repeated := s.wantAtLeastOnce(n)
			t.Logf("%d entries were copied again", repeated)
			eventually(t, "nothing is pending", func() bool { return s.pending(in) == 0 })
		})
	}
}

// kill kills the TaskManager, and starts another.
func (c *cluster) kill(t *testing.T, what string) {
	t.Helper()
	args := []string{"kill-taskmanager"}
	if what != "" {
		args = append(args, what)
	}
	c.mustScript(t, args...)
	if what != "--workers-only" {
		c.mustScript(t, "add-taskmanager")
	}
}

func TestSavepointGoesOnAtAnotherParallelism(t *testing.T) {
	c := flink(t)
	s := startRedis(t)
	in := redisio.Topic{Name: "in", Partitions: 4}
	const half, n = 40_000, 80_000
	s.load(in, 0, half)
	before := newJob(c, s.Config(), in, 2)
	before.pause = 200 * time.Microsecond
	ended := before.begin(t)
	eventually(t, "the copy is under way", func() bool { return s.length(out) > half/4 })
	savepoint := c.stopWithSavepoint(t, before.id(t))
	if err := <-ended; err != nil {
		t.Fatal(err)
	}
	copied := s.length(out)
	t.Logf("stopped at %d of %d entries", copied, half)
	if pending := s.pending(in); copied == half || pending > half-copied {
		t.Errorf("%d entries are pending and %d were not copied", pending, half-copied)
	}
	s.load(in, half, n)
	after := newJob(c, s.Config(), in, 4)
	after.flags["savepoint_path"] = savepoint
	after.begin(t)
	eventually(t, "everything is copied", func() bool { return s.length(out) >= n })
	eventually(t, "everything is acknowledged", func() bool { return s.pending(in) == 0 })
	s.wantExactlyOnce(n)
}
