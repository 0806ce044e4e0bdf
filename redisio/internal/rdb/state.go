package rdb

import (
	"context"
	"fmt"
	"strings"

	"github.com/redis/go-redis/v9"

	"example.com/beamredis/redisio/message"
)

// replyError is an error reply that was found inside a raw reply.
type replyError string

func (e replyError) Error() string { return string(e) }

// RedisError marks the type as an error that the server sent.
func (e replyError) RedisError() {}

var _ redis.Error = replyError("")

func serverError(line string) error { return replyError(line) }

// Unknown stands for a count that the server does not tell: Redis before 7.0
// keeps none, and a deletion inside the stream makes some of them undefined.
const Unknown int64 = -1

// StreamState is what XINFO STREAM tells of a stream.
type StreamState struct {
	Exists        bool
	Length        int64           // entries in the stream now
	LastGenerated message.EntryID // the highest ID the stream ever had
	First         message.EntryID // the oldest entry there is; 0-0 when it is empty
	Last          message.EntryID // the newest one; 0-0 when it is empty
	EntriesAdded  int64           // entries ever added, or Unknown
	// EntryBytes is what the larger one of the first and the last entry takes in
	// a reply; 0 when the stream is empty.
	EntryBytes int
}

// Removed returns how many entries have been deleted or trimmed so far, or
// Unknown.
func (s StreamState) Removed() int64 {
	if s.EntriesAdded < 0 {
		return Unknown
	}
	return s.EntriesAdded - s.Length
}

// GroupState is what XINFO GROUPS tells of one consumer group of a stream.
type GroupState struct {
	Exists        bool
	LastDelivered message.EntryID
	EntriesRead   int64 // or Unknown
	Lag           int64 // or Unknown
	Pending       int64
	Consumers     int64
}

// State is a stream and one of its groups at one moment of the server.
type State struct {
	Stream StreamState
	Group  GroupState
	Now    int64 // the server's clock, in ms since the Unix epoch
}

// State reads the state of stream and group in one transaction, or one after
// another from a server whose memory is full: see [Client.Fetch]. That either
// is missing is no error.
func (c *Client) State(ctx context.Context, stream, group string) (State, error) {
	pipe := c.raw().TxPipeline()
	cmds := queueState(ctx, pipe, stream)
	now := pipe.Time(ctx)
	err := execTx(ctx, pipe)
	if isOutOfMemory(err) {
		if pipe, err = c.pipelineTo(ctx, stream); err != nil {
			return State{}, err
		}
		cmds, now = queueStateInOrder(ctx, pipe, stream)
		err = execTx(ctx, pipe)
	}
	if err != nil {
		return State{}, err
	}
	return cmds.parse(group, now)
}

// execTx runs a transaction. Errors of single commands are not errors of the
// transaction: each command's own reply has to be looked at.
func execTx(ctx context.Context, pipe redis.Pipeliner) error {
	_, err := pipe.Exec(ctx)
	if err != nil && isTransactionError(err) {
		return err
	}
	return nil
}

// isTransactionError tells a failure of the transaction as a whole (the
// connection, EXECABORT, a refused MULTI) from an error reply within it.
func isTransactionError(err error) bool {
	var reply redis.Error
	if !asRedisError(err, &reply) {
		return true
	}
	return strings.HasPrefix(err.Error(), "EXECABORT") || Classify(err) == Retryable
}

// stateCmds are the two commands by which every look at a partition begins.
type stateCmds struct {
	stream, groups rawCmd
}

func queueState(ctx context.Context, pipe redis.Pipeliner, stream string) stateCmds {
	cmds := stateCmds{
		stream: redis.NewRawCmd(ctx, "xinfo", "stream", stream),
		groups: redis.NewRawCmd(ctx, "xinfo", "groups", stream),
	}
	_ = pipe.Process(ctx, cmds.stream)
	_ = pipe.Process(ctx, cmds.groups)
	return cmds
}

func (cmds stateCmds) parse(group string, now *redis.TimeCmd) (State, error) {
	st := State{}
	var err error
	if st.Stream, err = parseStreamState(cmds.stream); err != nil {
		return State{}, err
	}
	if !st.Stream.Exists {
		st.Group.EntriesRead, st.Group.Lag = Unknown, Unknown
	} else if st.Group, err = parseGroupState(cmds.groups, group); err != nil {
		return State{}, err
	}
	t, err := now.Result()
	if err != nil {
		return State{}, fmt.Errorf("TIME: %w", err)
	}
	st.Now = t.UnixMilli()
	return st, nil
}

func parseStreamState(cmd rawCmd) (StreamState, error) {
	st := StreamState{EntriesAdded: Unknown}
	err := eachPair(cmd, func(p *parser, name string) (err error) {
		switch name {
		case "length":
			st.Length, _, err = p.number()
		case "last-generated-id":
			st.LastGenerated, err = p.id()
		case "entries-added":
			st.EntriesAdded, _, err = p.number()
		case "first-entry":
			before := p.pos
			st.First, err = entryIDOnly(p)
			st.EntryBytes = max(st.EntryBytes, p.pos-before)
		case "last-entry":
			before := p.pos
			st.Last, err = entryIDOnly(p)
			st.EntryBytes = max(st.EntryBytes, p.pos-before)
		default:
			err = p.skip()
		}
		return err
	})
	if st.Length == 0 {
		st.EntryBytes = 0 // nulls
	}
	if IsNoSuchKey(err) {
		return StreamState{EntriesAdded: Unknown}, nil
	}
	st.Exists = true
	return st, err
}

// entryIDOnly reads [id, fields], or null, and returns the ID.
func entryIDOnly(p *parser) (message.EntryID, error) {
	n, err := p.array()
	if err != nil || n < 0 {
		return message.EntryID{}, err
	}
	id, err := p.id()
	for i := 1; i < n && err == nil; i++ {
		err = p.skip()
	}
	return id, err
}

// eachPair calls f for every name of a reply that lists names and values; f
// has to consume the value.
func eachPair(cmd rawCmd, f func(p *parser, name string) error) error {
	raw, err := cmd.Result()
	if err != nil {
		return err
	}
	return pairs(newParser(raw), f)
}

func pairs(p *parser, f func(p *parser, name string) error) error {
	n, err := p.array()
	for i := 0; i+1 < n && err == nil; i += 2 {
		var name string
		if name, _, err = p.text(); err == nil {
			err = f(p, name)
		}
	}
	return err
}

func parseGroupState(cmd rawCmd, group string) (GroupState, error) {
	found := GroupState{EntriesRead: Unknown, Lag: Unknown}
	raw, err := cmd.Result()
	if err != nil {
		return found, err
	}
	p := newParser(raw)
	n, err := p.array()
	for range max(n, 0) {
		if err != nil {
			break
		}
		g, name := GroupState{Exists: true, EntriesRead: Unknown, Lag: Unknown}, ""
		if err = pairs(p, g.read(&name)); err == nil && name == group {
			found = g
		}
	}
	return found, err
}

func (g *GroupState) read(groupName *string) func(p *parser, name string) error {
	return func(p *parser, name string) (err error) {
		switch name {
		case "name":
			*groupName, _, err = p.text()
		case "last-delivered-id":
			g.LastDelivered, err = p.id()
		case "entries-read":
			g.EntriesRead, err = p.numberOrUnknown()
		case "lag":
			g.Lag, err = p.numberOrUnknown()
		case "pending":
			g.Pending, _, err = p.number()
		case "consumers":
			g.Consumers, _, err = p.number()
		default:
			err = p.skip()
		}
		return err
	}
}

func (p *parser) numberOrUnknown() (int64, error) {
	n, ok, err := p.number()
	if !ok {
		return Unknown, err
	}
	return n, err
}
