package sdf

import (
	"context"
	"math"
	"sync/atomic"
	"time"

	"example.com/beamredis/redisio/internal/telemetry"
	"example.com/beamredis/redisio/message"
)

// stopping ends every read of this process.
var stopping atomic.Bool

// Stop ends every read that runs in this process as if it had come to its stop
// bound: what was emitted is acknowledged, what was only fetched is given back.
func Stop() { stopping.Store(true) }

// over reports whether there is nothing more to read, ever.
func (t *turn) over() bool {
	rest := t.tr.Restriction()
	switch {
	case t.r.stopped || stopping.Load() || rest.Remaining == 0:
		return true
	case rest.Ended:
		return !t.tr.splitOff()
	case rest.Deadline != NoLimit && time.Now().UnixMilli() >= rest.Deadline:
		return true
	case rest.Stop == message.MaxID:
		return false
	}
	return t.r.hasAllUpTo(rest)
}

// hasAllUpTo reports whether everything up to Stop has been emitted, except for
// what other consumers left pending before Start.
func (r *reader) hasAllUpTo(rest Restriction) bool {
	if r.phase != live || !r.old.ownDone || r.head() != nil {
		return false
	}
	if !rest.Position.Less(rest.Stop) {
		return true
	}
	// Nothing up to lastGen is left, and what is added later gets a later ID.
	return r.drained && (!r.lastGen.Less(rest.Stop) || r.serverMs > idTime(rest.Stop.Ms))
}

// mayTakeOver reports whether a read that is over may still emit what other
// consumers left pending before Start: it may if it has come to its stop, not
// if it was told to end, or has used up its entries or its time.
func (t *turn) mayTakeOver() bool {
	rest := t.tr.Restriction()
	return !stopping.Load() && !rest.Ended && rest.Remaining != 0 &&
		(rest.Deadline == NoLimit || time.Now().UnixMilli() < rest.Deadline)
}

// finishFor bounds how long a read that is over waits for the finalization of
// its last bundles, so that it ends on a runner that never finalizes.
const finishFor = 5 * time.Minute

// finish ends the read: first it gives back what was fetched and may not be
// emitted, then it waits until everything it emitted is acknowledged. It
// reports whether that is so.
func (t *turn) finish(ctx context.Context) (ended bool, err error) {
	if t.r.phase == cold && t.bundle != nil && !t.tr.Restriction().Ended {
		// The worker that emitted the last entries may have died before it could
		// acknowledge them.
		if err := t.r.open(ctx, t.tr); err != nil {
			return false, t.outOfReach(ctx, err)
		}
	}
	if err := t.r.giveBack(ctx, t.tr.Restriction().Position); err != nil {
		return false, t.outOfReach(ctx, err)
	}
	if t.r.finishing.IsZero() {
		t.r.finishing = time.Now()
	}
	if t.bundle != nil && !t.acknowledged(ctx) {
		if time.Since(t.r.finishing) < finishFor {
			return false, nil
		}
		t.r.log.WarnContext(ctx, "the runner has not finalized the last bundles; their entries stay pending", "waited", finishFor)
	}
	t.tr.End()
	t.r.hub.forget(t.r.spot)
	return true, nil
}

// acknowledged reports whether nothing waits to be acknowledged, neither in
// this bundle nor in an earlier one.
func (t *turn) acknowledged(ctx context.Context) bool {
	if t.entries > 0 || t.r.owes() {
		return false
	}
	start := time.Now()
	ok := t.r.acks.settled(ctx, max(time.Millisecond, t.scope.idleLeft))
	t.scope.idleLeft -= time.Since(start)
	return ok && !t.r.owes()
}

// owes reports whether the next finalization has something to clear.
func (r *reader) owes() bool {
	return !r.repair.empty() || len(r.skipped) > 0 || r.acks.hasFailed()
}

// close ends a turn that went well: it hands over what is to be acknowledged,
// moves the watermark, and lets the reader remember where it stands.
func (t *turn) close(ctx context.Context) {
	rest := t.tr.Restriction()
	t.settle()
	t.we.advance(t.watermarkMs(rest))
	t.r.end(rest)
	t.count(ctx)
	if !t.r.stopped && (t.r.head() != nil || t.r.inflight != nil || t.r.phase != live || t.r.backlog > 0) {
		t.r.hub.busy(t.r.spot)
	}
	entries := float64(t.r.backlog)
	t.tr.SetBacklog(entries)
	setBacklog(keyOf(t.cfg, t.r.stream), entries*t.r.size.mean)
}

// settle makes a receipt of everything that this bundle's finalization has to
// acknowledge.
func (t *turn) settle() {
	r := t.r
	failed := r.acks.takeFailed()
	others := append(append(t.others, r.skipped...), failed.ids...)
	if t.entries == 0 && len(others) == 0 && r.repair.empty() && failed.span.empty() {
		return
	}
	claimed := t.claimed
	if t.cfg.Ack != AckOnCheckpoint {
		claimed = nil
	}
	rc := newReceipt(claimed, others, r.repair, failed.span)
	rc.count += failed.count - int64(len(failed.ids))
	if r.spans != nil {
		rc.traced = t.keepTraced()
	}
	r.repair, r.skipped = idRange{}, nil
	acks := r.acks // the reader has another one when it has started cold
	commit := func(ctx context.Context) { acks.commit(ctx, rc) }
	leave := func() { // to the finalization of a later bundle
		rc.settle()
		acks.giveUp(rc.leftovers())
		acks.closed(rc)
	}
	acks.opened(rc)
	switch {
	case t.bundle == nil:
		t.later(commit)
	case t.bundle.OnCommit(commit):
		t.bundle.OnDrop(leave)
	default:
		leave()
	}
}

func (t *turn) watermark(rest Restriction) watermark {
	r := t.r
	w := watermark{
		emittedMs: noWatermark,
		emptyMs:   r.emptyMs,
		caughtUp:  r.phase == live && r.drained && r.head() == nil,
		serverMs:  r.serverMs,
		holdMs:    r.old.holdMs,
		skewMs:    t.cfg.Skew.Milliseconds(),
	}
	if !rest.Position.IsZero() {
		w.emittedMs = idTime(rest.Position.Ms)
	}
	if r.phase == cold || r.phase == redelivering {
		w.holdMs = min(w.holdMs, noWatermark)
	}
	if rest.Ended {
		w.holdMs = math.MaxInt64
	}
	return w
}

func (t *turn) count(ctx context.Context) {
	r := t.r
	telemetry.EntriesRead.Add(ctx, t.counts[fresh], r.where)
	telemetry.Redelivered.Add(ctx, t.counts[reread]+t.counts[pendingBefore], r.where)
	telemetry.GapsHealed.Add(ctx, t.counts[gap], r.where)
	telemetry.BytesRead.Add(ctx, int64(t.bytes), r.where)
	telemetry.Acknowledged.Settle(ctx)
	telemetry.AckFailures.Settle(ctx)
	telemetry.Lag.Set(ctx, r.of, r.lag())
	telemetry.AcksPending.Set(ctx, r.of, r.acks.unacknowledged())
	if ms := t.we.state(); ms != noWatermark && r.serverMs != noWatermark {
		telemetry.WatermarkAge.Set(ctx, r.of, max(0, r.serverMs-ms))
	}
}

// lag is how many entries wait to be read: in the stream, and here.
func (r *reader) lag() int64 {
	n := r.backlog
	for _, b := range r.queue {
		n += int64(b.left())
	}
	return n
}
