package rdb

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/cenkalti/backoff/v5"

	"example.com/beamredis/redisio/conn"
)

// RetryPolicy says how long and how often [Retry] tries. Zero fields mean the
// defaults.
type RetryPolicy struct {
	// Deadline bounds all tries together, waiting included; 0 means 30 s. It
	// also ends a try that hangs.
	Deadline time.Duration
	// Initial is the wait after the first failure; 0 means 20 ms. Each further
	// one is 1.5 times as long, give or take half at random, so that workers
	// that failed together do not come back together.
	Initial time.Duration
	// Max bounds one wait; 0 means 2 s.
	Max time.Duration
	// OnRetry is called before each wait, for counting; may be nil.
	OnRetry func(err error, wait time.Duration)
}

// Defaults of [RetryPolicy].
const (
	defaultRetryDeadline = 30 * time.Second
	defaultRetryInitial  = 20 * time.Millisecond
	defaultRetryMax      = 2 * time.Second
)

// errRetryDeadline ends the tries' context when the policy's own deadline does.
var errRetryDeadline = errors.New("retry deadline")

// Retry is [Retry] with the bounds of the client's configuration.
func (c *Client) Retry(ctx context.Context, op func(context.Context) error) error {
	return c.RetryFor(ctx, c.cfg.RetryTimeout, op)
}

// RetryFor is [Client.Retry] with another bound of all tries together.
func (c *Client) RetryFor(ctx context.Context, d time.Duration, op func(context.Context) error) error {
	return Retry(ctx, RetryPolicy{Deadline: d, Initial: c.cfg.RetryMin, Max: c.cfg.RetryMax}, op)
}

// Retry calls op until it succeeds, and returns nil then. It stops at once
// with op's error, unchanged, if that is not [Retryable]; at the policy's
// deadline with an error that says for how long it tried and wraps op's last
// error; and at the end of ctx with one that wraps both op's error and the
// cause. The context given to op ends at the deadline.
func Retry(ctx context.Context, policy RetryPolicy, op func(context.Context) error) error {
	policy = policy.withDefaults()
	tries, cancel := context.WithTimeoutCause(ctx, policy.Deadline, errRetryDeadline)
	defer cancel()
	r := attempts{started: time.Now()}
	_, err := backoff.Retry(tries, func() (struct{}, error) { return struct{}{}, r.run(tries, op) },
		backoff.WithBackOff(policy.backOff()),
		backoff.WithMaxElapsedTime(0), // the context's deadline is the only bound
		backoff.WithNotify(policy.notify))
	if err == nil || r.permanent {
		return err
	}
	return r.gaveUp(ctx)
}

// attempts remembers what backoff forgets when a context ends.
type attempts struct {
	started   time.Time
	count     int
	last      error
	permanent bool
}

func (a *attempts) run(ctx context.Context, op func(context.Context) error) error {
	a.count++
	err := op(ctx)
	switch {
	case err == nil:
		return nil
	case isEndOf(ctx, err):
		a.remember(err)
		return err
	// A deadline of op's own while ours lives is one slow try.
	case Classify(err) == Retryable, errors.Is(err, context.DeadlineExceeded):
		if ctx.Err() == nil {
			a.last = err
		}
		a.remember(err)
		return err
	}
	a.permanent = true
	return backoff.Permanent(err)
}

// remember keeps the first of several errors that the end of the context can
// have caused: a try that was cut off knows less than the one before it.
func (a *attempts) remember(err error) {
	if a.last == nil {
		a.last = err
	}
}

func isEndOf(ctx context.Context, err error) bool {
	return ctx.Err() != nil && (errors.Is(err, ctx.Err()) || errors.Is(err, context.Cause(ctx)))
}

func (a *attempts) gaveUp(ctx context.Context) error {
	took := time.Since(a.started).Round(time.Millisecond)
	if cause := context.Cause(ctx); cause != nil {
		return fmt.Errorf("stopped after %v and %d tries: %w; last error: %w", took, a.count, cause, a.last)
	}
	return fmt.Errorf("gave up after %v and %d tries: %w", took, a.count, a.last)
}

func (p RetryPolicy) withDefaults() RetryPolicy {
	p.Deadline = cmp.Or(p.Deadline, defaultRetryDeadline)
	// Where one bound of the waits is given, the other's default gives way.
	p.Initial = cmp.Or(p.Initial, min(defaultRetryInitial, cmp.Or(p.Max, defaultRetryMax)))
	p.Max = cmp.Or(p.Max, max(defaultRetryMax, p.Initial))
	return p
}

// RetryWaits are the waits of [Client.Retry] under cfg, for whoever tries again by
// other rules.
func RetryWaits(cfg conn.Config) backoff.BackOff {
	return RetryPolicy{Initial: cfg.RetryMin, Max: cfg.RetryMax}.withDefaults().backOff()
}

func (p RetryPolicy) backOff() backoff.BackOff {
	b := backoff.NewExponentialBackOff()
	b.InitialInterval, b.MaxInterval = p.Initial, p.Max
	return b
}

func (p RetryPolicy) notify(err error, wait time.Duration) {
	if p.OnRetry != nil {
		p.OnRetry(err, wait)
	}
}
