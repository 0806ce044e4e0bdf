package sinks

import (
	"context"
	"errors"
	"sync"
	"time"

	"example.com/beamredis/redisio/internal/finalize"
)

// batcher collects elements and hands them on in batches, in order, one batch
// at a time. While one is under way, the next is collected.
//
// Its goroutine lives only while there is something to send, and ends by
// itself: a runner that drops a failed bundle calls neither FinishBundle nor
// Teardown.
type batcher[T any] struct {
	opts BatchOptions
	// deliver has a batch written for good. Its error fails the bundle.
	deliver func(context.Context, []T) error
	// lose hears of the elements that are dropped with their bundle, before they
	// were tried once; nil: nobody does.
	lose func(items []T, attempts int, err error)
	now  func() time.Time

	bundle *bundle
	ctx    context.Context // the bundle's, until Stop
	cancel context.CancelFunc
	wake   chan struct{} // the decision may have changed
	done   sync.WaitGroup

	mu      sync.Mutex
	changed *sync.Cond // room, running or err
	batch   batch[T]
	spare   []T
	running bool // there is a goroutine
	waiting bool // an element waits for room
	ending  bool
	err     error
}

// batch is what is being collected. Where it may outgrow the bounds of one
// batch, cuts are the positions at which it is divided.
type batch[T any] struct {
	items []T
	cuts  []int
	bytes int // since the last cut
}

// count returns the number of elements since the last cut.
func (b *batch[T]) count() int {
	if n := len(b.cuts); n > 0 {
		return len(b.items) - b.cuts[n-1]
	}
	return len(b.items)
}

func (b *batch[T]) add(item T, size int) {
	b.items = append(b.items, item)
	b.bytes += size
}

func (b *batch[T]) cut() {
	b.cuts = append(b.cuts, len(b.items))
	b.bytes = 0
}

func newBatcher[T any](opts BatchOptions, deliver func(context.Context, []T) error) *batcher[T] {
	b := &batcher[T]{
		opts:    opts.WithDefaults(),
		deliver: deliver,
		now:     time.Now,
		wake:    make(chan struct{}, 1),
	}
	b.changed = sync.NewCond(&b.mu)
	return b
}

// Start begins a bundle. What an earlier one left, having failed, is dropped.
func (b *batcher[T]) Start(bundle *bundle) {
	b.Stop()
	b.bundle = bundle
	b.ctx, b.cancel = context.WithCancel(bundle.ctx)
	b.ending, b.err = false, nil
}

// Stop gives up the bundle and returns when nothing of it runs any more.
func (b *batcher[T]) Stop() {
	if b.cancel != nil {
		b.cancel()
	}
	b.done.Wait()
	b.drop(b.batch.items, errDropped)
	b.batch = batch[T]{}
	select {
	case <-b.wake:
	default:
	}
}

// errDropped is why elements are dropped that no batch failed with.
var errDropped = errors.New("the bundle failed before the element was sent")

func (b *batcher[T]) drop(items []T, err error) {
	if b.lose != nil && len(items) > 0 {
		b.lose(items, 0, err)
	}
}

// Add hands over one element of size bytes. It waits while two batches are
// held. The error is that of an earlier batch, and the bundle's end.
func (b *batcher[T]) Add(item T, size int) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if !b.opts.fits(b.batch.count(), b.batch.bytes, size) {
		b.makeRoom(size)
	}
	if b.err != nil {
		b.drop([]T{item}, b.err)
		return b.err
	}
	b.batch.add(item, size)
	if b.opts.AtBundleEnd {
		return nil
	}
	if b.batch.count() == b.opts.MaxCount {
		b.signal()
	}
	b.run(true)
	return nil
}

func (b *batcher[T]) makeRoom(size int) {
	if b.opts.AtBundleEnd {
		b.batch.cut()
		return
	}
	for b.err == nil && !b.opts.fits(b.batch.count(), b.batch.bytes, size) {
		b.waiting = true
		b.signal()
		b.changed.Wait()
	}
}

// Finish sends what is left and returns when everything is written. The error
// says what could not be; the bundle has to fail with it.
func (b *batcher[T]) Finish(ctx context.Context) error {
	defer context.AfterFunc(ctx, b.cancel)()
	defer b.cancel()
	b.mu.Lock()
	b.ending = true
	b.signal()
	if len(b.batch.items) > 0 {
		b.run(false)
	}
	for b.running {
		b.changed.Wait()
	}
	err := b.err
	b.mu.Unlock()
	b.done.Wait()
	return err
}

func (b *batcher[T]) signal() {
	select {
	case b.wake <- struct{}{}:
	default:
	}
}

// run makes sure that there is a goroutine.
func (b *batcher[T]) run(idle bool) {
	if b.running {
		return
	}
	b.running = true
	b.done.Go(func() { b.send(idle) })
}

// send delivers batches until there is none.
func (b *batcher[T]) send(idle bool) {
	for {
		batch, ok := b.next(idle)
		if !ok {
			return
		}
		idle = false
		err := b.deliverAll(batch)
		if err != nil {
			finalize.SinkFailed(b.ctx)
			b.bundle.fail(err)
		}
		clear(batch.items) // lets go of the elements' memory
		b.mu.Lock()
		b.spare, b.err = batch.items[:0], err
		b.mu.Unlock()
	}
}

func (b *batcher[T]) deliverAll(all batch[T]) error {
	start := 0
	for _, end := range append(all.cuts, len(all.items)) {
		if err := b.deliver(b.ctx, all.items[start:end]); err != nil {
			b.drop(all.items[end:], err)
			return err
		}
		start = end
	}
	return nil
}

// next waits until the collected batch is to be sent and takes it. It reports
// false, and the goroutine as gone, when there is nothing to send any more.
func (b *batcher[T]) next(idle bool) (batch[T], bool) {
	began := b.now()
	c := collected{idle: idle, since: began, grown: began}
	b.mu.Lock()
	defer b.mu.Unlock()
	for {
		if b.err != nil {
			b.drop(b.batch.items, b.err)
			b.batch = batch[T]{}
		}
		if len(b.batch.items) == 0 {
			b.running = false
			b.changed.Broadcast()
			return batch[T]{}, false
		}
		now := b.now()
		b.observe(&c, now)
		send, wait := b.opts.decide(now, c)
		if send {
			return b.take(), true
		}
		b.mu.Unlock()
		b.sleep(wait)
		b.mu.Lock()
	}
}

// observe brings c up to now.
func (b *batcher[T]) observe(c *collected, now time.Time) {
	if n := len(b.batch.items); n != c.count {
		c.count, c.grown = n, now
	}
	c.full = b.waiting || b.batch.count() >= b.opts.MaxCount
	c.ending = b.ending || b.ctx.Err() != nil
}

func (b *batcher[T]) take() batch[T] {
	taken := b.batch
	b.waiting = false
	b.batch = batch[T]{items: b.spare}
	b.spare = nil
	b.changed.Broadcast()
	return taken
}

// sleep returns after wait, or earlier when the decision may have changed.
func (b *batcher[T]) sleep(wait time.Duration) {
	var timeout <-chan time.Time
	if wait != forever {
		timer := time.NewTimer(wait)
		defer timer.Stop()
		timeout = timer.C
	}
	select {
	case <-b.wake:
	case <-timeout:
	case <-b.ctx.Done():
	}
}
