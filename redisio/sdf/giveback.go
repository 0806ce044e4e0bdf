package sdf

import (
	"context"

	"example.com/beamredis/redisio/internal/rdb"
	"example.com/beamredis/redisio/message"
)

// giveBack returns to the group what was delivered and will not be emitted, so
// that it is neither pending nor lost for the next reader. If somebody else
// has read in between, or if it is not allowed, it stays pending instead, which
// the next job delivers again.
func (r *reader) giveBack(ctx context.Context, pos message.EntryID) error {
	if r.inflight != nil {
		f, err := r.fetch(ctx, 0)
		if err != nil {
			return err
		}
		if f.Group.LastDelivered != r.seen {
			return nil
		}
		r.take(&batch{entries: f.Entries, bytes: f.Bytes})
	}
	left, ids := r.unused()
	if len(ids) == 0 {
		return nil
	}
	done, err := r.client.GiveBack(ctx, r.stream, r.cfg.Group, left, pos, ids)
	switch {
	case err != nil && (ctx.Err() != nil || rdb.Classify(err) == rdb.Retryable):
		return err // the queue stays, for the next turn to try again
	case err != nil:
		// It is no reason to fail a read that has come to its end.
		r.log.WarnContext(ctx, "entries that were fetched and not emitted cannot be given back, and "+r.fateOfUnused(), "entries", len(ids), "after", pos, "error", err)
	case !done && r.cfg.Ack == NoAck:
		r.log.WarnContext(ctx, "entries that were fetched and not emitted are not given back, because somebody else has read meanwhile; they "+r.fateOfUnused(),
			"entries", len(ids), "after", pos)
	}
	r.seen, r.tally.index = pos, r.tally.index-int64(len(ids))
	r.letGo()
	return nil
}

func (r *reader) fateOfUnused() string {
	if r.cfg.Ack == NoAck {
		return "are given to nobody else (set the group back with XGROUP SETID)"
	}
	return "stay pending"
}

// unused lists what was delivered and not emitted, and where that left the
// group. There is nothing to give back where entries are left that the group
// had delivered before, except where it forgets what it delivers.
func (r *reader) unused() (left message.EntryID, ids []message.EntryID) {
	left = r.seen
	held := r.queue
	if r.cfg.Ack == NoAck && r.after != nil && r.after.left() > 0 {
		left = r.after.entries[len(r.after.entries)-1].ID
		held = append(held[:len(held):len(held)], r.after)
	}
	for _, b := range held {
		switch {
		case b.left() == 0:
			continue
		case b.kind == fresh:
			for _, e := range b.entries[b.next:] {
				ids = append(ids, e.ID)
			}
		case r.cfg.Ack != NoAck:
			return left, nil
		}
	}
	return left, ids
}

// letGo drops what is held and will not be emitted.
func (r *reader) letGo() {
	r.dropQueue()
	if r.after != nil {
		r.held.add(-r.after.bytes)
		r.after = nil
	}
}
