package flink_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
)

// cluster is a Flink that scripts/flink runs: one for this package, or that of
// FLINK_RUN if the environment names one.
type cluster struct {
	dir      string // its FLINK_RUN
	own      bool   // started here, and ended with the tests
	rest     string
	endpoint string // of the job server
}

// theCluster is started by the first test that needs it and ended by TestMain.
var theCluster = sync.OnceValues(startCluster)

var errNoJava = errors.New("no Java or no Maven on the PATH")

// flink returns the cluster, or skips the test where there can be none; on CI
// that is a failure.
func flink(t *testing.T) *cluster {
	t.Helper()
	if os.Getenv("BEAMREDIS_FLINK") != "1" {
		t.Skip("SKIPPED, this proves nothing: scripts/test runs the tests on Flink")
	}
	c, err := theCluster()
	if errors.Is(err, errNoJava) && os.Getenv("CI") != "true" {
		t.Skipf("SKIPPED, this proves nothing: %v (Debian: apt-get install openjdk-17-jre-headless maven curl)", err)
	}
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func startCluster() (*cluster, error) {
	for _, tool := range []string{"java", "mvn", "curl"} {
		if _, err := exec.LookPath(tool); err != nil {
			return nil, fmt.Errorf("%w: %w", errNoJava, err)
		}
	}
	c := &cluster{dir: os.Getenv("FLINK_RUN")}
	if c.dir == "" {
		dir, err := os.MkdirTemp("", "beamredis-flink-")
		if err != nil {
			return nil, err
		}
		c.dir, c.own = dir, true
		if _, err := c.script("up"); err != nil {
			return nil, errors.Join(err, os.RemoveAll(dir))
		}
	}
	text, err := os.ReadFile(filepath.Join(c.dir, "cluster"))
	if err != nil {
		return nil, err
	}
	ports := map[string]string{}
	for line := range strings.Lines(string(text)) {
		name, value, _ := strings.Cut(strings.TrimSpace(line), "=")
		ports[name] = value
	}
	c.rest, c.endpoint = "http://localhost:"+ports["FLINK_REST_PORT"], "localhost:"+ports["FLINK_JOB_PORT"]
	return c, nil
}

// stopCluster ends what was started, with its workers.
func stopCluster() error {
	c, err := theCluster()
	if err != nil || !c.own {
		return nil
	}
	_, err = c.script("down")
	return errors.Join(err, os.RemoveAll(c.dir))
}

// script runs scripts/flink on the cluster.
func (c *cluster) script(args ...string) (string, error) {
	cmd := exec.Command("../../../scripts/flink", args...)
	cmd.Env = append(os.Environ(), "FLINK_RUN="+c.dir, "FLINK_REST_PORT=0", "FLINK_JOB_PORT=0")
	out, err := cmd.CombinedOutput()
	if err != nil {
		return string(out), fmt.Errorf("scripts/flink %s: %w: %s", strings.Join(args, " "), err, out)
	}
	return string(out), nil
}

func (c *cluster) mustScript(t *testing.T, args ...string) {
	t.Helper()
	if _, err := c.script(args...); err != nil {
		t.Fatal(err)
	}
}

// get asks Flink's REST.
func (c *cluster) get(ctx context.Context, path string, into any) error {
	return c.call(ctx, http.MethodGet, path, nil, into)
}

func (c *cluster) call(ctx context.Context, method, path string, body, into any) error {
	var text bytes.Buffer // Flink refuses a GET that has a body
	if body != nil {
		if err := json.NewEncoder(&text).Encode(body); err != nil {
			return err
		}
	}
	req, err := http.NewRequestWithContext(ctx, method, c.rest+path, &text)
	if err != nil {
		return err
	}
	req.Header.Set("Content-Type", "application/json")
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if resp.StatusCode >= 300 {
		return fmt.Errorf("%s %s: %s", method, path, resp.Status)
	}
	if into == nil {
		return nil
	}
	return json.NewDecoder(resp.Body).Decode(into)
}

// jobID is Flink's name for the newest job called name; empty if there is none.
func (c *cluster) jobID(ctx context.Context, name string) string {
	var list struct {
		Jobs []struct{ JID, Name string }
	}
	if c.get(ctx, "/jobs/overview", &list) != nil {
		return ""
	}
	for _, j := range list.Jobs {
		if j.Name == name {
			return j.JID
		}
	}
	return ""
}

// state is what Flink calls the state of the newest job called name.
func (c *cluster) state(ctx context.Context, name string) string {
	var job struct{ State string }
	if c.get(ctx, "/jobs/"+c.jobID(ctx, name), &job) != nil {
		return ""
	}
	return job.State
}

// checkpoints is the number of completed checkpoints of a job.
func (c *cluster) checkpoints(ctx context.Context, job string) int {
	var stats struct{ Counts struct{ Completed int } }
	if c.get(ctx, "/jobs/"+job+"/checkpoints", &stats) != nil {
		return 0
	}
	return stats.Counts.Completed
}

// failed reports whether the job was interrupted by a failure.
func (c *cluster) failed(ctx context.Context, job string) bool {
	var history struct {
		Root string `json:"root-exception"`
	}
	return c.get(ctx, "/jobs/"+job+"/exceptions", &history) == nil && history.Root != ""
}

// stopWithSavepoint stops the job and returns where its state is.
func (c *cluster) stopWithSavepoint(t *testing.T, job string) string {
	t.Helper()
	var trigger struct {
		ID string `json:"request-id"`
	}
	if err := c.call(t.Context(), http.MethodPost, "/jobs/"+job+"/stop", map[string]any{"targetDirectory": "file://" + c.dir + "/savepoints"}, &trigger); err != nil {
		t.Fatal(err)
	}
	var location string
	eventually(t, "the savepoint is written", func() bool {
		var state struct {
			Status    struct{ ID string }
			Operation struct {
				Location     string
				FailureCause json.RawMessage `json:"failure-cause"`
			}
		}
		if err := c.get(t.Context(), "/jobs/"+job+"/savepoints/"+trigger.ID, &state); err != nil {
			t.Fatal(err)
		}
		if state.Operation.FailureCause != nil {
			t.Fatalf("savepoint: %s", state.Operation.FailureCause)
		}
		location = state.Operation.Location
		return state.Status.ID == "COMPLETED"
	})
	return location
}

// eventually polls ok until it is true, and fails the test after two minutes.
func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(2 * time.Minute); !ok(); {
		if time.Now().After(deadline) {
			t.Fatalf("%s: not within two minutes", what)
		}
		<-time.After(50 * time.Millisecond)
	}
}
