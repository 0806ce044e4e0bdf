package telemetry

import (
	"context"
	"testing"
	"time"
)

// stuck is a flusher that ends with its context, or when it is let go.
type stuck struct {
	entered chan struct{}
	release chan struct{}
}

func newStuck() *stuck {
	return &stuck{entered: make(chan struct{}, 10), release: make(chan struct{})}
}

func (s *stuck) ForceFlush(ctx context.Context) error {
	s.entered <- struct{}{}
	select {
	case <-s.release:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func poll(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(time.Minute); !ok(); <-time.After(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("%s: not within a minute", what)
		}
	}
}

// What came while an export was under way is exported after it: the runner may
// end the process, and no other bundle may come.
func TestTheEndOfABundleDoesNotWaitForAnExport(t *testing.T) {
	for name, mostPause := range map[string]time.Duration{"spans": 0, "metrics": mostMetricsPause} {
		t.Run(name, func(t *testing.T) {
			f := newStuck()
			e := &exporter{to: f, mostPause: mostPause}
			s := &SDK{spans: e}
			s.FlushSoon()
			<-f.entered // it returned, and the export is under way
			for range 100 {
				s.FlushSoon()
			}
			if n := len(f.entered); n != 0 {
				t.Errorf("%d exports were begun beside the one under way", n)
			}
			close(f.release)
			poll(t, "an export of what came meanwhile", func() bool { return len(f.entered) > 0 })
			poll(t, "the end of the exports", func() bool {
				e.mu.Lock()
				defer e.mu.Unlock()
				return !e.running
			})
			if n := len(f.entered); n != 1 {
				t.Errorf("%d exports after the one that was stuck, want one", n)
			}
		})
	}
}

func TestThePauseBetweenExportsOfMetricsGrows(t *testing.T) {
	e := &exporter{mostPause: mostMetricsPause}
	last := time.Duration(0)
	for range 20 {
		pause := e.nextPause()
		if pause <= last && pause != mostMetricsPause || pause > mostMetricsPause {
			t.Errorf("a pause of %v after one of %v", pause, last)
		}
		last = pause
	}
	if last != mostMetricsPause {
		t.Errorf("the last pause is %v, want %v", last, mostMetricsPause)
	}
	if pause := (&exporter{}).nextPause(); pause != 0 {
		t.Errorf("a pause of %v between exports of spans", pause)
	}
}

func TestTheEndOfAWorkerWaitsOnceForWhatDoesNotGetThrough(t *testing.T) {
	f := newStuck()
	e := &exporter{to: f}
	s := &SDK{spans: e}
	s.Flush(t.Context()) // returns although the export never ends
	if !e.isStalled() {
		t.Fatal("an export that did not end counts as one that got through")
	}
	<-f.entered
	s.Flush(t.Context()) // leaves it to the background
	<-f.entered
	select {
	case <-f.entered:
		t.Error("the end of the worker exports beside the background")
	default:
	}
	close(f.release)
	poll(t, "an export that got through is noticed", func() bool { return !e.isStalled() })
}

func TestNothingToExportIsNoError(t *testing.T) {
	var none *SDK
	none.FlushSoon()
	none.Flush(t.Context())
	(&SDK{}).FlushSoon()
	(&SDK{}).Flush(t.Context())
	FlushAll(t.Context())
}
