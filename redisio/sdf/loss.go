package sdf

import (
	"context"

	"example.com/beamredis/redisio/internal/rdb"
	"example.com/beamredis/redisio/internal/telemetry"
	"example.com/beamredis/redisio/message"
)

// tally knows how many entries were ever added up to the last one that was
// seen. Compared with how many the stream ever had and still has, it tells how
// many were removed unread.
type tally struct {
	index int64 // entries ever added up to seen, or rdb.Unknown
	exact bool  // index was counted by this reader, not taken from the group
	// delivered is the group's own count at its last-delivered ID, or
	// rdb.Unknown.
	delivered int64
	warned    bool // that a loss is possible and cannot be counted
}

// loss is what was removed before it was read.
type loss struct {
	entries   int64
	uncounted bool // there may be a loss, and the server cannot tell how large
}

// tallyAt begins a tally at pos.
func tallyAt(st rdb.State, pos message.EntryID) tally {
	t := tally{index: rdb.Unknown, delivered: st.Group.EntriesRead}
	switch {
	case st.Stream.EntriesAdded < 0:
	case pos == st.Stream.LastGenerated:
		t.index, t.exact = st.Stream.EntriesAdded, true
	case pos.IsZero():
		// A group that has read nothing begins with what there is.
		t.index, t.exact = st.Stream.Removed(), true
	case pos == st.Group.LastDelivered:
		t.index = st.Group.EntriesRead
	}
	return t
}

// look compares the stream with what was seen, before entries after seen are
// read. Trimming removes the oldest entries first, so nothing unread can be
// gone while an entry up to seen is still there.
func (t *tally) look(st rdb.State, seen message.EntryID) loss {
	s := st.Stream
	oldestSeen := s.Length > 0 && !seen.Less(s.First)
	if oldestSeen || !seen.Less(s.LastGenerated) || seen.IsZero() && t.index < 0 {
		return loss{}
	}
	removed := s.Removed()
	switch {
	case removed == 0:
		return loss{}
	case removed < 0 || t.index < 0:
		first := !t.warned
		t.warned = true
		return loss{uncounted: first}
	case removed > t.index:
		n := removed - t.index
		t.index = removed
		return loss{entries: n}
	}
	return loss{}
}

// read counts n entries that were seen.
func (t *tally) read(n int) {
	if t.index >= 0 {
		t.index += int64(n)
	}
}

// atDelivered takes over the group's count when the reader has come to where
// the group stood.
func (t *tally) atDelivered() {
	if t.index < 0 {
		t.index = t.delivered
	}
}

// drained compares once more when a read found nothing: everything that was
// ever added has been seen or is gone.
func (t *tally) drained(st rdb.State) loss {
	added := st.Stream.EntriesAdded
	if added < 0 {
		return loss{}
	}
	missing := added - t.index
	counted := t.exact && t.index >= 0
	t.index, t.exact = added, true
	if !counted || missing <= 0 {
		return loss{}
	}
	return loss{entries: missing}
}

func (r *reader) reportLoss(ctx context.Context, l loss) {
	switch {
	case l.entries > 0:
		telemetry.Lost.Add(ctx, l.entries, r.where)
		countedBy := "stream"
		if !r.tally.exact {
			countedBy = "group, whose count may lag behind"
		}
		r.log.WarnContext(ctx, "entries were trimmed or deleted before they were read: they are lost", "entries", l.entries, "after", r.seen, "counted_by", countedBy)
	case l.uncounted:
		telemetry.LossesUnknown.Add(ctx, 1, r.where)
		r.log.WarnContext(ctx, "entries may have been trimmed before they were read; the server cannot tell how many", "after", r.seen)
	}
}
