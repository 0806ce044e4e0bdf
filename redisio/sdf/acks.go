package sdf

import (
	"context"
	"errors"
	"log/slog"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"example.com/beamredis/redisio/internal/logs"
	"example.com/beamredis/redisio/internal/rdb"
	"example.com/beamredis/redisio/internal/telemetry"
	"example.com/beamredis/redisio/internal/tracing"
	"example.com/beamredis/redisio/message"
)

// maxWaitingIDs is how many IDs of one process may wait for the finalization of
// their bundles, at 16 bytes each. A bundle that would exceed it remembers only
// the range of its IDs, which is looked up among the pending entries when it is
// acknowledged.
const maxWaitingIDs = 2 << 20

var waitingIDs atomic.Int64

// idRange is the pending entries after after, up to to.
type idRange struct{ after, to message.EntryID }

func (g idRange) empty() bool { return g.to.Compare(g.after) <= 0 }

// join returns the smallest range that holds both.
func (g idRange) join(o idRange) idRange {
	switch {
	case g.empty():
		return o
	case o.empty():
		return g
	}
	if o.after.Less(g.after) {
		g.after = o.after
	}
	if g.to.Less(o.to) {
		g.to = o.to
	}
	return g
}

// receipt is what one bundle has to acknowledge once it is final.
type receipt struct {
	claimed []message.EntryID // ascending, and all that the group delivered in their range
	others  []message.EntryID // delivered again, or passed by
	spans   []idRange
	waited  *atomic.Int64 // IDs counted in waitingIDs; given back at most once
	traced  *tracing.Waiting
	count   int64 // entries that it is about, at most
}

func newReceipt(claimed, others []message.EntryID, spans ...idRange) *receipt {
	rc := &receipt{others: others, waited: new(atomic.Int64), count: int64(len(claimed) + len(others))}
	for _, s := range spans {
		if !s.empty() {
			rc.spans = append(rc.spans, s)
		}
	}
	if n := len(claimed); n > 0 && waitingIDs.Load()+int64(n) > maxWaitingIDs {
		rc.spans = append(rc.spans, idRange{after: claimed[0].Prev(), to: claimed[n-1]})
	} else {
		rc.claimed = claimed
	}
	n := int64(len(rc.claimed) + len(rc.others))
	rc.waited.Store(n)
	waitingIDs.Add(n)
	// A bundle that is never finalized dies with its connection.
	runtime.AddCleanup(rc, func(n *atomic.Int64) { waitingIDs.Add(-n.Swap(0)) }, rc.waited)
	return rc
}

func (rc *receipt) settle() { waitingIDs.Add(-rc.waited.Swap(0)) }

// leftovers is what could not be acknowledged. Claimed entries are kept as one
// range: everything in it was emitted. The others are not: between them may lie
// entries that wait for their redelivery.
type leftovers struct {
	span  idRange
	ids   []message.EntryID
	count int64 // entries that they are about, at most
}

func (rc *receipt) leftovers() leftovers {
	l := leftovers{ids: rc.others, count: rc.count}
	if n := len(rc.claimed); n > 0 {
		l.span = idRange{after: rc.claimed[0].Prev(), to: rc.claimed[n-1]}
	}
	for _, s := range rc.spans {
		l.span = l.span.join(s)
	}
	return l
}

// ledger carries out the acknowledgements of one partition, and knows what is
// still to come. It outlives bundles, and is safe for concurrent use.
type ledger struct {
	client        *rdb.Client
	stream, group string
	where         telemetry.Where
	log           *slog.Logger
	sdk           *telemetry.SDK // nil: nothing is exported

	mu      sync.Mutex
	open    int           // receipts that wait for their finalization or are being carried out
	owed    int64         // entries of those, and emitted ones that are acknowledged at once
	changed chan struct{} // closed when open goes down
	failed  leftovers     // for a later bundle
	onEmit  []message.EntryID
	traced  []*tracing.Waiting // of onEmit
	sending bool
	void    bool  // the stream is another one now: there is nothing to acknowledge
	refused error // the user may not acknowledge, which no later bundle changes
}

func newLedger(client *rdb.Client, stream, group string) *ledger {
	return &ledger{client: client, stream: stream, group: group, changed: make(chan struct{}),
		where: telemetry.Of{Stream: stream, Group: group}.Where(), log: logs.Of(stream, group)}
}

// newLedger makes the ledger of what this reader emits.
func (r *reader) newLedger() *ledger {
	l := newLedger(r.client, r.stream, r.cfg.Group)
	l.sdk = r.cfg.sdk()
	return l
}

func (l *ledger) opened(rc *receipt) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.open++
	l.owed += rc.count
}

// unacknowledged is how many entries wait for their acknowledgement.
func (l *ledger) unacknowledged() int64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.owed + l.failed.count
}

// revoke makes commits do nothing from now on: their IDs would be those of
// other entries.
func (l *ledger) revoke() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.void = true
}

func (l *ledger) isVoid() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.void
}

func (l *ledger) closed(rc *receipt) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.open--
	l.owed -= rc.count
	close(l.changed)
	l.changed = make(chan struct{})
}

// takeFailed hands over what a later bundle has to acknowledge.
func (l *ledger) takeFailed() leftovers {
	l.mu.Lock()
	defer l.mu.Unlock()
	f := l.failed
	l.failed = leftovers{}
	return f
}

// refusal is why nothing can be acknowledged, however often it is tried; nil:
// nothing is known to stand against it.
func (l *ledger) refusal() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.refused
}

func (l *ledger) refuse(err error) {
	if rdb.IsNoPermission(err) {
		l.mu.Lock()
		defer l.mu.Unlock()
		l.refused = err
	}
}

func (l *ledger) hasFailed() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return !l.failed.span.empty() || len(l.failed.ids) > 0
}

func (l *ledger) giveUp(f leftovers) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.failed.span = l.failed.span.join(f.span)
	l.failed.ids = append(l.failed.ids, f.ids...)
	l.failed.count += f.count
}

// settled reports whether nothing is open, waiting for it up to d.
func (l *ledger) settled(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	for {
		l.mu.Lock()
		done, changed := l.open == 0 && !l.sending, l.changed
		l.mu.Unlock()
		if done {
			return true
		}
		select {
		case <-changed:
		case <-timer.C:
			return false
		case <-ctx.Done():
			return false
		}
	}
}

// commit acknowledges a receipt whose bundle is final. What cannot be
// acknowledged in time stays pending and is left to a later bundle.
func (l *ledger) commit(ctx context.Context, rc *receipt) {
	defer l.closed(rc)
	defer rc.settle()
	defer l.sdk.FlushSoon()
	if l.isVoid() {
		return
	}
	began := time.Now()
	claimed, others := l.ack(ctx, rc.claimed), l.ack(ctx, rc.others)
	var ranges error
	for _, s := range rc.spans {
		ranges = errors.Join(ranges, l.ackRange(ctx, s))
	}
	if len(rc.claimed) == 0 { // too many to be kept one by one: they are in a range
		rc.traced.Acked(began, ranges, others)
	} else {
		rc.traced.Acked(began, claimed, others)
	}
	if err := errors.Join(claimed, others, ranges); err != nil {
		telemetry.AckFailures.AddOutside(ctx, 1, l.where)
		l.log.WarnContext(ctx, "entries stay pending until a later bundle is final: they could not be acknowledged",
			"entries", len(rc.claimed)+len(rc.others), "ranges", len(rc.spans), "error", err)
		l.giveUp(rc.leftovers())
		l.refuse(err)
	}
}

func (l *ledger) ack(ctx context.Context, ids []message.EntryID) error {
	if len(ids) == 0 {
		return nil
	}
	var n int64
	err := l.client.Retry(ctx, func(ctx context.Context) (err error) {
		var some int64
		some, err = l.client.Ack(ctx, l.stream, l.group, ids)
		n += some
		return err
	})
	telemetry.Acknowledged.AddOutside(ctx, n, l.where)
	return err
}

// ackRange acknowledges what is pending in g, of any consumer.
func (l *ledger) ackRange(ctx context.Context, g idRange) error {
	for after := g.after; ; {
		var rows []rdb.PendingEntry
		err := l.client.Retry(ctx, func(ctx context.Context) (err error) {
			rows, err = l.client.Pending(ctx, l.stream, l.group, rdb.PendingQuery{After: after, To: g.to, Count: pendingPage})
			return err
		})
		if err == nil {
			err = l.ack(ctx, pendingIDs(rows))
		}
		if err != nil && !rdb.IsNoGroup(err) {
			return err
		}
		if len(rows) < pendingPage {
			return nil
		}
		after = rows[len(rows)-1].ID
	}
}
