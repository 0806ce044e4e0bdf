package sdf

import (
	"context"
	"errors"
	"fmt"

	"example.com/beamredis/redisio/internal/logs"
	"example.com/beamredis/redisio/internal/rdb"
	"example.com/beamredis/redisio/internal/telemetry"
	"example.com/beamredis/redisio/message"
)

var (
	// ErrReplaced says that a stream is no longer the one that was to be read.
	ErrReplaced = errors.New("the stream was deleted, replaced or rolled back while it was read")
	// ErrTrimmed says that entries were removed before they were read.
	ErrTrimmed = errors.New("entries were trimmed or deleted before they were read")
)

// checkLoss looks for entries that were there when the range was planned and
// are gone. That the stream is gone fails the bundle: what is missing then is
// anything up to all of it. Trimming is retention at work, and told of once for
// each reader of a range.
func (p *pages) checkLoss(ctx context.Context, got pageReply) error {
	st := got.page.State
	if st.LastGenerated.Less(p.of.Last) {
		return fmt.Errorf("%w: it had entries up to %s and now ends at %s; run it again on what there is", ErrReplaced, p.of.Last, st.LastGenerated)
	}
	if !behind(got.after, st) {
		return nil
	}
	if st.EntriesAdded != rdb.Unknown && st.EntriesAdded < p.of.Added {
		return fmt.Errorf("%w: %d entries had been added to it, and now it says %d; run it again on what there is", ErrReplaced, p.of.Added, st.EntriesAdded)
	}
	if p.told || p.firstIsNext(got) {
		return nil
	}
	upTo := st.First.Prev()
	if st.First.IsZero() || p.of.To.Less(st.First) {
		upTo = p.of.To
	}
	if p.cfg.FailOnLoss {
		return fmt.Errorf("%w, or may have been: %s to %s; run it again on what there is", ErrTrimmed, got.after.Next(), upTo)
	}
	p.told = true
	telemetry.LossesUnknown.Add(ctx, 1, p.where)
	text := "entries may have been trimmed or deleted before they were read: nothing tells whether there were any"
	if p.isGone(got.after, st, p.of.First) || p.isGone(got.after, st, p.of.To) {
		text = "entries were trimmed or deleted before they were read, and are missing"
	}
	logs.Log.With("partition", p.of.Stream).WarnContext(ctx, text, "after", got.after, "up_to", upTo)
	return nil
}

// behind reports whether a stream begins behind id, or has no entries.
func behind(id message.EntryID, st rdb.StreamState) bool {
	return st.First.IsZero() || id.Less(st.First)
}

// firstIsNext reports whether nothing was read yet, and the first entry that
// there was to read is still there: what is gone lies before the range.
func (p *pages) firstIsNext(got pageReply) bool {
	return got.after.Less(p.of.First) && !behind(p.of.First, got.page.State)
}

// isGone reports whether id, of an entry that the plan saw, was still to be read
// and is gone.
func (p *pages) isGone(after message.EntryID, st rdb.StreamState, id message.EntryID) bool {
	return after.Less(id) && !p.tr.left().To.Less(id) && behind(id, st)
}
