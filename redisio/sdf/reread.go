package sdf

import (
	"context"

	"example.com/beamredis/redisio/internal/rdb"
	"example.com/beamredis/redisio/internal/telemetry"
	"example.com/beamredis/redisio/message"
)

// rereadPage reads one page of what lies between seen and rereadTo: entries
// that were delivered to somebody before, at a restart or in a gap.
func (r *reader) rereadPage(ctx context.Context) error {
	for r.seen.Less(r.rereadTo) {
		n := r.pageSize()
		entries, bytes, err := r.client.Range(ctx, r.stream, r.seen, r.rereadTo, n)
		if err != nil {
			return err
		}
		r.size.observe(bytes, len(entries))
		upTo := r.rereadTo
		if len(entries) == n {
			upTo = entries[n-1].ID
		}
		b := &batch{entries: entries, bytes: bytes, kind: r.rereadAs}
		if err := r.checkPending(ctx, b, upTo); err != nil {
			return err
		}
		r.seen = upTo
		r.tally.read(len(entries))
		if r.push(b); b.left() > 0 {
			return nil
		}
	}
	r.tally.atDelivered()
	r.catchUpTo()
	return nil
}

// catchUpTo ends rereading: new entries follow, first those that came along
// with the discovery of a gap.
func (r *reader) catchUpTo() {
	if b := r.after; b != nil && b.left() > 0 {
		r.seen = b.entries[len(b.entries)-1].ID
		r.tally.read(len(b.entries))
	}
	r.startLive()
}

// pageSize is smaller under a delivery limit, so that few entries are counted
// as delivered when a page is lost.
func (r *reader) pageSize() int {
	if r.cfg.DeliveryLimit > 0 {
		return min(rereadLimitPage, r.size.count())
	}
	return r.size.count()
}

const rereadLimitPage = 100

// checkPending compares a page with the pending entries of its range. What is
// pending and has gone from the stream is a loss. Acknowledging on emit takes
// only what is pending, because the rest was emitted before.
func (r *reader) checkPending(ctx context.Context, b *batch, upTo message.EntryID) error {
	if b.kind != reread && r.cfg.DeliveryLimit == 0 {
		return nil
	}
	pending, err := r.pendingBetween(ctx, r.seen, upTo)
	if err != nil {
		return err
	}
	r.reportGone(ctx, missingFrom(b.entries, pending))
	if r.onlyPend {
		b.entries = keepPending(b.entries, pending)
	}
	if r.cfg.DeliveryLimit > 0 {
		return r.countDeliveries(ctx, b, pending)
	}
	return nil
}

// pendingBetween lists all pending entries after from up to to.
func (r *reader) pendingBetween(ctx context.Context, from, to message.EntryID) ([]rdb.PendingEntry, error) {
	var all []rdb.PendingEntry
	for {
		page, err := r.client.Pending(ctx, r.stream, r.cfg.Group, rdb.PendingQuery{After: from, To: to, Count: pendingPage})
		if err != nil {
			return nil, err
		}
		all = append(all, page...)
		if len(page) < pendingPage {
			return all, nil
		}
		from = page[len(page)-1].ID
	}
}

const pendingPage = 1000

// keepPending keeps those entries that are in pending; both are in order.
func keepPending(entries []rdb.Entry, pending []rdb.PendingEntry) []rdb.Entry {
	kept := entries[:0]
	for _, e := range entries {
		for len(pending) > 0 && pending[0].ID.Less(e.ID) {
			pending = pending[1:]
		}
		if len(pending) > 0 && pending[0].ID == e.ID {
			kept = append(kept, e)
		}
	}
	return kept
}

// missingFrom lists the pending entries that are not in entries; both are in
// order.
func missingFrom(entries []rdb.Entry, pending []rdb.PendingEntry) []message.EntryID {
	var missing []message.EntryID
	for _, p := range pending {
		for len(entries) > 0 && entries[0].ID.Less(p.ID) {
			entries = entries[1:]
		}
		if len(entries) == 0 || entries[0].ID != p.ID {
			missing = append(missing, p.ID)
		}
	}
	return missing
}

// reportGone counts pending entries that the stream no longer has, and lets the
// next finalization clear them.
func (r *reader) reportGone(ctx context.Context, gone []message.EntryID) {
	if len(gone) == 0 {
		return
	}
	r.skipped = append(r.skipped, gone...)
	telemetry.Lost.Add(ctx, int64(len(gone)), r.where)
	r.log.WarnContext(ctx, "entries were deleted or trimmed while they were pending: they are lost", "entries", len(gone), "first", gone[0])
}
