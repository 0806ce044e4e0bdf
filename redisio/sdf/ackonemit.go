package sdf

import (
	"context"
	"time"

	"example.com/beamredis/redisio/internal/telemetry"
	"example.com/beamredis/redisio/internal/tracing"
	"example.com/beamredis/redisio/message"
)

// ackNow acknowledges ids in the background, in order: the strategy on-emit.
func (l *ledger) ackNow(ctx context.Context, ids []message.EntryID, traced *tracing.Waiting) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.onEmit = append(l.onEmit, ids...)
	l.owed += int64(len(ids))
	if traced != nil {
		l.traced = append(l.traced, traced)
	}
	if l.sending || len(l.onEmit) == 0 {
		return
	}
	l.sending = true
	go l.sendOnEmit(context.WithoutCancel(ctx))
}

func (l *ledger) sendOnEmit(ctx context.Context) {
	for {
		l.mu.Lock()
		ids, traced := l.onEmit, l.traced
		l.onEmit, l.traced = nil, nil
		if len(ids) == 0 {
			l.sending = false
			close(l.changed)
			l.changed = make(chan struct{})
			l.mu.Unlock()
			return
		}
		l.mu.Unlock()
		l.ackEmitted(ctx, ids, traced)
	}
}

// ackEmitted acknowledges ids that were emitted just now.
func (l *ledger) ackEmitted(ctx context.Context, ids []message.EntryID, traced []*tracing.Waiting) {
	defer l.sdk.FlushSoon()
	began := time.Now()
	err := l.ack(ctx, ids)
	l.settleEmitted(len(ids))
	for _, w := range traced {
		w.Acked(began, err, nil)
	}
	if err != nil {
		telemetry.AckFailures.AddOutside(ctx, 1, l.where)
		l.log.WarnContext(ctx, "entries stay pending until a later bundle is final: they could not be acknowledged", "entries", len(ids), "error", err)
		l.giveUp(leftovers{span: idRange{after: ids[0].Prev(), to: ids[len(ids)-1]}, count: int64(len(ids))})
		l.refuse(err)
	}
}

// settleEmitted notes that n entries no longer wait to be acknowledged at once.
func (l *ledger) settleEmitted(n int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.owed -= int64(n)
}
