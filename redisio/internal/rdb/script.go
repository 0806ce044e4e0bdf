package rdb

import (
	"context"

	"github.com/redis/go-redis/v9"
)

// Put is one write to a key of its own.
type Put struct {
	Key string
	// Args is what is written. For a hash: name and value of each field in
	// turn, at least one field. For a JSON document: its text.
	Args []string
}

// PutWriter writes hashes or documents in pipelines, each by one command or,
// where several steps have to happen together, by one call of a script. It is
// not safe for concurrent use.
//
// A script and not MULTI, because a transaction goes on after a command that
// failed: the EXPIRE behind a refused HSET would put a TTL on what somebody
// else keeps at the key.
type PutWriter struct {
	c      *Client
	script *redis.Script // nil: the plain command does
	// before and after are the arguments around the key.
	before, after []any
	// explain turns an error of one write into one that says what it means.
	explain func(error) error
	cmds    []redis.Cmder
}

// plain has w call command KEY after... for each write.
func (w *PutWriter) plain(command string, after ...any) {
	w.before, w.after = []any{command}, after
}

// scripted has w call script with one key and the arguments after.
func (w *PutWriter) scripted(script *redis.Script, after ...any) {
	w.script = script
	w.before, w.after = []any{"evalsha", script.Hash(), 1}, after
}

// Write writes puts and returns one error per put, nil for those that were
// written; puts must not change during the call. A script that the server does
// not have is loaded, on a cluster everywhere.
//
// Of one key the last put is what stays: where one may not have been written
// and a later one of its key was, both have an error, the later one an
// [OvertakenError], and both are to be written again.
func (w *PutWriter) Write(ctx context.Context, puts []Put) []error {
	errs := make([]error, len(puts))
	all := make([]int, len(puts))
	for i := range all {
		all[i] = i
	}
	w.send(ctx, puts, all, errs)
	if missing := withoutScript(errs); len(missing) > 0 && w.script != nil {
		if err := w.c.raw.ScriptLoad(ctx, w.scriptText()).Err(); err != nil {
			for _, i := range missing {
				errs[i] = err
			}
			return errs
		}
		w.send(ctx, puts, missing, errs)
	}
	return errs
}

// send writes those of puts that are listed in at, and fills their errors.
func (w *PutWriter) send(ctx context.Context, puts []Put, at []int, errs []error) {
	if len(at) == 0 {
		return
	}
	w.cmds = w.cmds[:0]
	for _, i := range at {
		w.cmds = append(w.cmds, w.command(ctx, &puts[i]))
	}
	pipe := w.c.raw.Pipeline()
	if err := pipe.BatchProcess(ctx, w.cmds...); err != nil {
		fill(errs, err)
		return
	}
	// Exec's own error is the first one of the commands, which are all looked at.
	_, _ = pipe.Exec(ctx)
	for n, i := range at {
		errs[i] = w.explain(w.cmds[n].Err())
	}
	clear(w.cmds) // lets go of the arguments
	markOvertaken(puts, errs)
}
