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

func TestTheEndOfABundleDoesNotWaitForAnExport(t *testing.T) {
	f := newStuck()
	s := &SDK{spans: f}
	s.FlushSoon()
	<-f.entered // it returned, and the export is under way
	for range 100 {
		s.FlushSoon()
	}
	if n := len(f.entered); n != 0 {
		t.Errorf("%d exports were begun beside the one under way", n)
	}
	close(f.release)
	for deadline := time.Now().Add(time.Minute); ; <-time.After(time.Millisecond) {
		if s.FlushSoon(); len(f.entered) > 0 {
			return
		}
		if time.Now().After(deadline) {
			t.Fatal("no export after the one that was stuck")
		}
	}
}

func TestTheEndOfAWorkerWaitsOnceForWhatDoesNotGetThrough(t *testing.T) {
	f := newStuck()
	s := &SDK{spans: f}
	s.Flush(t.Context()) // returns although the export never ends
	if !s.stalled.Load() {
		t.Fatal("an export that did not end counts as one that got through")
	}
	<-f.entered
	ended, cancel := context.WithCancel(t.Context())
	defer cancel()
	s.Flush(ended) // leaves it to the background
	<-f.entered
	if !s.flushing.Load() {
		t.Error("the export does not go on in the background")
	}
	close(f.release)
	for deadline := time.Now().Add(time.Minute); s.stalled.Load(); <-time.After(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("an export that got through is not noticed")
		}
	}
}

func TestNothingToExportIsNoError(t *testing.T) {
	var none *SDK
	none.FlushSoon()
	none.Flush(t.Context())
	(&SDK{}).FlushSoon()
	(&SDK{}).Flush(t.Context())
	FlushAll(t.Context())
}

func TestSamplersThatFollowTheParentAreKnown(t *testing.T) {
	for sampler, want := range map[string]bool{
		"": true, "parentbased_always_on": true, "parentbased_traceidratio": true, "ParentBased_Always_Off": true,
		"always_on": false, "always_off": false, "traceidratio": false, "unknown": false,
	} {
		t.Setenv("OTEL_TRACES_SAMPLER", sampler)
		if got := samplesByParent(); got != want {
			t.Errorf("%q: %v, want %v", sampler, got, want)
		}
	}
}
