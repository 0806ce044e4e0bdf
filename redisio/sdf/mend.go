package sdf

import (
	"context"

	"example.com/beamredis/redisio/internal/rdb"
	"example.com/beamredis/redisio/internal/telemetry"
	"example.com/beamredis/redisio/message"
)

// remedy is what has to be done about a group or a stream that is not as the
// position expects it.
type remedy struct {
	createGroup bool
	replaced    bool            // the stream is another one: a new epoch
	setGroup    bool            // move the group, which exists, to at
	at          message.EntryID // where the group begins, and the position in a new epoch
}

// diagnose decides, from the stream's and the group's state, what happened to
// them since the reader stood at pos:
//
//   - The group is gone and so is everything that was read (the stream's last
//     generated ID is before pos): the stream was deleted and made anew. All
//     that it holds is unread: start over at 0-0.
//   - The group is gone, the stream is not: it was destroyed, or the stream was
//     made anew with later IDs. Go on after pos.
//   - The group is there, and the stream ends before pos: an older copy of both
//     (a replica that lagged, a restored backup), a group that was set beyond its
//     stream, or a stream that a bundle which failed has found made anew, and
//     given its group again. Only the group tells what of it may have been read:
//     go on from where it stands, or from the stream's end where that is before.
//     A copy that knew less of the group than of the stream has entries
//     repeated; nothing is lost.
//   - The group alone is beyond the stream's end: somebody set it there. It would
//     not deliver what is added next, so it goes back to pos.
//
// A position that is only a start ahead of the stream says nothing about the
// stream: the reader waits for it to get there.
func diagnose(st rdb.State, pos message.EntryID, ahead bool) (remedy, bool) {
	shorter := !ahead && st.Stream.LastGenerated.Less(pos)
	switch {
	case !st.Group.Exists && shorter:
		return remedy{createGroup: true, replaced: true}, true
	case !st.Group.Exists:
		return remedy{createGroup: true, at: pos}, true
	case shorter:
		if beyond(st) {
			return remedy{replaced: true, setGroup: true, at: st.Stream.LastGenerated}, true
		}
		return remedy{replaced: true, at: st.Group.LastDelivered}, true
	case !ahead && beyond(st):
		return remedy{setGroup: true, at: pos}, true
	}
	return remedy{}, false
}

// beyond reports whether the group stands where its stream has not come to.
func beyond(st rdb.State) bool { return st.Stream.LastGenerated.Less(st.Group.LastDelivered) }

// mend brings group and stream into a state from which the reader can go on,
// and returns that state, and whether there was anything to mend.
func (r *reader) mend(ctx context.Context, tr *Tracker, st rdb.State) (after rdb.State, mended bool, err error) {
	pos := r.mendPosition(tr)
	cure, needed := diagnose(st, pos, tr.Restriction().Ahead)
	if !needed {
		return st, false, nil
	}
	if cure.createGroup {
		if _, err := r.client.CreateGroup(ctx, r.stream, r.cfg.Group, cure.at.String()); err != nil {
			return st, false, err
		}
		telemetry.GroupsHealed.Add(ctx, 1, r.where)
		r.log.WarnContext(ctx, "the group had gone, and was created again", "at", cure.at)
	}
	if cure.setGroup {
		if err := r.client.SetGroup(ctx, r.stream, r.cfg.Group, cure.at); err != nil {
			return st, false, err
		}
		r.log.WarnContext(ctx, "the group stood beyond the stream's end, and was set back", "stood_at", st.Group.LastDelivered, "at", cure.at)
	}
	if cure.replaced && !cure.createGroup {
		// Before anything is forgotten that would have it done again.
		if err := r.renewIncarnation(ctx); err != nil {
			return st, false, err
		}
	}
	if cure.replaced {
		r.replace(ctx, tr, cure, pos)
	}
	if cure.createGroup || cure.replaced {
		if err := r.learnOrigin(ctx, tr); err != nil {
			return st, false, err
		}
	}
	after, err = r.client.State(ctx, r.stream, r.cfg.Group)
	return after, true, err
}

// mendPosition is the last ID that counts as read: what was fetched, even if
// it is not claimed yet.
func (r *reader) mendPosition(tr *Tracker) message.EntryID {
	if pos := tr.Restriction().Position; r.seen.Less(pos) {
		return pos
	}
	return r.seen
}

func (r *reader) replace(ctx context.Context, tr *Tracker, cure remedy, pos message.EntryID) {
	telemetry.Replaced.Add(ctx, 1, r.where)
	what := "the stream is an older copy of itself, or its group stood beyond its end"
	if cure.createGroup {
		what = "the stream was deleted and made anew"
	}
	r.log.WarnContext(ctx, what+": it ends before what the group had read to; reading goes on after another ID", "read_to", pos, "goes_on_after", cure.at)
	r.reset() // its queue is empty: only an emptied reader looks at the server
	r.afresh = true
	r.acks.revoke()
	r.acks = r.newLedger()
	// What is pending up to the new start is delivered again, not acknowledged:
	// it may be that this job made the stream's group anew in a bundle that
	// failed, and that nobody has read what is pending.
	tr.Replace(cure.at, cure.at)
}
