package sdf

import (
	"context"
	"math"
	"time"

	"example.com/beamredis/redisio/internal/rdb"
	"example.com/beamredis/redisio/message"
)

// redelivery is the state of delivering again what is pending at or before
// Start: under this consumer's own name at every cold start, under other names
// after they have been idle for long enough.
type redelivery struct {
	ownDone  bool
	ownAfter message.EntryID
	// nothing: no entry at or before Start is pending for another consumer, and
	// none can become so.
	nothing bool
	scanAt  time.Time
	// holdMs is the time of the oldest entry that is still to be delivered
	// again; MaxInt64 when there is none.
	holdMs int64
}

func (o *redelivery) done() {
	o.ownDone, o.nothing, o.holdMs = true, true, math.MaxInt64
}

const claimPage = 200

// redeliver queues pending entries at or before Start, or goes on to what
// comes after the position when none is left.
func (r *reader) redeliver(ctx context.Context, rest Restriction) error {
	if !r.old.ownDone {
		return r.redeliverOwn(ctx, rest)
	}
	if err := r.scanOthers(ctx, rest); err != nil {
		return err
	}
	r.phase = rereading
	return nil
}

func (r *reader) redeliverOwn(ctx context.Context, rest Restriction) error {
	rows, err := r.client.Pending(ctx, r.stream, r.cfg.Group, rdb.PendingQuery{
		After: r.old.ownAfter, To: rest.Start, Consumer: r.cfg.Consumer, Count: r.claimPage()})
	if err != nil {
		return err
	}
	if len(rows) < r.claimPage() {
		r.old.ownDone = true
	}
	if len(rows) == 0 {
		return nil
	}
	if err := r.claim(ctx, rows, 0); err != nil {
		return err
	}
	r.old.ownAfter = rows[len(rows)-1].ID
	r.old.holdMs = idTime(rows[0].ID.Ms)
	return nil
}

// scanOthers takes over what other consumers left pending at or before Start
// and have not touched for ClaimIdle.
func (r *reader) scanOthers(ctx context.Context, rest Restriction) error {
	r.old.scanAt = time.Now().Add(r.cfg.ClaimIdle / 2)
	r.old.holdMs = math.MaxInt64
	others, idle := false, []rdb.PendingEntry(nil)
	for after := (message.EntryID{}); ; {
		rows, err := r.client.Pending(ctx, r.stream, r.cfg.Group, rdb.PendingQuery{After: after, To: rest.Start, Count: pendingPage})
		if err != nil {
			return err
		}
		for _, row := range rows {
			if row.Consumer == r.cfg.Consumer {
				continue // delivered by this job, and not final yet
			}
			others = true
			r.old.holdMs = min(r.old.holdMs, idTime(row.ID.Ms))
			if row.Idle >= r.cfg.ClaimIdle && len(idle) < r.claimPage() {
				idle = append(idle, row)
			}
		}
		if len(rows) < pendingPage || len(idle) >= r.claimPage() {
			break
		}
		after = rows[len(rows)-1].ID
	}
	r.old.nothing = !others
	if len(idle) == 0 {
		return nil
	}
	r.old.scanAt = time.Time{} // there may be more
	return r.claim(ctx, idle, r.cfg.ClaimIdle)
}

// scanDue reports whether it is time to look for what others left.
func (r *reader) scanDue() bool {
	return r.phase == live && !r.old.nothing && !time.Now().Before(r.old.scanAt)
}

// claim makes this consumer the owner of rows and queues their entries.
func (r *reader) claim(ctx context.Context, rows []rdb.PendingEntry, minIdle time.Duration) error {
	entries, bytes, err := r.client.Claim(ctx, r.stream, r.cfg.Group, r.cfg.Consumer, minIdle, pendingIDs(rows))
	if err != nil {
		return err
	}
	if minIdle == 0 { // all of them were ours: what is missing is gone
		if err := r.reportGone(ctx, entries, rows); err != nil {
			return err
		}
	}
	b := &batch{entries: entries, bytes: bytes, kind: pendingBefore}
	if r.cfg.DeliveryLimit > 0 {
		b.deliveries = deliveriesOf(entries, rows)
		if err := r.uncountSuspects(ctx, b); err != nil {
			return err
		}
	}
	r.push(b)
	return nil
}

func pendingIDs(rows []rdb.PendingEntry) []message.EntryID {
	ids := make([]message.EntryID, len(rows))
	for i, row := range rows {
		ids[i] = row.ID
	}
	return ids
}

// claimPage is small under a delivery limit: claiming counts a delivery.
func (r *reader) claimPage() int {
	if r.cfg.DeliveryLimit > 0 {
		return rereadLimitPage
	}
	return claimPage
}
