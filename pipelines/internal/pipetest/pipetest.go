// Package pipetest lets the tests of a main program run the real program,
// built, as a process of its own, against a real Redis.
package pipetest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"example.com/beamredis/internal/redisserver"
)

const (
	startTimeout = 20 * time.Second
	// endTimeout is how long a program may run before its test fails.
	endTimeout = time.Minute
)

// Main builds the program in the current folder, runs the tests of m with
// its path in binary, and returns their status for os.Exit.
func Main(m *testing.M, binary *string) int {
	dir, err := os.MkdirTemp("", "pipetest-")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(dir)
	*binary = filepath.Join(dir, "program")
	if out, err := exec.Command("go", "build", "-o", *binary, ".").CombinedOutput(); err != nil {
		fmt.Fprintf(os.Stderr, "go build: %v\n%s", err, out)
		return 1
	}
	return m.Run()
}

// Redis is a server that lives as long as its test.
type Redis struct {
	Addr   string
	Client *redis.Client
	server *redisserver.Server
}

// Hang keeps the server from answering until t ends.
func (r *Redis) Hang(t *testing.T) {
	t.Helper()
	if err := r.server.Pause(); err != nil {
		t.Fatal(err)
	}
}

// URL is the address as a program's flag takes it.
func (r *Redis) URL() string { return "redis://" + r.Addr }

// StartRedis runs a redis-server for t with args; password may be empty. Without
// a redis-server on the PATH the test is skipped, or fails where the environment
// says CI=true.
func StartRedis(t *testing.T, password string, args ...string) *Redis {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), startTimeout)
	defer cancel()
	server, err := redisserver.Start(ctx, redisserver.Options{Dir: t.TempDir(), Password: password, Args: args})
	if errors.Is(err, redisserver.ErrNotInstalled) && os.Getenv("CI") != "true" {
		t.Skipf("SKIPPED, this proves nothing: %v (Debian: apt-get install redis-server)", err)
	}
	if err != nil {
		t.Fatal(err)
	}
	client := redis.NewClient(&redis.Options{Addr: server.Addr(), Password: password})
	t.Cleanup(func() {
		if err := errors.Join(client.Close(), server.Stop()); err != nil {
			t.Error(err)
		}
	})
	return &Redis{Addr: server.Addr(), Client: client, server: server}
}

// Process is a run of a program.
type Process struct {
	t              *testing.T
	cmd            *exec.Cmd
	stdout, stderr output
}

// output may be read while the program writes it.
type output struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.text.Write(p)
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.text.String()
}

// Start runs binary with the environment env beside the test's own, in which a
// later value of a variable counts. After a minute, or with t, it is told to
// show its stacks and end.
func Start(t *testing.T, binary string, env []string, args ...string) *Process {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), endTimeout)
	t.Cleanup(cancel)
	p := &Process{t: t, cmd: exec.CommandContext(ctx, binary, args...)}
	p.cmd.Env = append(os.Environ(), env...)
	p.cmd.Stdout, p.cmd.Stderr = &p.stdout, &p.stderr
	// A program that hangs says where: the Go runtime answers SIGQUIT with the
	// stacks of all goroutines, on stderr.
	p.cmd.Cancel = func() error { return p.cmd.Process.Signal(syscall.SIGQUIT) }
	p.cmd.WaitDelay = 5 * time.Second
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	return p
}

// Signal sends sig to the program.
func (p *Process) Signal(sig os.Signal) {
	p.t.Helper()
	if err := p.cmd.Process.Signal(sig); err != nil {
		p.t.Fatalf("%v: %v; stderr: %s", sig, err, p.stderr.String())
	}
}

// Stdout is what the program has written there so far.
func (p *Process) Stdout() string { return p.stdout.String() }

// Stderr is what the program has written there so far.
func (p *Process) Stderr() string { return p.stderr.String() }

// Outcome is what became of a program.
type Outcome struct {
	Status         int // -1: ended by a signal
	Stdout, Stderr string
}

// Wait returns when the program has ended.
func (p *Process) Wait() Outcome {
	p.t.Helper()
	var exit *exec.ExitError
	if err := p.cmd.Wait(); err != nil && !errors.As(err, &exit) {
		p.t.Fatal(err)
	}
	return Outcome{Status: p.cmd.ProcessState.ExitCode(), Stdout: p.stdout.String(), Stderr: p.stderr.String()}
}

// Run runs binary to its end.
func Run(t *testing.T, binary string, env []string, args ...string) Outcome {
	t.Helper()
	return Start(t, binary, env, args...).Wait()
}

// Eventually polls until ok says true, or fails t after a minute.
func Eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(time.Minute); time.Now().Before(deadline); time.Sleep(5 * time.Millisecond) {
		if ok() {
			return
		}
	}
	t.Fatalf("not within a minute: %s", what)
}
