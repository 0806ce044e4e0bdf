// Package access_test proves what the documentation says of connections: that
// programs run on every kind of deployment, which rights a user of Redis needs,
// what is said where a connection cannot be made, and that secrets stay where
// they are.
package access_test

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/apache/beam/sdks/v2/go/pkg/beam"
	_ "github.com/apache/beam/sdks/v2/go/pkg/beam/runners/prism"

	"example.com/beamredis/redisio"
)

// programs is the folder of the programs that the tests have built.
var programs string

func TestMain(m *testing.M) {
	flag.Parse()
	beam.Init()                     // replaces the default logger
	slog.SetDefault(slog.New(&log)) // Prism prints there what workers log
	var err error
	if programs, err = os.MkdirTemp("", "access-"); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	status := m.Run()
	_ = os.RemoveAll(programs)
	os.Exit(status)
}

// records is all that the process logs, debug messages included.
type records struct {
	mu   sync.Mutex
	text strings.Builder
}

var log records

func (r *records) Enabled(context.Context, slog.Level) bool { return true }
func (r *records) WithAttrs([]slog.Attr) slog.Handler       { return r }
func (r *records) WithGroup(string) slog.Handler            { return r }
func (r *records) Handle(_ context.Context, record slog.Record) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	fmt.Fprint(&r.text, record.Level, " ", record.Message)
	record.Attrs(func(a slog.Attr) bool { fmt.Fprint(&r.text, " ", a.String()); return true })
	fmt.Fprintln(&r.text)
	return nil
}

func (r *records) String() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.text.String()
}

var building sync.Mutex

// program builds one of the pipelines, once.
func program(t *testing.T, name string) (path string) {
	t.Helper()
	building.Lock()
	defer building.Unlock()
	path = filepath.Join(programs, name)
	if _, err := os.Stat(path); err == nil {
		return path
	}
	if text, err := exec.Command("go", "build", "-o", path, "example.com/beamredis/pipelines/"+name).CombinedOutput(); err != nil {
		t.Fatalf("go build: %v: %s", err, text)
	}
	return path
}

// outcome is what became of a program.
type outcome struct {
	status         int
	stdout, stderr string
}

// programTimeout is far beyond what any program here takes.
const programTimeout = 2 * time.Minute

// run runs redis-to-redis to its end, with variables beside the test's own.
func run(t *testing.T, env []string, args ...string) outcome {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), programTimeout)
	defer cancel()
	cmd := exec.CommandContext(ctx, program(t, "redis-to-redis"), args...)
	cmd.Env = append(os.Environ(), env...)
	var stdout, stderr strings.Builder
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	var exit *exec.ExitError
	if err := cmd.Run(); err != nil && !errors.As(err, &exit) || ctx.Err() != nil {
		t.Fatalf("%v, %v: %s", err, ctx.Err(), stderr.String())
	}
	return outcome{cmd.ProcessState.ExitCode(), stdout.String(), stderr.String()}
}

// runPipeline runs p on Prism and waits for its acknowledgements.
func runPipeline(ctx context.Context, p *beam.Pipeline) error {
	ctx, cancel := context.WithTimeout(ctx, programTimeout)
	defer cancel()
	_, err := beam.Run(ctx, "prism", p)
	return errors.Join(err, redisio.Drain(ctx))
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func writeFile(t *testing.T, content string) (path string) {
	t.Helper()
	path = filepath.Join(t.TempDir(), "secret")
	must(t, os.WriteFile(path, []byte(content), 0o600))
	return path
}

// eventually polls ok until it is true, and fails the test after a minute.
func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(time.Minute); !ok(); <-time.After(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("not within a minute: %s", what)
		}
	}
}
