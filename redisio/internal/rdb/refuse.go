package rdb

import (
	"context"

	"github.com/redis/go-redis/v9"
)

// refusing are no connections: every command is told err, and nothing is dialled.
// Nobody has to close them, who may be made for every single command.
func refusing(err error) *connections {
	client := redis.NewClient(&redis.Options{MaxRetries: -1})
	_ = client.Close() // what goes on beside commands; these never come to a connection
	client.AddHook(refuseAll{err})
	return &connections{UniversalClient: client, useless: true}
}

// refuseAll keeps all commands from the server.
type refuseAll struct{ err error }

var _ redis.Hook = refuseAll{}

// DialHook changes nothing: nobody dials.
func (refuseAll) DialHook(next redis.DialHook) redis.DialHook { return next }

// ProcessHook refuses a single command.
func (r refuseAll) ProcessHook(redis.ProcessHook) redis.ProcessHook {
	return func(_ context.Context, cmd redis.Cmder) error { return r.refuse(cmd) }
}

// ProcessPipelineHook refuses every command of a pipeline.
func (r refuseAll) ProcessPipelineHook(redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return func(_ context.Context, cmds []redis.Cmder) error { return r.refuse(cmds...) }
}

func (r refuseAll) refuse(cmds ...redis.Cmder) error {
	for _, cmd := range cmds {
		cmd.SetErr(r.err)
	}
	return r.err
}
