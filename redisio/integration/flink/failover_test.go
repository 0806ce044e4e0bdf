package flink_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"example.com/beamredis/redisio"
	"example.com/beamredis/redisio/sdf"
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
		once      bool     // in idempotent mode
		kills     []string // what of the TaskManager is killed, round by round
	}{
		{"loopback workers", false, false, []string{""}},
		{"workers in processes", true, false, []string{"--workers", "", "--workers-only", "--workers", "", "--workers-only"}},
		{"workers in processes, written once", true, true, []string{"", "--workers-only", "--workers"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := startRedis(t)
			in := redisio.Topic{Name: "in", Partitions: 4}
			n := sized(100_000, 1_000_000)
			s.load(in, 0, n)
			j := newJob(c, s.Config(), in, 2, redisio.WithStopAtLatest())
			if tt.processes {
				j.inProcesses(t)
			}
			if tt.once {
				j.write = append(j.write, redisio.WithIdempotence("copy"))
			}
			j.pause = time.Duration(sized(200, 20)) * time.Microsecond
			j.limit = time.Duration(sized(4, 15)) * time.Minute
			ended := j.begin(t)
			for round, kill := range tt.kills {
				s.awaitProgress(t, j, n/20)
				c.kill(t, kill)
				t.Logf("round %d (%s): killed at %d entries", round+1, kill, s.length(out))
			}
			if err := <-ended; err != nil {
				t.Fatal(err)
			}
			if !c.failed(t.Context(), j.id(t)) {
				t.Error("the job was never interrupted: this proves nothing")
			}
			repeated := s.wantAtLeastOnce(n)
			t.Logf("%d entries were copied again", repeated)
			if tt.once && repeated > 0 {
				t.Errorf("%d entries were written more than once", repeated)
			}
			eventually(t, "nothing is pending", func() bool { return s.pending(in) == 0 })
		})
	}
}

// awaitProgress waits until the copy has made some more entries, and a
// checkpoint after that.
func (s *server) awaitProgress(t *testing.T, j *job, entries int) {
	t.Helper()
	copied := s.length(out)
	eventually(t, "the copy goes on", func() bool { return s.length(out) > copied+entries })
	done := j.cluster.checkpoints(t.Context(), j.id(t))
	eventually(t, "a checkpoint completes", func() bool { return j.cluster.checkpoints(t.Context(), j.id(t)) > done })
}

// TestAZombieWorkerLosesAndDisordersNothing: workers that were only asleep when
// their TaskManager died wake up beside their successors. In idempotent mode
// nothing that they go on with is written twice.
func TestAZombieWorkerLosesAndDisordersNothing(t *testing.T) {
	c := flink(t)
	for _, tt := range []struct {
		name  string
		write []redisio.WriteOption
	}{
		{"at least once", nil},
		{"written once", []redisio.WriteOption{redisio.WithIdempotence("copy")}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := startRedis(t)
			in := redisio.Topic{Name: "in", Partitions: 4}
			const n = 60_000
			s.load(in, 0, n)
			j := newJob(c, s.Config(), in, 2, redisio.WithStopAtLatest())
			j.inProcesses(t)
			j.write, j.pause = tt.write, 200*time.Microsecond
			ended := j.begin(t)
			s.awaitProgress(t, j, n/20)
			zombies := c.workers(t)
			if len(zombies) == 0 {
				t.Fatal("no worker process was found")
			}
			signalAll(t, zombies, syscall.SIGSTOP)
			t.Cleanup(func() { signalAll(t, zombies, syscall.SIGCONT) })
			c.kill(t, "")
			s.awaitProgress(t, j, n/20)
			copied := s.length(out)
			signalAll(t, zombies, syscall.SIGCONT)
			if copied >= n {
				t.Error("the copy was done before the workers woke up: this proves nothing")
			}
			if err := <-ended; err != nil {
				t.Fatal(err)
			}
			repeated := s.wantAtLeastOnce(n)
			t.Logf("%d workers woke up at %d entries; %d entries were copied again", len(zombies), copied, repeated)
			if tt.write != nil && repeated > 0 {
				t.Errorf("%d entries were written more than once", repeated)
			}
			eventually(t, "nothing is pending", func() bool { return s.pending(in) == 0 })
		})
	}
}

// workers returns the process IDs of the PROCESS workers of the TaskManagers:
// what runs in the process group of one, beside it and the boot program.
func (c *cluster) workers(t *testing.T) (pids []int) {
	t.Helper()
	groups := map[string]bool{}
	files, err := filepath.Glob(filepath.Join(c.dir, "taskmanager-*.pid"))
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		text, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		groups[strings.TrimSpace(string(text))] = true
	}
	list, err := exec.CommandContext(t.Context(), "ps", "-A", "-ww", "-o", "pid=,pgid=,args=").Output()
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(list)) {
		f := strings.Fields(line)
		if len(f) > 3 && groups[f[1]] && strings.HasPrefix(f[3], "--worker") {
			pid, err := strconv.Atoi(f[0])
			if err != nil {
				t.Fatal(err)
			}
			pids = append(pids, pid)
		}
	}
	return pids
}

// signalAll signals those of the processes that still run.
func signalAll(t *testing.T, pids []int, sig syscall.Signal) {
	t.Helper()
	for _, pid := range pids {
		if err := syscall.Kill(pid, sig); err != nil && !errors.Is(err, syscall.ESRCH) {
			t.Errorf("%v to worker %d: %v", sig, pid, err)
		}
	}
}

func TestTheJobServerMayBeRestartedWhileAJobRuns(t *testing.T) {
	c := flink(t)
	s := startRedis(t)
	in := redisio.Topic{Name: "in", Partitions: 4}
	const n = 40_000
	s.load(in, 0, n)
	j := newJob(c, s.Config(), in, 2, redisio.WithStopAtLatest())
	j.pause = 200 * time.Microsecond
	ended := j.begin(t)
	s.awaitProgress(t, j, n/20)
	c.mustScript(t, "restart-jobserver")
	if s.length(out) >= n {
		t.Error("the copy was done before the job server was gone: this proves nothing")
	}
	if err := <-ended; err != nil {
		t.Fatal(err)
	}
	s.wantExactlyOnce(n)
	s.wantNothingPending(in)
	if c.failed(t.Context(), j.id(t)) {
		t.Error("the job was interrupted")
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
	s.wantRefused(t, c, savepoint)
	after := newJob(c, s.Config(), in, 4)
	after.flags["savepoint_path"] = savepoint
	after.begin(t)
	eventually(t, "everything is copied", func() bool { return s.length(out) >= n })
	eventually(t, "everything is acknowledged", func() bool { return s.pending(in) == 0 })
	s.wantExactlyOnce(n)
	// The elements came with the state, so what counts is what was read of them.
	eventually(t, "each of four subtasks reads one of four partitions", func() bool {
		read := c.perSubtask(t, after.id(t), 4, "redisio_entries_read")
		return read != nil && !slices.Contains(read, 0)
	})
}

// wantRefused: a savepoint of four partitions is nothing for a topic of eight.
func (s *server) wantRefused(t *testing.T, c *cluster, savepoint string) {
	t.Helper()
	other := newJob(c, s.Config(), redisio.Topic{Name: "in", Partitions: 8}, 2)
	other.flags["savepoint_path"] = savepoint
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	err := other.run(ctx)
	if err == nil || !strings.Contains(err.Error(), sdf.ErrOtherPartitions.Error()) || !strings.Contains(err.Error(), "of 4, the pipeline's topic has 8 partitions") {
		t.Errorf("a savepoint of 4 partitions and a topic of 8: error %v", err)
	}
	eventually(t, "Flink is rid of the refused job", func() bool { return c.idle(t.Context()) })
}
