package sinks

import (
	"context"
	"errors"

	"example.com/beamredis/redisio/internal/finalize"
)

// bundle is what the lanes of a sink share while one bundle lasts.
type bundle struct {
	// ctx ends with the bundle, or as soon as it is bound to fail. The runner
	// repeats a bundle that failed: whatever it still wrote then would come out on
	// top of later writes.
	ctx context.Context
	end context.CancelCauseFunc
}

// beginBundle makes a bundle of the context that a DoFn was given. That one
// outlives the bundle in a harness, which does not tell a DoFn either when
// another one of the bundle failed.
func beginBundle(ctx context.Context) *bundle {
	own, end := context.WithCancelCause(ctx)
	if b := finalize.FromContext(ctx); b != nil {
		// After a bundle that ended well nothing of it is left to stop.
		b.OnEnd(func(bool) { end(&bundleError{errElsewhere}) })
	}
	return &bundle{own, end}
}

// fail ends the bundle, which will fail with err.
func (b *bundle) fail(err error) { b.end(&bundleError{err}) }

// close lets go of the bundle, of which nothing runs any more.
func (b *bundle) close() { b.end(nil) }

var errElsewhere = errors.New("another part of it has failed")

// bundleError is why a lane gave up that met no error itself.
type bundleError struct{ err error }

func (e *bundleError) Error() string { return "the bundle fails anyway: " + e.err.Error() }

// Unwrap returns what the bundle fails with.
func (e *bundleError) Unwrap() error { return e.err }

// gaveUp says whether err is a [bundleError].
func gaveUp(err error) bool {
	var bundle *bundleError
	return errors.As(err, &bundle)
}
