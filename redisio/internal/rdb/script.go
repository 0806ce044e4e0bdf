package rdb

import (
	"context"

	"github.com/redis/go-redis/v9"
)

// script is a Lua script that is sent by its digest.
type script struct{ src, sha string }

func newScript(src string) script { return script{src, redis.NewScript(src).Hash()} }

// scriptLead is the number of arguments before the keys: command, script,
// number of keys.
const scriptLead = 3

// call returns a call of the script, to be put into a pipeline. The first
// scriptLead elements of args are the call's own. On a server that does not
// know the script the command fails with NOSCRIPT, and nothing has been done;
// a call with source carries it along, and the server knows it from then on.
func (s script) call(ctx context.Context, args []any, keys int, source bool) *redis.SliceCmd {
	args[0], args[1], args[2] = "evalsha", s.sha, keys
	if source {
		args[0], args[1] = "eval", s.src
	}
	return redis.NewSliceCmd(ctx, args...)
}

// IsNoScript reports whether the server does not know a script.
func IsNoScript(err error) bool { return replyStarts(err, "NOSCRIPT ") }
