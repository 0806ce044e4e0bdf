package sdf

import (
	"context"

	"example.com/beamredis/redisio/message"
)

// origins are what the messages of a reader tell a sink about how they were
// read.
type origins struct {
	ordered, redelivered, unordered *message.Origin
}

// learnOrigin finds out which incarnation of its stream the reader reads; renew
// says that the IDs of the stream mean something else from now on, although its
// group is the same.
func (r *reader) learnOrigin(ctx context.Context, tr *Tracker, renew bool) error {
	inc, err := r.client.Incarnation(ctx, r.stream, r.cfg.Group, renew)
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
