package sdf

import (
	"context"
	"errors"

	"example.com/beamredis/redisio/internal/rdb"
	"example.com/beamredis/redisio/message"
)

// origins are what the messages of a reader tell a sink about how they were
// read.
type origins struct {
	ordered, redelivered, unordered *message.Origin
}

// learnOrigin finds out which incarnation of its stream the reader reads. One
// that may not know goes on, and its messages say so: it matters to sinks that
// write every entry once, and to nobody else.
func (r *reader) learnOrigin(ctx context.Context, tr *Tracker) error {
	inc, err := r.client.Incarnation(ctx, r.stream, r.cfg.Group, false)
	if errors.Is(err, rdb.ErrNoIncarnation) {
		unknown := message.UnknownOrigin(err.Error())
		r.origin = origins{unknown, unknown, unknown}
		return nil
	}
	if err != nil {
		return err
	}
	start := tr.Restriction().Start
	r.origin = origins{
		ordered:     message.NewOrigin(inc, start, message.Ordered),
		redelivered: message.NewOrigin(inc, start, message.Redelivered),
		unordered:   message.NewOrigin(inc, start, message.Unordered),
	}
	return nil
}

// renewIncarnation has the IDs of the stream mean something else from now on,
// although its group is the same. Where that is refused, the group has no
// incarnation any more.
func (r *reader) renewIncarnation(ctx context.Context) error {
	_, err := r.client.Incarnation(ctx, r.stream, r.cfg.Group, true)
	if errors.Is(err, rdb.ErrNoIncarnation) {
		return nil
	}
	return err
}

// origin of the entries of a batch. The direct runner keeps messages as they
// are where others encode them, so that there no order can be promised.
func (t *turn) origin(kind batchKind) *message.Origin {
	switch {
	case t.bundle == nil:
		return t.r.origin.unordered
	case kind == pendingBefore:
		return t.r.origin.redelivered
	}
	return t.r.origin.ordered
}
