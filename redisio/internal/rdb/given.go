package rdb

import (
	"context"
	"slices"
	"sync"

	"github.com/redis/go-redis/v9"

	"example.com/beamredis/redisio/message"
)

// notAfter begins the reply to an XADD whose ID is not after the stream's last.
const notAfter = "ERR The ID specified in XADD is equal or smaller"

// takeForWritten clears the errors of entries with an ID of their own that the
// stream has already, the same in every field: an earlier try has written them,
// whose reply was lost, or whose bundle failed. Where replicas have to have them,
// they do.
func (a *Adder) takeForWritten(ctx context.Context, adds []Add, errs []error) {
	var at []int
	for i := range adds {
		if !adds[i].ID.IsZero() && errs[i] != nil && replyStarts(errs[i], notAfter) {
			at = append(at, i)
		}
	}
	if len(at) == 0 {
		return
	}
	if a.Replicas.Count == 0 {
		takeFrom(ctx, a.c.raw(), adds, errs, at, nil)
		return
	}
	// The node that has the entries is the one whose replicas are asked about, so
	// that redirections are not followed here: whoever tries again knows more.
	nodes := map[*redis.Client][]int{}
	for _, n := range at {
		node, err := a.c.node(ctx, adds[n].Stream)
		if err != nil {
			errs[n] = err
			continue
		}
		nodes[node] = append(nodes[node], n)
	}
	for node, at := range nodes {
		takeFrom(ctx, node, adds, errs, at, sync.OnceValue(func() error { return replicasFollow(ctx, node, a.Replicas) }))
	}
}

// takeFrom is takeForWritten for the entries at some indexes, which a node, or
// several, are asked for. What is there has the error of follow, if that is not
// nil.
func takeFrom(ctx context.Context, on pipelines, adds []Add, errs []error, at []int, follow func() error) {
	pipe := on.Pipeline()
	cmds := make([]rawCmd, len(at))
	for i, n := range at {
		cmds[i] = queueRange(ctx, pipe, adds[n].Stream, adds[n].ID, adds[n].ID, 1)
	}
	_, _ = pipe.Exec(ctx) // each command's own error is looked at
	for i, n := range at {
		switch entries, _, err := parseEntries(cmds[i]); {
		case err != nil:
			errs[n] = err // whether it is there is not known
		case len(entries) == 1 && adds[n].hasFields(entries[0].Fields):
			errs[n] = nil
			if follow != nil {
				errs[n] = follow()
			}
		}
	}
}

// hasFields reports whether the entry is written as these fields, but for their
// trace context.
func (a *Add) hasFields(fields []message.Field) bool {
	if a.KeyField != "" {
		if len(fields) == 0 || fields[0] != (message.Field{Name: a.KeyField, Value: a.Key}) {
			return false
		}
		fields = fields[1:]
	}
	return slices.Equal(message.Untraced(a.Fields), message.Untraced(fields))
}
