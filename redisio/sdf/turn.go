package sdf

import (
	"context"
	"time"

	"github.com/apache/beam/sdks/v2/go/pkg/beam"

	"example.com/beamredis/redisio/internal/finalize"
	"example.com/beamredis/redisio/message"
)

// turn is one call of ProcessElement: what one partition contributes to one
// bundle.
type turn struct {
	cfg    *Config
	r      *reader
	tr     *Tracker
	we     *WatermarkEstimator
	bundle *finalize.Bundle // nil on the direct runner, which has no harness
	scope  *scope
	times  eventTimes

	emit       func(beam.EventTime, message.Message)
	emitFailed func(beam.EventTime, message.DeadLetter)
	later      func(func(context.Context)) // direct runner: run when the pipeline is done

	started time.Time
	until   time.Time

	entries int
	checkAt int // entries at which the clock is due
	bytes   int
	claimed []message.EntryID
	emitted int // how many of claimed were emitted, or became dead letters
	acked   int // how many of those were acknowledged at once
	others  []message.EntryID
	counts  [4]int64 // entries by batchKind
	traced  traced
}

// scope is what the turns of one bundle share.
type scope struct {
	thread   thread
	idleLeft time.Duration
	emitted  int
	sealed   bool // an entry was delivered alone: nothing else may be emitted
}

type scopeKey struct{}

func scopeOf(b *finalize.Bundle, cfg *Config) *scope {
	fresh := func() any { return &scope{idleLeft: cfg.IdleTime} }
	if b == nil {
		return fresh().(*scope)
	}
	return b.Value(scopeKey{}, fresh).(*scope)
}

// minTurn is the least time that a partition gets, however many share a bundle.
const minTurn = 50 * time.Millisecond

// run reads and emits until the turn is full, nothing more comes, or the read
// is over. It reports whether the read has ended for good.
func (t *turn) run(ctx context.Context) (ended bool, err error) {
	t.started = time.Now()
	peers := t.r.hub.visit(t.r.spot, &t.scope.thread)
	t.until = t.started.Add(max(minTurn, t.cfg.BundleTime/time.Duration(max(1, peers))))
	t.tr.SetBacklog(float64(t.r.backlog))
	if t.heldBack() {
		return false, nil
	}
	for !t.tr.splitOff() {
		b, end, err := t.next(ctx)
		switch {
		case err != nil:
			return false, t.outOfReach(ctx, err)
		case end:
			return t.finish(ctx)
		case b != nil:
			t.r.fetchAhead(ctx)
			if more, err := t.emitBatch(ctx, b); err != nil || !more {
				return false, err
			}
		case !t.wait(ctx):
			return false, nil
		}
	}
	return false, nil // the residual goes on from here
}

// next returns the batch to emit from, nil if there is none now, or that the
// read is over.
func (t *turn) next(ctx context.Context) (b *batch, end bool, err error) {
	if !t.over() || t.mayStillEmit() {
		b, err = t.r.ready(ctx, t.tr, t.most())
		if b != nil || err != nil || !t.over() {
			return b, false, err
		}
	}
	if !t.mayTakeOver() {
		return nil, true, nil
	}
	return t.r.lastTakeOver(ctx, t.tr.Restriction())
}

// most is how many entries this turn may still emit.
func (t *turn) most() int {
	most := int64(t.cfg.BundleEntries - t.entries)
	if left := t.tr.Restriction().Remaining; left > 0 {
		most = min(most, left)
	}
	return int(most)
}

// mayStillEmit reports whether the reader holds entries that are lost unless
// they are emitted, because the group has forgotten them, and may emit them.
func (t *turn) mayStillEmit() bool {
	rest := t.tr.Restriction()
	return t.cfg.Ack == NoAck && (t.r.phase == rereading || t.r.after != nil || t.r.head() != nil) &&
		!t.r.stopped && !rest.Ended && rest.Remaining != 0
}

// heldBack reports whether this bundle belongs to an entry that has to be
// delivered alone.
func (t *turn) heldBack() bool {
	return t.bundle != nil && (t.scope.sealed || quarantineOf(t.bundle.Connection()).blocks(t.r))
}

// full reports whether the turn has used up its bounds. Where the group forgets
// what it delivers, all that was fetched is emitted first.
func (t *turn) full() bool {
	if t.cfg.Ack == NoAck && t.r.holdsDelivered() {
		return false
	}
	return t.entries >= t.cfg.BundleEntries || t.bytes >= t.cfg.BundleBytes || t.timeUp()
}

// timeUp looks at the clock about once a millisecond, so that neither fast nor
// slow pipelines pay for it.
func (t *turn) timeUp() bool {
	if t.entries < t.checkAt {
		return false
	}
	now := time.Now()
	perMs := int(int64(t.entries) * int64(time.Millisecond) / max(1, int64(now.Sub(t.started))))
	t.checkAt = t.entries + max(1, min(64, perMs))
	return !now.Before(t.until)
}

// wait waits for entries, as long as the bundle may be idle. It reports whether
// there are some.
func (t *turn) wait(ctx context.Context) bool {
	if r := t.r; r.phase == live && !r.drained && !r.stopped {
		// The last fetch brought only what was read before.
		return ctx.Err() == nil && time.Now().Before(t.until)
	}
	left := min(t.scope.idleLeft, time.Until(t.until))
	if left <= 0 {
		return false
	}
	start := time.Now()
	own := t.r.hub.wait(ctx, t.r.spot, left)
	t.scope.idleLeft -= time.Since(start)
	return own && ctx.Err() == nil
}
