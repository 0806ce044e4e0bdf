package sdf

import (
	"context"
	"fmt"
	"time"

	"github.com/apache/beam/sdks/v2/go/pkg/beam"

	"example.com/beamredis/redisio/internal/finalize"
	"example.com/beamredis/redisio/internal/rdb"
	"example.com/beamredis/redisio/internal/telemetry"
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

// emitBatch emits entries of b until it is used up or the turn has to end, and
// reports whether the turn may go on.
func (t *turn) emitBatch(ctx context.Context, b *batch) (more bool, err error) {
	if t.cfg.Ack == AckOnEmit {
		defer t.ackEmitted(ctx)
	}
	size := b.bytes / max(1, len(b.entries))
	for b.left() > 0 {
		e := &b.entries[b.next]
		if b.deliveries != nil && t.bundle != nil {
			if v := judge(b.deliveries[b.next], t.cfg.DeliveryLimit); v != inCompany {
				return t.emitSuspect(ctx, b, e, v)
			}
		}
		if ok, err := t.claim(b.kind, e.ID); !ok {
			return err == nil, err
		}
		b.next++
		if err := t.deliver(ctx, e, b.kind); err != nil {
			return false, err
		}
		t.bytes += size
		if t.full() {
			return false, nil
		}
	}
	return true, nil
}

// ackEmitted acknowledges what was emitted since it was called last; not the
// entry whose emission has failed.
func (t *turn) ackEmitted(ctx context.Context) {
	t.r.acks.ackNow(ctx, t.claimed[t.acked:t.emitted])
	t.acked = t.emitted
}

// claim claims an entry. Where it may not, the read is over, unless the runner
// has split off the rest, which begins with this entry.
func (t *turn) claim(kind batchKind, id message.EntryID) (bool, error) {
	if kind == pendingBefore {
		t.others = append(t.others, id)
		return true, nil
	}
	if !t.tr.Claim(id) {
		t.r.stopped = !t.tr.splitOff()
		return false, t.tr.GetError()
	}
	t.claimed = append(t.claimed, id)
	return true, nil
}

// deliver emits a claimed entry, or its dead letter.
func (t *turn) deliver(ctx context.Context, e *rdb.Entry, kind batchKind) error {
	t.entries++
	t.scope.emitted++
	t.counts[kind]++
	m := t.message(e, kind)
	ts, err := t.times.of(&m)
	if err != nil {
		return t.reject(ctx, m, err.Error(), 1)
	}
	t.emit(ts, m)
	t.emitted = len(t.claimed)
	return nil
}

// message makes the message of an entry: its key comes out of the fields.
func (t *turn) message(e *rdb.Entry, kind batchKind) message.Message {
	m := message.Message{Stream: t.r.stream, ID: e.ID, Fields: e.Fields, Origin: t.origin(kind)}
	if t.cfg.KeyField == "" {
		return m
	}
	for i := range e.Fields {
		if e.Fields[i].Name == t.cfg.KeyField {
			m.Key = e.Fields[i].Value
			m.EmptyKey = m.Key == ""
			m.Fields = without(e.Fields, i)
			break
		}
	}
	return m
}

// without removes a field in place: the entry's fields belong to it alone.
func without(fields []message.Field, i int) []message.Field {
	if i == 0 {
		return fields[1:]
	}
	copy(fields[i:], fields[i+1:])
	return fields[:len(fields)-1]
}

// emitSuspect delivers an entry that has been delivered too often: alone in its
// bundle, or not at all.
func (t *turn) emitSuspect(ctx context.Context, b *batch, e *rdb.Entry, v verdict) (more bool, err error) {
	deliveries := b.deliveries[b.next]
	if v == dead {
		if ok, err := t.claim(b.kind, e.ID); !ok {
			return err == nil, err
		}
		b.next++
		t.entries++
		t.scope.emitted++
		reason := limitReason(deliveries, t.cfg.DeliveryLimit)
		return true, t.reject(ctx, t.message(e, b.kind), reason, deliveries)
	}
	q := quarantineOf(t.bundle.Connection())
	if t.scope.emitted > 0 {
		q.want(t.r)
		return false, nil
	}
	// Before the claim: an entry that is claimed is emitted, or its bundle fails.
	if err := t.r.countAlone(ctx, t.bundle, e.ID, deliveries); err != nil {
		return false, t.outOfReach(ctx, err)
	}
	t.r.failedSince = time.Time{}
	if ok, err := t.claim(b.kind, e.ID); !ok {
		return err == nil, err
	}
	b.next++
	t.scope.sealed = true
	q.done(t.r)
	return false, t.deliver(ctx, e, b.kind)
}

// reject passes an entry that cannot be delivered on to where dead letters go.
func (t *turn) reject(ctx context.Context, m message.Message, reason string, attempts int64) error {
	if !t.cfg.CollectFailed && t.cfg.ErrorStream == "" {
		return fmt.Errorf("entry %s of %s (key %q) cannot be delivered: %s; collect such entries with ReadWithFailed or an error stream",
			m.ID, m.Stream, m.Key, reason)
	}
	telemetry.DeadLetters.Add(ctx, 1)
	letter := message.DeadLetter{Message: m, Reason: reason, Attempts: attempts}
	if t.cfg.ErrorStream != "" {
		add := rdb.Add{Stream: t.cfg.ErrorStream, Fields: letter.ErrorEntry()}
		err := rdb.Retry(ctx, rdb.RetryPolicy{}, func(ctx context.Context) error {
			return rdb.NewAdder(t.r.client).Write(ctx, []rdb.Add{add})[0]
		})
		if err != nil {
			return fmt.Errorf("dead letter of entry %s of %s to error stream %s: %w", m.ID, m.Stream, t.cfg.ErrorStream, err)
		}
	}
	if t.cfg.CollectFailed {
		t.emitFailed(eventTime(idTime(m.ID.Ms)), letter)
	}
	t.emitted = len(t.claimed)
	return nil
}

// outOfReach decides what an error of Redis means: the turn ends early while
// there is hope, and fails when there is none.
func (t *turn) outOfReach(ctx context.Context, err error) error {
	if ctx.Err() != nil || rdb.Classify(err) != rdb.Retryable {
		return err
	}
	now := time.Now()
	if t.r.failedSince.IsZero() {
		t.r.failedSince = now
	}
	if down := now.Sub(t.r.failedSince); down > t.cfg.RetryFor {
		return fmt.Errorf("redis out of reach for %s: %w", down.Round(time.Second), err)
	}
	telemetry.ReadRetries.Add(ctx, 1)
	t.r.warner.warnf(ctx, "unreachable", "partition %s: will try again for %s: %v", t.r.stream, t.cfg.RetryFor-now.Sub(t.r.failedSince).Round(time.Second), err)
	pause := time.NewTimer(max(0, min(t.scope.idleLeft, 100*time.Millisecond)))
	defer pause.Stop()
	select {
	case <-pause.C:
	case <-ctx.Done():
	}
	t.scope.idleLeft -= time.Since(now)
	return nil
}
