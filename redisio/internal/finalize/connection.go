package finalize

import (
	"context"
	"sync"

	"example.com/beamredis/redisio/internal/logs"
)

// MaxWaiting is how many bundles of one connection may wait for their finalization before [Bundle.OnCommit] refuses callbacks. It is some
// minutes of a busy worker, and tens of megabytes beside what the callbacks themselves hold.
const MaxWaiting = 1 << 17

// Connection is what lives as long as one harness connection: one worker's control stream. It is garbage when the harness lets go of it, together with
// all that was never finalized; callbacks that are due by then still run.
type Connection struct {
	attachments
	done    <-chan struct{}
	counts  counts
	commits queue
	ends    queue

	warn sync.Once

	mu      sync.Mutex
	waiting map[string]*record
	own     int // of the waiting records, those with callbacks of ours
}

// record is a finished bundle whose finalization was requested.
type record struct {
	bundle    *Bundle
	callbacks []func(context.Context)
	sdk       bool // the SDK had requested it as well, for callbacks of its own
}

func newConnection(ctx context.Context) *Connection {
	return &Connection{done: ctx.Done(), waiting: map[string]*record{}}
}

// Done is closed when the worker is stopped. A connection that breaks off need not close it, and on a runner that gives every worker its own process
// the process may end first: it serves to let go early, not to keep accounts right.
func (c *Connection) Done() <-chan struct{} { return c.done }

// Waiting is the number of bundles of this connection that have callbacks and that the runner has not finalized yet.
func (c *Connection) Waiting() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.own
}

func (c *Connection) full() bool {
	if c.Waiting() < MaxWaiting {
		return false
	}
	c.warn.Do(func() {
		logs.Log.Warn("the runner does not finalize bundles: nothing more is acknowledged until it does (on Flink: is checkpointing on?)", "waiting", MaxWaiting)
	})
	return true
}

// await keeps a record until finalize asks for it.
func (c *Connection) await(id string, r *record) {
	c.mu.Lock()
	older := c.take(id)
	c.waiting[id] = r
	if len(r.callbacks) > 0 {
		c.own++
	}
	c.mu.Unlock()
	if len(r.callbacks) > 0 {
		c.counts.requested()
	}
	if older != nil && len(older.callbacks) > 0 {
		older.bundle.drop()
	}
}

// take removes and returns the record, nil if there is none. It must be called while holding mu.
func (c *Connection) take(id string) *record {
	r := c.waiting[id]
	if r == nil {
		return nil
	}
	delete(c.waiting, id)
	if len(r.callbacks) > 0 {
		c.own--
	}
	return r
}

// finalize makes the callbacks of a bundle due, once, and says whether the SDK has to hear of it too.
func (c *Connection) finalize(id string) (forSDK bool) {
	c.mu.Lock()
	r := c.take(id)
	c.mu.Unlock()
	if r == nil {
		return false
	}
	if len(r.callbacks) > 0 {
		c.counts.finalized()
		c.commits.push(r.run)
	}
	return r.sdk
}

// run calls the callbacks in the order in which they were registered.
func (r *record) run() {
	for _, fn := range r.callbacks {
		r.runOne(fn)
	}
}

func (r *record) runOne(fn func(context.Context)) {
	ctx, cancel := context.WithTimeout(r.bundle.commitCtx, callbackTimeout)
	defer cancel()
	guard("commit", func() { fn(ctx) })
}
