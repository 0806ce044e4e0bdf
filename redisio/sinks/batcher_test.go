package sinks

import (
	"context"
	"errors"
	"runtime"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// await polls cond until it holds.
func await(t *testing.T, what string, cond func() bool) {
	t.Helper()
	for deadline := time.Now().Add(time.Minute); !cond(); {
		if time.Now().After(deadline) {
			t.Fatalf("%s: not within a minute", what)
		}
		runtime.Gosched()
	}
}

// recorder is a delivery that remembers. While gate is set, it takes one value
// from it for each batch.
type recorder struct {
	gate chan error

	mu      sync.Mutex
	batches [][]int
}

func (r *recorder) deliver(ctx context.Context, items []int) error {
	r.mu.Lock()
	r.batches = append(r.batches, slices.Clone(items))
	r.mu.Unlock()
	if r.gate == nil {
		return nil
	}
	select {
	case err := <-r.gate:
		return err
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (r *recorder) count() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(r.batches)
}

func (r *recorder) sizes() (sizes []int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, b := range r.batches {
		sizes = append(sizes, len(b))
	}
	return sizes
}

func numbers(n int) []int {
	all := make([]int, n)
	for i := range all {
		all[i] = i
	}
	return all
}

func started(t *testing.T, opts BatchOptions, r *recorder) *batcher[int] {
	t.Helper()
	b := newBatcher(opts, r.deliver)
	b.Start(beginBundle(t.Context()))
	t.Cleanup(b.Stop)
	return b
}

func addAll(t *testing.T, b *batcher[int], items []int, size int) {
	t.Helper()
	for _, i := range items {
		if err := b.Add(i, size); err != nil {
			t.Fatal(err)
		}
	}
}

func (b *batcher[T]) isRunning() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.running
}

func (b *batcher[T]) isFull() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.waiting
}

func TestLoneElementIsSentBeforeTheBundleEnds(t *testing.T) {
	var r recorder
	b := started(t, BatchOptions{}, &r)
	for i := range 3 {
		addAll(t, b, []int{i}, 1)
		await(t, "the element is sent and the sink idle", func() bool { return r.count() == i+1 && !b.isRunning() })
	}
	if err := b.Finish(t.Context()); err != nil {
		t.Fatal(err)
	}
}

func TestEverythingArrivesOnceInOrder(t *testing.T) {
	for _, opts := range []BatchOptions{
		{}, {MaxCount: 7}, {MaxBytes: 50}, {AtBundleEnd: true}, {Interval: time.Millisecond}, {MaxCount: 1},
	} {
		var r recorder
		b := started(t, opts, &r)
		addAll(t, b, numbers(3000), 10)
		if err := b.Finish(t.Context()); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(numbers(3000), slices.Concat(r.batches...)); diff != "" {
			t.Errorf("%+v (-want +got):\n%s", opts, diff)
		}
		bounds := opts.WithDefaults()
		for _, n := range r.sizes() {
			if n > bounds.MaxCount || n*10 > bounds.MaxBytes {
				t.Errorf("%+v: a batch of %d", opts, n)
			}
		}
	}
}

func TestNothingLeavesBeforeTheBundleEndsIfSoAsked(t *testing.T) {
	var r recorder
	b := started(t, BatchOptions{AtBundleEnd: true, MaxCount: 100}, &r)
	addAll(t, b, numbers(250), 1)
	if b.isRunning() || r.count() > 0 {
		t.Fatal("something was sent")
	}
	if err := b.Finish(t.Context()); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]int{100, 100, 50}, r.sizes()); diff != "" {
		t.Errorf("batches (-want +got):\n%s", diff)
	}
}

func TestBytesDivideABundle(t *testing.T) {
	var r recorder
	b := started(t, BatchOptions{AtBundleEnd: true, MaxBytes: 100}, &r)
	for i, size := range []int{60, 40, 1, 500, 99, 2} {
		if err := b.Add(i, size); err != nil {
			t.Fatal(err)
		}
	}
	if err := b.Finish(t.Context()); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([][]int{{0, 1}, {2}, {3}, {4}, {5}}, r.batches); diff != "" {
		t.Errorf("batches (-want +got):\n%s", diff)
	}
}

func TestAddWaitsWhileTwoBatchesAreHeld(t *testing.T) {
	r := recorder{gate: make(chan error)}
	b := started(t, BatchOptions{MaxCount: 10}, &r)
	addAll(t, b, []int{0}, 1)
	await(t, "the first element is under way", func() bool { return r.count() == 1 })
	addAll(t, b, numbers(11)[1:], 1) // fills the batch that is collected

	added := make(chan error, 1)
	go func() { added <- b.Add(11, 1) }()
	await(t, "Add waits", b.isFull)
	select {
	case err := <-added:
		t.Fatalf("Add returned %v with two batches held", err)
	default:
	}
	r.gate <- nil
	if err := <-added; err != nil {
		t.Fatal(err)
	}
	close(r.gate)
	if err := b.Finish(t.Context()); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]int{1, 10, 1}, r.sizes()); diff != "" {
		t.Errorf("batches (-want +got):\n%s", diff)
	}
}

func TestABatchThatFailsFailsAddAndFinish(t *testing.T) {
	lost := errors.New("lost")
	r := recorder{gate: make(chan error, 1)}
	b := started(t, BatchOptions{MaxCount: 2}, &r)
	r.gate <- lost
	addAll(t, b, []int{0}, 1)
	await(t, "the batch has failed", func() bool { return !b.isRunning() })
	if err := b.Add(1, 1); !errors.Is(err, lost) {
		t.Errorf("Add = %v, want %v", err, lost)
	}
	if err := b.Finish(t.Context()); !errors.Is(err, lost) {
		t.Errorf("Finish = %v, want %v", err, lost)
	}
	if n := r.count(); n != 1 {
		t.Errorf("%d batches were tried after the failure", n-1)
	}

	b.Start(beginBundle(t.Context()))
	r.gate <- nil
	addAll(t, b, []int{2}, 1)
	if err := b.Finish(t.Context()); err != nil {
		t.Errorf("the next bundle fails, too: %v", err)
	}
}

func TestAWaitingAddIsReleasedByAFailure(t *testing.T) {
	lost := errors.New("lost")
	r := recorder{gate: make(chan error)}
	b := started(t, BatchOptions{MaxCount: 1}, &r)
	addAll(t, b, []int{0}, 1)
	await(t, "the first element is under way", func() bool { return r.count() == 1 })
	addAll(t, b, []int{1}, 1)
	added := make(chan error, 1)
	go func() { added <- b.Add(2, 1) }()
	await(t, "Add waits", b.isFull)
	r.gate <- lost
	if err := <-added; !errors.Is(err, lost) {
		t.Errorf("Add = %v, want %v", err, lost)
	}
}

func TestNoGoroutineOutlivesItsBundle(t *testing.T) {
	endings := map[string]func(*batcher[int], *recorder, context.CancelFunc){
		"finished":                 func(b *batcher[int], r *recorder, _ context.CancelFunc) { close(r.gate); _ = b.Finish(t.Context()) },
		"cancelled and left":       func(_ *batcher[int], _ *recorder, cancel context.CancelFunc) { cancel() },
		"failed and left":          func(_ *batcher[int], r *recorder, _ context.CancelFunc) { r.gate <- errors.New("lost") },
		"torn down":                func(b *batcher[int], _ *recorder, _ context.CancelFunc) { b.Stop() },
		"cancelled while it waits": func(b *batcher[int], _ *recorder, cancel context.CancelFunc) { cancel(); _ = b.Finish(t.Context()) },
	}
	for name, end := range endings {
		t.Run(name, func(t *testing.T) {
			before := runtime.NumGoroutine()
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			r := &recorder{gate: make(chan error)}
			b := newBatcher(BatchOptions{}, r.deliver)
			b.Start(beginBundle(ctx))
			addAll(t, b, []int{0}, 1)
			await(t, "the element is under way", func() bool { return r.count() == 1 })
			addAll(t, b, []int{1}, 1)
			end(b, r, cancel)
			await(t, "goroutines are gone", func() bool { return !b.isRunning() && runtime.NumGoroutine() <= before })
		})
	}
}

func TestFinishStopsWaitingWhenItsContextEnds(t *testing.T) {
	r := recorder{gate: make(chan error)}
	b := started(t, BatchOptions{}, &r)
	addAll(t, b, []int{0}, 1)
	ctx, cancel := context.WithCancel(t.Context())
	await(t, "the element is under way", func() bool { return r.count() == 1 })
	cancel()
	if err := b.Finish(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("Finish = %v, want %v", err, context.Canceled)
	}
}

func TestABundleWithoutElementsSendsNothing(t *testing.T) {
	var r recorder
	b := started(t, BatchOptions{}, &r)
	if err := b.Finish(t.Context()); err != nil || r.count() != 0 {
		t.Errorf("Finish = %v after %d batches", err, r.count())
	}
}
