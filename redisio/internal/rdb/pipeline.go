package rdb

import (
	"context"

	"github.com/redis/go-redis/v9"
)

// execute sends cmds in one pipeline or transaction, and leaves each with its
// own reply or error. On a cluster that is one pipeline for each node, all at
// once, with MOVED and ASK followed; what one node meets concerns no other.
//
// Nothing is sent again to a node that may have carried it out, as long as the
// commands say so: see [redis.ZeroCopyStringCmd.NoRetry] and [oneTry].
func execute(ctx context.Context, pipe redis.Pipeliner, cmds []redis.Cmder) {
	if len(cmds) == 0 {
		return
	}
	if err := pipe.BatchProcess(ctx, cmds...); err != nil {
		for _, cmd := range cmds {
			cmd.SetErr(err)
		}
		return
	}
	if _, err := pipe.Exec(ctx); err != nil {
		// A connection to one node of a cluster has no hook that does this.
		_ = honestErrors{cluster: true}.mendCommands(ctx, cmds, err)
	}
}

// oneTry keeps a cluster's client from sending a node's whole pipeline again
// where its first command or its connection met an error.
type oneTry struct{ *redis.SliceCmd }

// NoRetry says so.
func (oneTry) NoRetry() bool { return true }
