package finalize

import (
	"context"
	"sync"
	"time"

	fnpb "github.com/apache/beam/sdks/v2/go/pkg/beam/model/fnexecution_v1"
)

// callbackTimeout is how long one commit callback may take before its context ends.
const callbackTimeout = time.Minute

// Bundle is one ProcessBundle instruction. Its methods may be called from several goroutines at once.
type Bundle struct {
	attachments
	conn      *Connection
	id        string
	commitCtx context.Context // the values of the bundle's context, and not its end

	mu       sync.Mutex
	ended    bool
	failed   bool
	onCommit []func(context.Context)
	onEnd    []func(bool)
	onDrop   []func()
}

// begin returns the context of a new bundle.
func (c *Connection) begin(ctx context.Context, id string) context.Context {
	b := &Bundle{conn: c, id: id}
	ctx = context.WithValue(ctx, bundleKey{}, b)
	b.commitCtx = context.WithoutCancel(ctx)
	return ctx
}

// FromContext returns the bundle that ctx, as handed to StartBundle, ProcessElement and FinishBundle, belongs to. It returns nil where no
// harness calls the DoFn: on the direct runner, and in unit tests.
func FromContext(ctx context.Context) *Bundle {
	b, _ := ctx.Value(bundleKey{}).(*Bundle)
	return b
}

// Connection returns the harness connection that the bundle came over.
func (b *Bundle) Connection() *Connection { return b.conn }

// OnCommit registers fn to be called once, after the runner has finalized the bundle: then, and only then, are the bundle's outputs and residuals
// durable. It is never called if the bundle fails or the connection ends before.
//
// Callbacks run outside of all locks, one at a time per connection: bundle by bundle in the order of finalization, and within a bundle in the
// order of registration. Connections do not wait for each other. The context carries the values of the bundle's, is not
// cancelled by the end of bundle or connection, and ends after one minute; a callback that does not heed it holds up those after it. A panic
// is recovered and logged.
//
// The answer is false, and fn will never be called, if the bundle has ended already, or if [MaxWaiting] bundles of the connection wait: then keep
// what was to be done for a later bundle.
func (b *Bundle) OnCommit(fn func(ctx context.Context)) bool {
	full := b.conn.full()
	b.mu.Lock()
	defer b.mu.Unlock()
	if full || b.ended {
		return false
	}
	b.onCommit = append(b.onCommit, fn)
	return true
}

// OnEnd registers fn to be called once, when it is known whether the bundle failed: right after its response is made. A bundle that did not fail is not
// committed for that: the runner can still discard it. Callbacks run outside of all locks, one at a time per connection, in the order of the
// bundles' ends. They do not wait for those of OnCommit, so they should be quick. If the bundle has ended already, fn is due at once. A panic
// is recovered and logged.
func (b *Bundle) OnEnd(fn func(failed bool)) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.ended {
		b.pushEnd([]func(bool){fn}, b.failed)
		return
	}
	b.onEnd = append(b.onEnd, fn)
}

// OnDrop registers fn to be called once, if the bundle succeeds and its commit callbacks will never be called all the same, because the runner has used
// its instruction ID again. Register it before the bundle ends. It is called as those of OnEnd are. If the bundle fails, or the connection
// ends, it is not called.
func (b *Bundle) OnDrop(fn func()) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.onDrop = append(b.onDrop, fn)
}

// drop carries out what is to be done without a commit.
func (b *Bundle) drop() {
	b.mu.Lock()
	fns := b.onDrop
	b.onDrop = nil
	b.mu.Unlock()
	b.conn.counts.dropped()
	b.conn.ends.push(func() {
		for _, fn := range fns {
			guard("drop", fn)
		}
	})
}

// finish ends the bundle: it asks the runner for finalization if commit callbacks wait, or drops them if the bundle failed.
func (b *Bundle) finish(resp *fnpb.InstructionResponse) {
	processed := resp.GetProcessBundle()
	failed := processed == nil || resp.GetError() != ""
	commits := b.end(failed)
	switch {
	case failed && len(commits) > 0:
		b.conn.counts.dropped()
	case !failed && (len(commits) > 0 || processed.GetRequiresFinalization()):
		b.conn.await(b.id, &record{bundle: b, callbacks: commits, sdk: processed.GetRequiresFinalization()})
		processed.RequiresFinalization = true
	}
}

// end closes the bundle for registration, lets go of its attachments, and returns the commit callbacks.
func (b *Bundle) end(failed bool) []func(context.Context) {
	b.attachments.release()
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.ended {
		return nil
	}
	b.ended, b.failed = true, failed
	commits, ends := b.onCommit, b.onEnd
	b.onCommit, b.onEnd = nil, nil
	b.pushEnd(ends, failed)
	return commits
}

func (b *Bundle) pushEnd(fns []func(bool), failed bool) {
	if len(fns) == 0 {
		return
	}
	b.conn.ends.push(func() {
		for _, fn := range fns {
			guard("end", func() { fn(failed) })
		}
	})
}
