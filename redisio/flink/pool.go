package flink

import (
	"context"
	"fmt"
	"net"
	"sync"
	"time"

	"github.com/apache/beam/sdks/v2/go/container/tools"
	"github.com/apache/beam/sdks/v2/go/pkg/beam/core/runtime/harness"
	"github.com/apache/beam/sdks/v2/go/pkg/beam/log"
	fnpb "github.com/apache/beam/sdks/v2/go/pkg/beam/model/fnexecution_v1"
	"github.com/apache/beam/sdks/v2/go/pkg/beam/util/grpcx"
	"google.golang.org/grpc"
)

// pool runs the workers of LOOPBACK in this process.
//
// Every TaskManager calls its first worker "1-1", and one that was lost is
// replaced by another whose first worker is "1-1" as well. So a worker is known
// by its name and the endpoint that controls it: those of two TaskManagers run
// side by side, one that is started again where it is takes the old one's
// place, and one whose TaskManager is gone ends with its connection.
type pool struct {
	fnpb.UnimplementedBeamFnExternalWorkerPoolServer

	serve    serveWorker
	listener net.Listener
	server   *grpc.Server
	root     context.Context
	cancel   context.CancelFunc
	first    chan struct{} // closed when the first worker is started

	mu      sync.Mutex
	closed  bool
	workers map[workerKey]*worker
	running sync.WaitGroup
}

type workerKey struct{ id, control string }

type worker struct{ cancel context.CancelFunc }

// serveWorker runs one worker until ctx or its control connection ends.
type serveWorker func(ctx context.Context, req *fnpb.StartWorkerRequest) error

// startPool listens on a free port of the loopback interface.
func startPool(ctx context.Context, serve serveWorker) (*pool, error) {
	listener, err := net.Listen("tcp", "localhost:0")
	if err != nil {
		return nil, fmt.Errorf("loopback worker pool: %w", err)
	}
	p := &pool{serve: serve, listener: listener, server: grpc.NewServer(), first: make(chan struct{}), workers: map[workerKey]*worker{}}
	p.root, p.cancel = context.WithCancel(context.WithoutCancel(ctx))
	fnpb.RegisterBeamFnExternalWorkerPoolServer(p.server, p)
	go func() { _ = p.server.Serve(listener) }() // returns when close stops it
	return p, nil
}

// addr is where TaskManagers on this machine find the pool.
func (p *pool) addr() string {
	return fmt.Sprintf("localhost:%d", p.listener.Addr().(*net.TCPAddr).Port)
}

// StartWorker starts a worker, in place of one of the same name and endpoint.
func (p *pool) StartWorker(_ context.Context, req *fnpb.StartWorkerRequest) (*fnpb.StartWorkerResponse, error) {
	if reason := unfit(req); reason != "" {
		return &fnpb.StartWorkerResponse{Error: fmt.Sprintf("worker %q: %s", req.GetWorkerId(), reason)}, nil
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		return &fnpb.StartWorkerResponse{Error: "the worker pool has been closed"}, nil
	}
	key := workerKey{req.GetWorkerId(), req.GetControlEndpoint().GetUrl()}
	if old := p.workers[key]; old != nil {
		old.cancel()
	}
	ctx, cancel := context.WithCancel(grpcx.WriteWorkerID(p.root, key.id))
	w := &worker{cancel: cancel}
	if len(p.workers) == 0 {
		p.started()
	}
	p.workers[key] = w
	p.running.Go(func() {
		defer p.ended(key, w)
		if err := p.serve(ctx, req); err != nil && ctx.Err() == nil {
			log.Warnf(ctx, "worker %s of %s ended: %v", key.id, key.control, err)
		}
	})
	return &fnpb.StartWorkerResponse{}, nil
}

// started must be called while holding mu.
func (p *pool) started() {
	select {
	case <-p.first:
	default:
		close(p.first)
	}
}

func (p *pool) ended(key workerKey, w *worker) {
	w.cancel()
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.workers[key] == w {
		delete(p.workers, key)
	}
}

func unfit(req *fnpb.StartWorkerRequest) string {
	switch {
	case req.GetControlEndpoint() == nil:
		return "no control endpoint"
	case req.GetLoggingEndpoint() == nil:
		return "no logging endpoint"
	case req.GetControlEndpoint().GetAuthentication() != nil || req.GetLoggingEndpoint().GetAuthentication() != nil:
		return "endpoints that want authentication are not supported"
	}
	return ""
}

// StopWorker stops the worker of that name if there is only one. Of several it
// cannot tell which is meant: the right one ends with its connection, which the
// TaskManager closes next.
func (p *pool) StopWorker(_ context.Context, req *fnpb.StopWorkerRequest) (*fnpb.StopWorkerResponse, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	var named []*worker
	for key, w := range p.workers {
		if key.id == req.GetWorkerId() {
			named = append(named, w)
		}
	}
	if len(named) == 1 {
		named[0].cancel()
	}
	return &fnpb.StopWorkerResponse{}, nil
}

// closeTimeout is how long the pool waits for its workers: a function of the
// pipeline that heeds no context must not keep the program from ending.
const closeTimeout = 10 * time.Second

// close stops all workers and waits until they have ended.
func (p *pool) close() {
	p.mu.Lock()
	p.closed = true
	p.mu.Unlock()
	p.cancel()
	p.server.Stop()
	ended := make(chan struct{})
	go func() {
		p.running.Wait()
		close(ended)
	}()
	select {
	case <-ended:
	case <-time.After(closeTimeout):
		log.Warnf(p.root, "some workers still run %v after they were told to end", closeTimeout)
	}
}

// serveHarness runs a worker as Beam's harness does.
func serveHarness(ctx context.Context, req *fnpb.StartWorkerRequest) error {
	var opts harness.Options
	if url := req.GetProvisionEndpoint().GetUrl(); url != "" {
		info, err := tools.ProvisionInfo(ctx, url)
		if err != nil {
			return fmt.Errorf("provision service at %s: %w", url, err)
		}
		opts.StatusEndpoint = info.GetStatusEndpoint().GetUrl()
		opts.RunnerCapabilities = info.GetRunnerCapabilities()
	}
	return harness.MainWithOptions(ctx, req.GetLoggingEndpoint().GetUrl(), req.GetControlEndpoint().GetUrl(), opts)
}
