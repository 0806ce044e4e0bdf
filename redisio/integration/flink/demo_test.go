package flink_test

import (
	"context"
	"fmt"
	"os/exec"
	"path/filepath"
	"regexp"
	"testing"
	"time"

	"example.com/beamredis/redisio"
)

// whole is the last row of the demo's table: all in, some delivered again, none
// lost, none pending.
var whole = regexp.MustCompile(`(?m)^ +all +20,000 +[1-9][0-9,]* +[0-9,]+ +0 +0$`)

// TestTheDemoOfFailuresLosesNothing runs the program as a user does. Its workers
// fail again and again, and Flink restarts the job from checkpoints.
func TestTheDemoOfFailuresLosesNothing(t *testing.T) {
	c := flink(t)
	program := filepath.Join(t.TempDir(), "failover")
	if text, err := exec.Command("go", "build", "-o", program, "example.com/beamredis/pipelines/failover").CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, text)
	}
	for _, processes := range []bool{false, true} {
		t.Run(fmt.Sprintf("PROCESS=%v", processes), func(t *testing.T) {
			s := startRedis(t)
			j := newJob(c, s.Config(), redisio.Topic{Name: "failover-in", Partitions: 4}, 2)
			if processes {
				j.inProcesses(t)
			}
			ctx, cancel := context.WithTimeout(t.Context(), 4*time.Minute)
			defer cancel()
			text, err := exec.CommandContext(ctx, program, "--redis=redis://"+s.Addr(), "--count=20000", "--fail_rate=0.0002", "--max_failures=10",
				"--runner=flink-streaming", "--endpoint="+c.endpoint, "--flink_rest="+c.rest, "--job_name="+j.name, "--parallelism=2",
				"--environment_type="+j.flags["environment_type"], "--environment_config="+j.flags["environment_config"],
				"--on_interrupt=cancel", "--execution_retry_delay=500ms").CombinedOutput()
			if err != nil || !whole.Match(text) {
				t.Fatalf("%v:\n%s", err, text)
			}
			t.Logf("%s", text)
			if !c.failed(t.Context(), c.jobID(t.Context(), j.name)) {
				t.Error("Flink knows of no failure: this proves nothing")
			}
		})
	}
}
