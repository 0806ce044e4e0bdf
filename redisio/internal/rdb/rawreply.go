package rdb

import (
	"context"

	"github.com/redis/go-redis/v9"
)

// rawErrors mends error replies right behind the connection, so that it has to
// be the last hook of every client of one server:
//
//   - Those to raw commands become errors. go-redis takes them for values, and
//     so would follow no MOVED and no ASK, nor learn from them that a slot has
//     moved.
//   - A server or proxy that does not know AUTH repeats its arguments, and so
//     the password, in the error of whatever command needed the connection.
//     The arguments are cut off.
type rawErrors struct{}

var _ redis.Hook = rawErrors{}

// DialHook changes nothing.
func (rawErrors) DialHook(next redis.DialHook) redis.DialHook { return next }

// ProcessHook looks at a single command.
func (rawErrors) ProcessHook(next redis.ProcessHook) redis.ProcessHook {
	return func(ctx context.Context, cmd redis.Cmder) error {
		if err := next(ctx, cmd); err != nil {
			if repeatsArguments(err) {
				err = cutArguments(err)
				cmd.SetErr(err)
			}
			return err
		}
		return rawError(cmd)
	}
}

// ProcessPipelineHook looks at every command, and returns the first error.
func (rawErrors) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return func(ctx context.Context, cmds []redis.Cmder) error {
		err := next(ctx, cmds)
		if repeatsArguments(err) {
			err = cutArguments(err)
		}
		for _, cmd := range cmds {
			if own := cmd.Err(); repeatsArguments(own) {
				cmd.SetErr(cutArguments(own))
			}
			if found := rawError(cmd); err == nil {
				err = found
			}
		}
		return err
	}
}

// rawError moves an error reply from a raw command's value to its error.
func rawError(cmd redis.Cmder) error {
	raw, isRaw := cmd.(rawCmd)
	if !isRaw || raw.Err() != nil {
		return nil
	}
	err := errorIn(raw.Val())
	if err != nil {
		raw.SetErr(err)
	}
	return err
}

// errorIn returns the error in a raw reply, if it is one.
func errorIn(raw []byte) error {
	if len(raw) == 0 || raw[0] != '-' && raw[0] != '!' {
		return nil
	}
	p := newParser(raw)
	kind, rest, err := p.line()
	if err != nil {
		return err
	}
	return p.errorReply(kind, rest)
}
