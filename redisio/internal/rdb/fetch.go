package rdb

import (
	"context"
	"fmt"
	"strings"

	"github.com/redis/go-redis/v9"
)

// Fetched is what one fetch found: the state just before it, then the entries.
type Fetched struct {
	State
	Entries []Entry
	// Bytes is the size of the reply that the entries point into.
	Bytes int
}

// Fetch delivers up to count new entries to consumer. One transaction reads the
// stream's and the group's state, XREADGROUP and the clock, so the state is
// the one from which the entries were taken. That the stream or the group is
// missing is no error: the state says so.
//
// A server whose memory is full refuses every command of a transaction, though
// it would read. Then the commands are sent one after another, and others may
// come between them. What they take shows in the state's LastDelivered all the
// same, which is then that of the last entry before this fetch's own.
func (c *Client) Fetch(ctx context.Context, stream, group, consumer string, count int, noAck bool) (Fetched, error) {
	pipe := c.raw().TxPipeline()
	state := queueState(ctx, pipe, stream)
	read := queueRead(ctx, pipe, stream, group, consumer, count, noAck)
	now := pipe.Time(ctx)
	err := execTx(ctx, pipe)
	interleaved := isOutOfMemory(err)
	if interleaved {
		if pipe, err = c.pipelineTo(ctx, stream); err != nil {
			return Fetched{}, err
		}
		state, now = queueStateInOrder(ctx, pipe, stream)
		read = queueRead(ctx, pipe, stream, group, consumer, count, noAck)
		err = execTx(ctx, pipe)
	}
	f := Fetched{}
	if err == nil {
		f, err = parseFetched(state, read, now, group)
	}
	if err == nil && interleaved {
		err = c.findTakenBetween(ctx, stream, &f)
	}
	if err != nil {
		return Fetched{}, fmt.Errorf("read %s as group %s: %w", stream, group, err)
	}
	return f, nil
}

func queueRead(ctx context.Context, pipe redis.Pipeliner, stream, group, consumer string, count int, noAck bool) rawCmd {
	args := make([]any, 0, 10)
	args = append(args, "xreadgroup", "group", group, consumer, "count", count)
	if noAck {
		args = append(args, "noack")
	}
	read := redis.NewRawCmd(ctx, append(args, "streams", stream, ">")...)
	_ = pipe.Process(ctx, read)
	return read
}

func parseFetched(state stateCmds, read rawCmd, now *redis.TimeCmd, group string) (f Fetched, err error) {
	if f.State, err = state.parse(group, now); err != nil {
		return f, err
	}
	if f.Entries, f.Bytes, err = parseOneStream(read); IsNoGroup(err) {
		err = nil
	}
	return f, err
}

// queueStateInOrder asks for the state outside a transaction, in the order in
// which nothing that comes in between misleads: the clock is not after an empty
// read, and the stream has come at least as far as its group.
func queueStateInOrder(ctx context.Context, pipe redis.Pipeliner, stream string) (stateCmds, *redis.TimeCmd) {
	now := pipe.Time(ctx)
	cmds := stateCmds{
		stream: redis.NewRawCmd(ctx, "xinfo", "stream", stream),
		groups: redis.NewRawCmd(ctx, "xinfo", "groups", stream),
	}
	_ = pipe.Process(ctx, cmds.groups)
	_ = pipe.Process(ctx, cmds.stream)
	return cmds, now
}

// findTakenBetween looks for entries that somebody else took between the look
// at the group and the read, and has the state say so.
func (c *Client) findTakenBetween(ctx context.Context, stream string, f *Fetched) error {
	to := f.Stream.LastGenerated
	if len(f.Entries) > 0 {
		to = f.Entries[0].ID.Prev()
	}
	if !f.Group.Exists || !f.Group.LastDelivered.Less(to) {
		return nil
	}
	taken, _, err := c.Range(ctx, stream, f.Group.LastDelivered, to, 1)
	if err == nil && len(taken) > 0 {
		f.Group.LastDelivered = to
	}
	return err
}

// isOutOfMemory reports whether the server refused a command, or a transaction
// for one of its commands, because its memory is full.
func isOutOfMemory(err error) bool {
	text, ok := reply(err)
	return ok && strings.HasPrefix(strings.TrimPrefix(text, abortReason), "OOM ")
}
