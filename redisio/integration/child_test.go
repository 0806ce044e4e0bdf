package integration_test

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"os/signal"
	"slices"
	"strconv"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"example.com/beamredis/redisio"
)

// childEnv makes the test binary run a copy instead of its tests, so that a
// test can kill it. Its value is a childSpec.
const childEnv = "BEAMREDIS_TEST_JOB"

type childSpec struct {
	URL string
	// Limit is the delivery limit; 0: none, and no dead letters.
	Limit int
	// Poison is the number of the entry that ends the process; 0: none.
	Poison int
	// HoldAt is the number of messages after which the job hangs, and says so;
	// 0: none.
	HoldAt int
	// BundleEntries bounds a bundle; 0: the default.
	BundleEntries int
	// Once is the sink's idempotence name; empty: entries may be written again.
	Once string
	// Replicas is how many a write waits for; 0: none.
	Replicas int
	// Partitions is their number in the source topic; 0: that of in.
	Partitions int
	// Service is the service name of OpenTelemetry; empty: nothing is exported.
	Service string
	// Environ are variables of the child's environment.
	Environ []string `json:"-"`
	// Forever: the job goes on until SIGTERM, which ends it in order.
	Forever bool
}

// Exit statuses of the child.
const (
	childFailed   = 1
	childPoisoned = 3
	childOrphaned = 4
)

const holding = "holding"

// runChild copies until caught up and ends the process.
func runChild(text string) {
	go func() { // the test holds the other end
		_, _ = io.Copy(io.Discard, os.Stdin)
		os.Exit(childOrphaned)
	}()
	var spec childSpec
	err := json.Unmarshal([]byte(text), &spec)
	if err == nil {
		err = spec.run(context.Background())
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		for _, line := range log.since(0) {
			fmt.Fprintln(os.Stderr, line)
		}
		os.Exit(childFailed)
	}
	os.Exit(0)
}

func (spec childSpec) run(ctx context.Context) error {
	conn, err := redisio.ParseURL(spec.URL)
	if err != nil {
		return err
	}
	job := copyJob{conn: conn, dead: spec.Limit > 0, watch: &watch{see: spec.see()}, opts: []redisio.ReadOption{redisio.WithStopAtLatest()}}
	if spec.Limit > 0 {
		job.opts = append(job.opts, redisio.WithDeliveryLimit(spec.Limit))
	}
	if spec.Once != "" {
		job.write = append(job.write, redisio.WithIdempotence(spec.Once))
	}
	if spec.Replicas > 0 {
		job.write = append(job.write, redisio.WithReplicas(spec.Replicas, replicaTimeout), redisio.WithWriteRetry(2*replicaTimeout))
	}
	if spec.Service != "" {
		job.opts = append(job.opts, redisio.WithServiceName(spec.Service))
		job.write = append(job.write, redisio.WithServiceName(spec.Service), redisio.WithTracing(redisio.TraceAll, redisio.TraceNoContents))
	}
	if spec.Partitions > 0 {
		job.source = redisio.Topic{Name: in.Name, Partitions: spec.Partitions}
	}
	if spec.BundleEntries > 0 {
		job.opts = append(job.opts, redisio.WithBundleBounds(spec.BundleEntries, 8<<20, 500*time.Millisecond))
	}
	if spec.Forever {
		job.opts = job.opts[1:]
		told, cancel := signal.NotifyContext(ctx, syscall.SIGTERM)
		defer cancel()
		context.AfterFunc(told, redisio.StopReads)
		return runPipeline(ctx, job.pipeline())
	}
	return job.run(ctx)
}

func (spec childSpec) see() func(context.Context, redisio.Message) error {
	var seen atomic.Int64
	return func(ctx context.Context, m redisio.Message) error {
		if n, _ := m.Get("n"); spec.Poison > 0 && n == strconv.Itoa(spec.Poison) {
			os.Exit(childPoisoned)
		}
		if seen.Add(1) == int64(spec.HoldAt) {
			fmt.Println(holding)
			<-ctx.Done()
			return ctx.Err()
		}
		return nil
	}
}

// child is a copy in a process of its own.
type child struct {
	s      *server
	cmd    *exec.Cmd
	stderr bytes.Buffer
	held   chan struct{} // closed when the child says that it hangs
	ended  chan struct{}
}

// spawn starts a copy in a process of its own, which ends with t.
func (s *server) spawn(spec childSpec) *child {
	s.t.Helper()
	spec.URL = s.URL()
	text, err := json.Marshal(spec)
	if err != nil {
		s.t.Fatal(err)
	}
	c := &child{s: s, held: make(chan struct{}), ended: make(chan struct{})}
	c.cmd = exec.Command(os.Args[0])
	c.cmd.Env = slices.Concat(os.Environ(), spec.Environ, []string{childEnv + "=" + string(text)})
	c.cmd.Stderr = &c.stderr
	_, err = c.cmd.StdinPipe() // never written to: its end is ours
	if err != nil {
		s.t.Fatal(err)
	}
	stdout, err := c.cmd.StdoutPipe()
	if err != nil {
		s.t.Fatal(err)
	}
	if err := c.cmd.Start(); err != nil {
		s.t.Fatal(err)
	}
	go c.follow(stdout)
	s.t.Cleanup(c.kill)
	return c
}

func (c *child) follow(stdout io.Reader) {
	for lines := bufio.NewScanner(stdout); lines.Scan(); {
		if lines.Text() == holding {
			close(c.held)
		}
	}
	_ = c.cmd.Wait() // the status is in ProcessState
	close(c.ended)
}

func (c *child) exited() bool {
	select {
	case <-c.ended:
		return true
	default:
		return false
	}
}

// kill ends the process as a crash would.
func (c *child) kill() {
	_ = c.cmd.Process.Kill() // it may have ended already
	<-c.ended
}

// status waits for the end and returns the exit status, -1 for a killed child.
func (c *child) status() int {
	c.s.t.Helper()
	select {
	case <-c.ended:
	case <-time.After(jobTimeout):
		c.s.t.Fatalf("the copy has not ended within %v", jobTimeout)
	}
	return c.cmd.ProcessState.ExitCode()
}

// mustRunOn fails the test if the child has ended.
func (c *child) mustRunOn() {
	c.s.t.Helper()
	if c.exited() {
		c.s.t.Fatalf("the copy has ended with status %d:\n%s", c.cmd.ProcessState.ExitCode(), c.stderr.String())
	}
}

// stop ends a child that goes on forever, in order.
func (c *child) stop() {
	c.s.t.Helper()
	if err := c.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		c.s.t.Fatal(err)
	}
	c.wantSuccess()
}

// wantSuccess waits for the child to end with status 0.
func (c *child) wantSuccess() {
	c.s.t.Helper()
	if got := c.status(); got != 0 {
		c.s.t.Fatalf("the copy ended with status %d:\n%s", got, c.stderr.String())
	}
}

// waitHeld waits until the child hangs, with its bundle open.
func (c *child) waitHeld() {
	c.s.t.Helper()
	eventually(c.s.t, "the job holds a bundle open", func() bool {
		select {
		case <-c.held:
			return true
		case <-c.ended:
			c.s.t.Fatalf("the copy ended with status %d instead:\n%s", c.cmd.ProcessState.ExitCode(), c.stderr.String())
		default:
		}
		return false
	})
}

// waitGone waits until the server has done everything that a process which was
// killed had sent it.
func (s *server) waitGone() {
	s.t.Helper()
	eventually(s.t, "the server lets the killed process go", func() bool {
		clients, err := s.client.ClientList(s.t.Context()).Result()
		if err != nil {
			s.t.Fatal(err)
		}
		for line := range bytes.Lines([]byte(clients)) {
			if !bytes.Contains(line, []byte(" name="+plainName+" ")) {
				return false
			}
		}
		return true
	})
}

// random returns a source of random numbers, and logs how to get the same.
func random(t *testing.T) *rand.Rand {
	t.Helper()
	seed := uint64(time.Now().UnixNano())
	if text := os.Getenv("BEAMREDIS_SEED"); text != "" {
		var err error
		if seed, err = strconv.ParseUint(text, 10, 64); err != nil {
			t.Fatalf("BEAMREDIS_SEED: %v", err)
		}
	}
	t.Logf("BEAMREDIS_SEED=%d", seed)
	return rand.New(rand.NewPCG(seed, 0))
}
