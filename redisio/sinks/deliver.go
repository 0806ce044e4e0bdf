package sinks

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync/atomic"
	"time"

	"github.com/cenkalti/backoff/v5"

	"example.com/beamredis/redisio/conn"
	"example.com/beamredis/redisio/internal/logs"
	"example.com/beamredis/redisio/internal/rdb"
	"example.com/beamredis/redisio/internal/telemetry"
)

// delivery has batches written for good: it tries again what may pass with
// time, and sets aside what never will.
type delivery[T any] struct {
	// try writes items in order and returns one error per item, nil for those
	// that were written.
	try func(context.Context, []T) []error
	// bury deals with an item that can never be written. It may name another to
	// write in its place. Its error fails the bundle.
	bury func(item T, reason error, attempts int) (instead T, ok bool, err error)
	// destination names where an item was to go, for errors.
	destination func(T) string
	// explain turns an error of the way to the server into one that helps.
	explain  func(error) error
	deadline time.Duration
	// waits returns those before one more try of a batch.
	waits func() backoff.BackOff
	// lose hears of the items that a bundle fails with; nil: nobody does.
	lose func(items []T, attempts int, err error)
	// flushes observes batches; nil: nobody does.
	flushes *flushes

	now   func() time.Time
	sleep func(context.Context, time.Duration) error

	began   time.Time // when the batch that is under way was first tried
	attempt int       // how often it was

	written, retries atomic.Int64
}

// newDelivery returns a delivery that lacks only try, bury and destination.
func newDelivery[T any](to conn.Config, batch BatchOptions, where telemetry.Where) *delivery[T] {
	return &delivery[T]{
		explain:  func(err error) error { return rdb.Explain(err, to.WithDefaults().Addr) },
		deadline: batch.WithDefaults().Deadline,
		waits:    func() backoff.BackOff { return rdb.RetryWaits(to) },
		now:      time.Now,
		sleep:    sleepContext,
		flushes:  &flushes{where: where},
	}
}

// LostError says that elements could not be written before the deadline. It is
// the error of a bundle, so the runner will try them again.
type LostError struct {
	Count       int           // elements not known to be written
	Destination string        // of the first of them
	Attempts    int           // how often they were tried
	Elapsed     time.Duration // for how long
	Cause       error         // what the last attempt met
}

func (e *LostError) Error() string {
	return fmt.Sprintf("%d elements not written, the first of them to %s (tried %d times in %v): %v",
		e.Count, e.Destination, e.Attempts, e.Elapsed.Round(time.Millisecond), e.Cause)
}

// Unwrap returns the cause.
func (e *LostError) Unwrap() error { return e.Cause }

// run writes items, which it may reorder nowhere but overwrite.
//
// Order: an item is tried again together with everything that failed with it,
// and before everything later, so that items of one destination arrive in
// order as long as try, of one destination's items, writes all or none that
// meet a retryable error (see [rdb.Adder.Write]).
func (d *delivery[T]) run(ctx context.Context, items []T) error {
	bundle, start, size := ctx, d.now(), len(items)
	d.began = start
	defer func() { d.flushes.observe(bundle, d.now().Sub(start), size) }()
	ctx, cancel := context.WithDeadline(bundle, start.Add(d.deadline))
	defer cancel()
	waits := d.waits()
	for attempts := 1; ; attempts++ {
		d.attempt = attempts
		before := len(items)
		left, cause, err := d.settle(items, d.tryIn(bundle, ctx, items), attempts)
		if err != nil || len(left) == 0 {
			return err
		}
		lost := &LostError{len(left), d.destination(left[0]), attempts, d.now().Sub(start), d.explain(cause)}
		if len(left) == before && cause != nil {
			d.warnOfRetries(bundle, lost)
			if d.sleep(ctx, waits.NextBackOff()) != nil {
				err := giveUp(bundle, lost)
				d.lost(left, attempts, err)
				return err
			}
		}
		items = left
	}
}

// tryIn is try, unless the bundle has ended: nothing of it may be written then.
func (d *delivery[T]) tryIn(bundle, ctx context.Context, items []T) []error {
	if err := bundle.Err(); err != nil {
		return slices.Repeat([]error{err}, len(items))
	}
	return d.try(ctx, items)
}

// warnOfRetries says that nothing gets through, before the deadline does.
func (d *delivery[T]) warnOfRetries(ctx context.Context, lost *LostError) {
	if ctx.Err() != nil {
		return // a bundle that is given up will not try again
	}
	logs.Log.WarnContext(ctx, "elements could not be written, and will be tried again", "destination", lost.Destination, "elements", lost.Count,
		"attempts", lost.Attempts, "for", (d.deadline - lost.Elapsed).Round(time.Second), "error", lost.Cause)
}

// giveUp tells the end of the time from the end of the bundle.
func giveUp(bundle context.Context, lost *LostError) error {
	switch cause := context.Cause(bundle); {
	case gaveUp(cause):
		return cause
	case cause != nil:
		return fmt.Errorf("%w: %w", cause, lost)
	}
	return lost
}

// settle sorts items by what became of them and returns those that are to be
// tried again, in order, with the reason of one of them.
func (d *delivery[T]) settle(items []T, errs []error, attempts int) (left []T, cause, err error) {
	if allNil(errs) {
		d.written.Add(int64(len(items)))
		return nil, nil, nil
	}
	left = items[:0]
	var instead []T
	for i, item := range items {
		switch e := errs[i]; {
		case e == nil:
			d.written.Add(1)
		case classify(e) == rdb.Retryable:
			left, cause = append(left, item), e
		case classify(e) == rdb.ElementFault:
			other, ok, err := d.bury(item, e, attempts)
			if err != nil {
				d.lost(append(left, unwritten(items[i+1:], errs[i+1:])...), attempts, err)
				return nil, nil, err
			}
			if ok {
				instead = append(instead, other)
			}
		default:
			err := fmt.Errorf("write to %s: %w", d.destination(item), d.explain(e))
			d.lost(append(left, unwritten(items[i:], errs[i:])...), attempts, err)
			return nil, nil, err
		}
	}
	d.retries.Add(int64(len(left)))
	return append(left, instead...), cause, nil
}

func (d *delivery[T]) lost(items []T, attempts int, err error) {
	if d.lose != nil {
		d.lose(items, attempts, err)
	}
}

// beganOf is when an item that was tried attempts times was first tried; zero
// for one that never was. Then it may be called beside run.
func (d *delivery[T]) beganOf(attempts int) time.Time {
	if attempts == 0 {
		return time.Time{}
	}
	return d.began
}

// unwritten returns the items that have an error.
func unwritten[T any](items []T, errs []error) (left []T) {
	for i := range items {
		if errs[i] != nil {
			left = append(left, items[i])
		}
	}
	return left
}

// classify says what an error of a write calls for. Where the time has run out
// meanwhile, the wait before the next attempt finds that out.
func classify(err error) rdb.Class {
	if errors.Is(err, context.DeadlineExceeded) || errors.Is(err, context.Canceled) {
		return rdb.Retryable
	}
	return rdb.ClassifyAdd(err)
}

func allNil(errs []error) bool {
	for _, err := range errs {
		if err != nil {
			return false
		}
	}
	return true
}

// sleepContext waits for d, or for the end of ctx, whose error it returns.
func sleepContext(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-timer.C:
		return nil
	}
}
