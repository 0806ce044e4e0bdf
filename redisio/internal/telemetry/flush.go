package telemetry

import (
	"context"
	"sync"
	"time"
)

const (
	// flushTimeout bounds a flush that nobody waits for.
	flushTimeout = 30 * time.Second
	// flushWait bounds how long the end of a worker waits.
	flushWait = time.Second
	// firstPause and mostMetricsPause are between two exports of the metrics: at
	// first, because a job may be short, and after a while, because whoever keeps
	// them need not have them with each bundle.
	firstPause       = 50 * time.Millisecond
	mostMetricsPause = 2 * time.Second
)

type flusher interface{ ForceFlush(context.Context) error }

// exporter exports in the background, once at a time: a runner that ends a
// worker's process says nothing before. The nil pointer has nothing to export.
type exporter struct {
	to        flusher
	mostPause time.Duration // after an export, until the next; 0: none

	mu      sync.Mutex
	running bool // an export is under way, or waits for the end of the pause
	wanted  bool // since it began, something has come
	pause   time.Duration
	// stalled: the last export did not get through, so that nobody is to wait for
	// the next one.
	stalled bool
}

// soon has exported what there is by now.
func (e *exporter) soon() {
	if e == nil {
		return
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	e.wanted = true
	if !e.running {
		e.running = true
		go e.run()
	}
}

// run exports for as long as something comes meanwhile.
func (e *exporter) run() {
	for e.goesOn() {
		e.flush(context.Background(), flushTimeout)
		if pause := e.nextPause(); pause > 0 {
			<-time.After(pause)
		}
	}
}

func (e *exporter) goesOn() bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.running, e.wanted = e.wanted, false
	return e.running
}

func (e *exporter) nextPause() time.Duration {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.pause = min(max(firstPause, 2*e.pause), e.mostPause)
	return e.pause
}

// now exports and waits for that, or, where the last export did not get
// through, has it done soon.
func (e *exporter) now(ctx context.Context) {
	switch {
	case e == nil:
	case e.isStalled():
		e.soon()
	default:
		e.flush(ctx, flushWait)
	}
}

func (e *exporter) isStalled() bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.stalled
}

func (e *exporter) flush(ctx context.Context, limit time.Duration) {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	err := e.to.ForceFlush(ctx)
	e.mu.Lock()
	defer e.mu.Unlock()
	e.stalled = err != nil
}

// FlushSoon has spans and metrics exported, without waiting for that. It is for
// the end of a bundle, and costs next to nothing while an export is under way.
func (s *SDK) FlushSoon() {
	if s != nil {
		s.spans.soon()
		s.metrics.soon()
	}
}

// Flush exports spans and metrics and waits for that, but for a second at most,
// and not at all where the last export did not get through. It is for the end
// of a worker.
func (s *SDK) Flush(ctx context.Context) {
	if s == nil {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, flushWait)
	defer cancel()
	s.spans.now(ctx)
	s.metrics.now(ctx)
}

// FlushAll is [SDK.Flush] for all service names of the process.
func FlushAll(ctx context.Context) {
	sdks.Lock()
	all := make([]*SDK, 0, len(sdks.byService))
	for _, s := range sdks.byService {
		all = append(all, s)
	}
	sdks.Unlock()
	var done sync.WaitGroup
	for _, s := range all {
		done.Go(func() { s.Flush(ctx) })
	}
	done.Wait()
}
