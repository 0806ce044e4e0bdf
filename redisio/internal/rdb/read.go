package rdb

import (
	"context"
	"fmt"
	"strconv"
	"time"

	"github.com/redis/go-redis/v9"

	"example.com/beamredis/redisio/message"
)

// parseOneStream reads the reply of XREADGROUP for one stream: null when there
// was nothing, else [[stream, entries]] or {stream: entries}.
func parseOneStream(cmd rawCmd) ([]Entry, int, error) {
	raw, err := cmd.Result()
	if err != nil {
		return nil, 0, err
	}
	p := newParser(raw)
	if n, err := p.streams(); err != nil || n == 0 {
		return nil, 0, err
	}
	if _, _, err := p.text(); err != nil {
		return nil, 0, err
	}
	entries, _, err := p.entries()
	return entries, len(raw), err
}

// streams reads the outer header of an XREAD or XREADGROUP reply up to the
// first stream's name and returns the number of streams. In RESP2 every
// stream is a list of two, whose header [parser.nextStream] passes.
func (p *parser) streams() (int, error) {
	kind, rest, err := p.line()
	if err != nil {
		return 0, err
	}
	switch kind {
	case '%':
		return count(rest)
	case '*':
		n, err := count(rest)
		if err != nil || n <= 0 {
			return 0, err
		}
		return n, p.nextStream()
	case '_':
		return 0, nil
	case '$':
		return 0, nil
	case '-', '!':
		return 0, p.errorReply(kind, rest)
	}
	return 0, fmt.Errorf("%w: type %q where streams were expected", errProtocol, kind)
}

// nextStream passes the header of a RESP2 [stream, entries] pair.
func (p *parser) nextStream() error {
	if p.pos < len(p.s) && p.s[p.pos] == '*' {
		_, err := p.array()
		return err
	}
	return nil
}

// Range reads up to count entries after from (exclusive) up to to (inclusive),
// in order. It does not touch the group.
func (c *Client) Range(ctx context.Context, stream string, from, to message.EntryID, count int) ([]Entry, int, error) {
	if from == message.MaxID {
		return nil, 0, nil
	}
	cmd := redis.NewRawCmd(ctx, "xrange", stream, from.Next().String(), to.String(), "count", count)
	if err := c.raw().Process(ctx, cmd); err != nil {
		return nil, 0, fmt.Errorf("range of %s: %w", stream, err)
	}
	entries, _, err := newParser(cmd.Val()).entries()
	if err != nil {
		return nil, 0, fmt.Errorf("range of %s: %w", stream, err)
	}
	return entries, len(cmd.Val()), nil
}

// Position of one partition for [Client.WaitForEntries].
type Position struct {
	Stream string
	After  message.EntryID
}

// WaitForEntries blocks until one of the streams has an entry after its
// position, or for block at most. It returns the streams that have, and the
// server's clock from before it looked: a stream that is not returned had
// nothing after its position at that time.
func (c *Client) WaitForEntries(ctx context.Context, at []Position, block time.Duration) (ready []string, nowMs int64, err error) {
	args := make([]any, 0, 6+2*len(at))
	args = append(args, "xread", "count", 1, "block", max(1, block.Milliseconds()), "streams")
	for _, p := range at {
		args = append(args, p.Stream)
	}
	for _, p := range at {
		args = append(args, p.After.String())
	}
	node, err := c.node(ctx, at[0].Stream)
	if err != nil {
		return nil, 0, fmt.Errorf("wait for entries: %w", err)
	}
	pipe := c.patient(node, block).Pipeline()
	now := pipe.Time(ctx)
	read := redis.NewRawCmd(ctx, args...)
	_ = pipe.Process(ctx, read)
	if _, err := pipe.Exec(ctx); err != nil {
		return nil, 0, fmt.Errorf("wait for entries: %w", err)
	}
	ready, err = parseStreamNames(read.Val())
	if err != nil {
		return nil, 0, fmt.Errorf("wait for entries: %w", err)
	}
	return ready, now.Val().UnixMilli(), nil
}

// patient is a client with a read timeout that begins after block: go-redis
// gives a pipeline its read timeout, however long a command of it blocks.
func (c *Client) patient(single *redis.Client, block time.Duration) *redis.Client {
	patient := single.WithTimeout(c.cfg.ReadTimeout + block)
	// WithTimeout leaves out all hooks.
	patient.AddHook(honestErrors{cluster: c.IsCluster()})
	if cluster, ok := c.raw().(*redis.ClusterClient); ok {
		patient.AddHook(clusterWatch{cluster})
	}
	patient.AddHook(rawErrors{})
	return patient
}

// waitPolls are the pauses between the looks of [Client.PollForEntries].
var waitPolls = []time.Duration{10 * time.Millisecond, 20 * time.Millisecond, 40 * time.Millisecond, 80 * time.Millisecond}

// PollForEntries does what [Client.WaitForEntries] does, for streams of one
// node of a cluster that no single command can wait for. It looks at them now
// and then, and needs no connection in between.
func (c *Client) PollForEntries(ctx context.Context, at []Position, block time.Duration) (ready []string, nowMs int64, err error) {
	end := time.Now().Add(block)
	for i := 0; ; i++ {
		ready, nowMs, err = c.lookForEntries(ctx, at)
		pause := waitPolls[min(i, len(waitPolls)-1)]
		if err != nil || len(ready) > 0 || time.Until(end) < pause {
			return ready, nowMs, err
		}
		select {
		case <-time.After(pause):
		case <-ctx.Done():
			return nil, 0, fmt.Errorf("wait for entries: %w", context.Cause(ctx))
		}
	}
}

func (c *Client) lookForEntries(ctx context.Context, at []Position) (ready []string, nowMs int64, err error) {
	pipe, err := c.pipelineTo(ctx, at[0].Stream)
	if err != nil {
		return nil, 0, fmt.Errorf("look for entries: %w", err)
	}
	now := pipe.Time(ctx)
	reads := make([]rawCmd, len(at))
	for i, p := range at {
		reads[i] = redis.NewRawCmd(ctx, "xread", "count", 1, "streams", p.Stream, p.After.String())
		_ = pipe.Process(ctx, reads[i])
	}
	if _, err := pipe.Exec(ctx); err != nil {
		return nil, 0, fmt.Errorf("look for entries: %w", err)
	}
	for i, p := range at {
		names, err := parseStreamNames(reads[i].Val())
		if err != nil {
			return nil, 0, fmt.Errorf("look for entries: %w", err)
		}
		if len(names) > 0 {
			ready = append(ready, p.Stream)
		}
	}
	return ready, now.Val().UnixMilli(), nil
}

func parseStreamNames(raw []byte) ([]string, error) {
	p := newParser(raw)
	n, err := p.streams()
	var names []string
	for i := range n {
		if err != nil {
			break
		}
		if i > 0 {
			err = p.nextStream()
		}
		var name string
		if err == nil {
			name, _, err = p.text()
		}
		if err == nil {
			names = append(names, name)
			err = p.skip()
		}
	}
	return names, err
}

// idTexts formats ids into one block of memory.
func idTexts(ids []message.EntryID) []string {
	buf := make([]byte, 0, len(ids)*18)
	ends := make([]int, len(ids))
	for i, id := range ids {
		buf = id.Append(buf)
		ends[i] = len(buf)
	}
	all, texts, start := string(buf), make([]string, len(ids)), 0
	for i, end := range ends {
		texts[i], start = all[start:end], end
	}
	return texts
}

// idArgs appends ids to args without a boxing allocation per ID.
func idArgs(args []any, ids []message.EntryID) []any {
	texts := idTexts(ids)
	for i := range texts {
		args = append(args, &texts[i])
	}
	return args
}

func formatMs(d time.Duration) string { return strconv.FormatInt(d.Milliseconds(), 10) }
