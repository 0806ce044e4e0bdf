package rdb

import (
	"context"
	"strings"

	"github.com/redis/go-redis/v9"
)

// honestErrors mends how go-redis reports errors, at the one place that all
// commands pass:
//
//   - A pipeline whose connection cannot log in (WRONGPASS after a rotation, a
//     server out of connections) returns the error, but leaves every command
//     without one: a caller that looks at the commands takes them for done.
//     Here they all get it.
//   - EXEC's own error says that "previous errors" are to blame. Here it says
//     which, so that it is classified as they are.
//   - A server or proxy that does not know AUTH repeats its arguments, and so
//     the password, in the error of whatever command needed the connection.
//     Here the arguments are cut off.
type honestErrors struct{}

var _ redis.Hook = honestErrors{}

// DialHook changes nothing: no server has replied yet.
func (honestErrors) DialHook(next redis.DialHook) redis.DialHook { return next }

// ProcessHook mends the error of a single command.
func (honestErrors) ProcessHook(next redis.ProcessHook) redis.ProcessHook {
	return func(ctx context.Context, cmd redis.Cmder) error {
		err := next(ctx, cmd)
		if !repeatsArguments(err) {
			return err
		}
		err = cutArguments(err)
		cmd.SetErr(err)
		return err
	}
}

// ProcessPipelineHook mends the errors of a pipeline or transaction.
func (honestErrors) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return func(ctx context.Context, cmds []redis.Cmder) error {
		err := next(ctx, cmds)
		if err == nil {
			return nil
		}
		err = mendCommands(cmds, err)
		return nameAbortReason(err, cmds)
	}
}

// mendCommands returns err, mended as those of the commands are.
func mendCommands(cmds []redis.Cmder, err error) error {
	if repeatsArguments(err) {
		err = cutArguments(err)
	}
	anyErr := false
	for _, cmd := range cmds {
		own := cmd.Err()
		anyErr = anyErr || own != nil
		if repeatsArguments(own) {
			cmd.SetErr(cutArguments(own))
		}
	}
	if !anyErr {
		for _, cmd := range cmds {
			cmd.SetErr(err)
		}
	}
	return err
}

func nameAbortReason(err error, cmds []redis.Cmder) error {
	if !replyStarts(err, plainAbort) {
		return err
	}
	for _, cmd := range cmds {
		if own, ok := reply(cmd.Err()); ok && !strings.HasPrefix(own, plainAbort) {
			return serverError(abortReason + own)
		}
	}
	return err
}

// argumentsNote starts the part of an error reply in which a server repeats
// what it was sent.
const argumentsNote = ", with args beginning with:"

func repeatsArguments(err error) bool {
	text, ok := reply(err)
	return ok && strings.Contains(text, argumentsNote)
}

// cutArguments leaves a reply, which is all that the classifier looks at.
func cutArguments(err error) error {
	text, _ := reply(err)
	before, _, _ := strings.Cut(text, argumentsNote)
	return serverError(before)
}
