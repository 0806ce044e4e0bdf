package flink

import (
	"context"
	"errors"
	"strings"
	"sync"
	"testing"
	"time"

	fnpb "github.com/apache/beam/sdks/v2/go/pkg/beam/model/fnexecution_v1"
	pipepb "github.com/apache/beam/sdks/v2/go/pkg/beam/model/pipeline_v1"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
)

// poolTest is a pool whose workers do nothing until they are told to end.
type poolTest struct {
	*testing.T
	pool   *pool
	client fnpb.BeamFnExternalWorkerPoolClient

	mu      sync.Mutex
	running map[string]int // by control endpoint
	crash   chan struct{}  // ends all workers with an error
}

func newPoolTest(t *testing.T) *poolTest {
	t.Helper()
	pt := &poolTest{T: t, running: map[string]int{}, crash: make(chan struct{})}
	p, err := startPool(t.Context(), pt.serve)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.close)
	conn, err := grpc.NewClient(p.addr(), grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	pt.pool, pt.client = p, fnpb.NewBeamFnExternalWorkerPoolClient(conn)
	return pt
}

func (pt *poolTest) serve(ctx context.Context, req *fnpb.StartWorkerRequest) error {
	pt.count(req, 1)
	defer pt.count(req, -1)
	select {
	case <-ctx.Done():
		return nil
	case <-pt.crash:
		return errors.New("the TaskManager is gone")
	}
}

func (pt *poolTest) count(req *fnpb.StartWorkerRequest, n int) {
	pt.mu.Lock()
	defer pt.mu.Unlock()
	pt.running[req.GetControlEndpoint().GetUrl()] += n
}

func request(id, control string) *fnpb.StartWorkerRequest {
	return &fnpb.StartWorkerRequest{WorkerId: id,
		ControlEndpoint: &pipepb.ApiServiceDescriptor{Url: control}, LoggingEndpoint: &pipepb.ApiServiceDescriptor{Url: control + "/log"}}
}

// start starts a worker and returns the pool's complaint.
func (pt *poolTest) start(req *fnpb.StartWorkerRequest) string {
	pt.Helper()
	resp, err := pt.client.StartWorker(pt.Context(), req)
	if err != nil {
		pt.Fatal(err)
	}
	return resp.GetError()
}

func (pt *poolTest) mustStart(id, control string) {
	pt.Helper()
	if complaint := pt.start(request(id, control)); complaint != "" {
		pt.Fatalf("worker %s of %s: %s", id, control, complaint)
	}
}

// wantRunning waits until so many workers run for the endpoint.
func (pt *poolTest) wantRunning(control string, want int) {
	pt.Helper()
	var got int
	for deadline := time.Now().Add(time.Minute); time.Now().Before(deadline); {
		pt.mu.Lock()
		got = pt.running[control]
		pt.mu.Unlock()
		if got == want {
			return
		}
		<-time.After(time.Millisecond)
	}
	pt.Fatalf("%d workers run for %s, want %d", got, control, want)
}

func TestTaskManagersHaveWorkersOfOneName(t *testing.T) {
	pt := newPoolTest(t)
	pt.mustStart("1-1", "tm1:1")
	pt.mustStart("1-1", "tm2:1")
	pt.wantRunning("tm1:1", 1)
	pt.wantRunning("tm2:1", 1)
}

func TestWorkerStartedAgainTakesTheOldOnesPlace(t *testing.T) {
	pt := newPoolTest(t)
	for range 3 {
		pt.mustStart("1-1", "tm:1")
	}
	pt.wantRunning("tm:1", 1)
}

func TestStopEndsTheWorkerOfThatName(t *testing.T) {
	pt := newPoolTest(t)
	pt.mustStart("1-1", "tm:1")
	pt.mustStart("1-2", "tm:2")
	pt.wantRunning("tm:1", 1)
	if _, err := pt.client.StopWorker(t.Context(), &fnpb.StopWorkerRequest{WorkerId: "1-1"}); err != nil {
		t.Fatal(err)
	}
	pt.wantRunning("tm:1", 0)
	pt.wantRunning("tm:2", 1)
}

// Stopped by the wrong TaskManager, a job would lose a worker that it uses.
func TestStopOfAnAmbiguousNameEndsNone(t *testing.T) {
	pt := newPoolTest(t)
	pt.mustStart("1-1", "tm1:1")
	pt.mustStart("1-1", "tm2:1")
	resp, err := pt.client.StopWorker(t.Context(), &fnpb.StopWorkerRequest{WorkerId: "1-1"})
	if err != nil || resp.GetError() != "" {
		t.Fatalf("stop: %v, %s", err, resp.GetError())
	}
	pt.mustStart("1-2", "tm3:1") // by now a cancelled worker would have been
	pt.wantRunning("tm3:1", 1)
	pt.wantRunning("tm1:1", 1)
	pt.wantRunning("tm2:1", 1)
}

func TestWorkerWhoseTaskManagerIsGoneIsForgotten(t *testing.T) {
	pt := newPoolTest(t)
	pt.mustStart("1-1", "tm1:1")
	pt.wantRunning("tm1:1", 1)
	close(pt.crash)
	pt.wantRunning("tm1:1", 0)
	for deadline := time.Now().Add(time.Minute); ; {
		pt.pool.mu.Lock()
		n := len(pt.pool.workers)
		pt.pool.mu.Unlock()
		if n == 0 {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("the pool still knows %d workers", n)
		}
		<-time.After(time.Millisecond)
	}
}

func TestClosedPoolHasNoWorkers(t *testing.T) {
	pt := newPoolTest(t)
	pt.mustStart("1-1", "tm:1")
	pt.pool.close()
	pt.wantRunning("tm:1", 0)
	if resp, err := pt.pool.StartWorker(t.Context(), request("1-1", "tm:1")); err != nil || !strings.Contains(resp.GetError(), "closed") {
		t.Errorf("a closed pool answers %v, %v", resp, err)
	}
}

func TestUnfitWorkersAreRefused(t *testing.T) {
	pt := newPoolTest(t)
	noControl, noLogging, secure := request("1", "c:1"), request("1", "c:1"), request("1", "c:1")
	noControl.ControlEndpoint = nil
	noLogging.LoggingEndpoint = nil
	secure.ControlEndpoint.Authentication = &pipepb.AuthenticationSpec{Urn: "x"}
	for want, req := range map[string]*fnpb.StartWorkerRequest{"no control endpoint": noControl, "no logging endpoint": noLogging, "authentication": secure} {
		if got := pt.start(req); !strings.Contains(got, want) {
			t.Errorf("complaint %q, want %q", got, want)
		}
	}
}
