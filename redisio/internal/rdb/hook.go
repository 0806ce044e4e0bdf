package rdb

import (
	"context"
	"slices"
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
//     which, so that it is classified as they are. A cluster's client returns
//     the error of the command that is to blame, and EXEC's with the others: here
//     it is the same as elsewhere.
//   - MOVED and ASK, to a client that is not a cluster's, pass with no time: the
//     configuration is at fault. Here they become a [ClusterError].
//   - Sentinels refuse a password that was good when the client was made. Here the
//     client is replaced, and the error is one that passes.
type honestErrors struct {
	cluster   bool
	sentinels *sentinelSecret // nil: there are none
}

var _ redis.Hook = honestErrors{}

// DialHook changes nothing: no server has replied yet.
func (honestErrors) DialHook(next redis.DialHook) redis.DialHook { return next }

// ProcessHook mends the error of a single command.
func (h honestErrors) ProcessHook(next redis.ProcessHook) redis.ProcessHook {
	return func(ctx context.Context, cmd redis.Cmder) error {
		err := next(ctx, cmd)
		if err == nil {
			return nil
		}
		if mended := h.mend(ctx, err); mended != nil {
			cmd.SetErr(mended)
			return mended
		}
		return err
	}
}

// ProcessPipelineHook mends the errors of a pipeline or transaction.
func (h honestErrors) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return func(ctx context.Context, cmds []redis.Cmder) error {
		err := next(ctx, cmds)
		if err == nil {
			return nil
		}
		err = h.mendCommands(ctx, cmds, err)
		return nameAbortReason(err, cmds)
	}
}

// mendCommands returns err, mended as those of the commands are.
func (h honestErrors) mendCommands(ctx context.Context, cmds []redis.Cmder, err error) error {
	// Most often it is the error of every command: mended once, and for all.
	whole, mendedWhole := err.Error(), h.mend(ctx, err)
	if mendedWhole != nil {
		err = mendedWhole
	}
	anyErr := false
	for _, cmd := range cmds {
		own := cmd.Err()
		if own == nil {
			continue
		}
		anyErr = true
		mended := mendedWhole
		if own.Error() != whole {
			mended = h.mend(ctx, own)
		}
		if mended != nil {
			cmd.SetErr(mended)
		}
	}
	if !anyErr {
		for _, cmd := range cmds {
			cmd.SetErr(err)
		}
	}
	return err
}

// mend returns what is to be in the place of err, or nil if it can stay.
func (h honestErrors) mend(ctx context.Context, err error) error {
	if h.sentinels != nil {
		if renewed := h.sentinels.renew(ctx, err); renewed != nil {
			return renewed
		}
	}
	if _, redirected := redirectOf(err); redirected && !h.cluster {
		return &ClusterError{err}
	}
	return nil
}

// ClusterError says that a server is a node of a cluster, and the client not
// one for clusters.
type ClusterError struct{ Err error }

func (e *ClusterError) Error() string { return whyCluster + " (" + e.Err.Error() + ")" }

// Unwrap returns the server's reply.
func (e *ClusterError) Unwrap() error { return e.Err }

const whyCluster = "the server is a node of a cluster; use redis-cluster:// or rediss-cluster://"

func nameAbortReason(err error, cmds []redis.Cmder) error {
	if !replyStarts(err, plainAbort) && !slices.ContainsFunc(cmds, func(cmd redis.Cmder) bool { return replyStarts(cmd.Err(), plainAbort) }) {
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
