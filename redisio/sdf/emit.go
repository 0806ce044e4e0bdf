package sdf

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/apache/beam/sdks/v2/go/pkg/beam"

	"example.com/beamredis/redisio/internal/rdb"
	"example.com/beamredis/redisio/internal/telemetry"
	"example.com/beamredis/redisio/message"
)

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
	t.r.acks.ackNow(ctx, t.claimed[t.acked:t.emitted], t.takeTraced())
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
	t.r.latestMs = max(t.r.latestMs, int64(ts))
	if t.r.spans != nil {
		t.emitTraced(ts, m, kind)
	} else {
		t.emit(ts, m)
	}
	t.emitted = len(t.claimed)
	return nil
}

func (t *turn) message(e *rdb.Entry, kind batchKind) message.Message {
	return messageOf(t.r.stream, e, t.cfg.KeyField, t.origin(kind))
}

// messageOf makes the message of an entry: its key comes out of the fields.
func messageOf(stream string, e *rdb.Entry, keyField string, origin *message.Origin) message.Message {
	m := message.Message{Stream: stream, ID: e.ID, Fields: e.Fields, Origin: origin}
	if keyField == "" {
		return m
	}
	for i := range e.Fields {
		if e.Fields[i].Name == keyField {
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
	if t.r.spans != nil {
		t.traceRejected(&m)
	}
	if err := reject(ctx, t.r.client, t.cfg, m, reason, attempts, t.emitFailed); err != nil {
		return err
	}
	t.emitted = len(t.claimed)
	return nil
}

func reject(ctx context.Context, client *rdb.Client, cfg *Config, m message.Message, reason string, attempts int64,
	emitFailed func(beam.EventTime, message.DeadLetter)) error {
	if !cfg.CollectFailed && cfg.ErrorStream == "" {
		return fmt.Errorf("entry %s of %s (key %q) cannot be delivered: %s; collect such entries with ReadWithFailed, ReadRangeWithFailed or an error stream",
			m.ID, m.Stream, m.Key, reason)
	}
	telemetry.DeadLetters.Add(ctx, 1, telemetry.Of{Stream: m.Stream, Group: cfg.Group}.Where())
	letter := message.DeadLetter{Message: m, Reason: reason, Attempts: attempts}
	if cfg.ErrorStream != "" {
		add := rdb.Add{Stream: cfg.ErrorStream, Fields: letter.ErrorEntry()}
		err := client.Retry(ctx, func(ctx context.Context) error {
			return rdb.NewAdder(client).Write(ctx, []rdb.Add{add})[0]
		})
		if err != nil {
			return fmt.Errorf("dead letter of entry %s of %s to error stream %s: %w", m.ID, m.Stream, cfg.ErrorStream, err)
		}
	}
	if cfg.CollectFailed {
		emitFailed(eventTime(idTime(m.ID.Ms)), letter)
	}
	return nil
}

// outOfReach decides what an error of Redis means: the turn ends early while
// there is hope, and fails when there is none.
func (t *turn) outOfReach(ctx context.Context, err error) error {
	err = t.r.client.Explained(err)
	// A deadline of the fetch's own, while the bundle lives, passes like others.
	if ctx.Err() != nil || rdb.Classify(err) != rdb.Retryable && !errors.Is(err, context.DeadlineExceeded) {
		return err
	}
	now := time.Now()
	t.r.shaken = true
	if t.r.failedSince.IsZero() {
		t.r.failedSince = now
	}
	if down := now.Sub(t.r.failedSince); down > t.cfg.RetryFor {
		return fmt.Errorf("redis out of reach for %s: %w", down.Round(time.Second), err)
	}
	telemetry.ReadRetries.Add(ctx, 1, t.r.where)
	t.r.log.WarnContext(ctx, "Redis is out of reach, and will be tried again", "for", t.cfg.RetryFor-now.Sub(t.r.failedSince).Round(time.Second), "error", err)
	pause := time.NewTimer(max(0, min(t.scope.idleLeft, 100*time.Millisecond)))
	defer pause.Stop()
	select {
	case <-pause.C:
	case <-ctx.Done():
	}
	t.scope.idleLeft -= time.Since(now)
	return nil
}
