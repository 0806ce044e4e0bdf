package rdb

import (
	"context"
	"fmt"

	"github.com/redis/go-redis/v9"

	"example.com/beamredis/redisio/message"
)

// Page is a run of entries, and the stream as it was when they were read.
type Page struct {
	Entries []Entry
	// Bytes is the size of the reply that the entries point into.
	Bytes int
	State StreamState
}

// RangePage is [Client.Range], and a look at the stream in the same transaction:
// it tells whether trimming has come further than after, and whether it is the
// stream that it was.
//
// A server whose memory is full refuses transactions, though it would read. Then
// the commands go one after another, and trimming that comes between them is
// taken for earlier.
func (c *Client) RangePage(ctx context.Context, stream string, after, to message.EntryID, count int) (Page, error) {
	if after == message.MaxID {
		return Page{}, nil
	}
	p, err := rangePage(ctx, c.raw().TxPipeline(), stream, after, to, count)
	if isOutOfMemory(err) {
		p, err = rangePage(ctx, c.raw().Pipeline(), stream, after, to, count)
	}
	if err != nil {
		return Page{}, fmt.Errorf("range of %s: %w", stream, err)
	}
	return p, nil
}

func rangePage(ctx context.Context, pipe redis.Pipeliner, stream string, after, to message.EntryID, count int) (p Page, err error) {
	entries := queueRange(ctx, pipe, stream, after.Next(), to, count)
	state := redis.NewRawCmd(ctx, "xinfo", "stream", stream)
	_ = pipe.Process(ctx, state)
	if err = execTx(ctx, pipe); err == nil {
		p.Entries, p.Bytes, err = parseEntries(entries)
	}
	if err == nil {
		p.State, err = parseStreamState(state)
	}
	return p, err
}

// Ends returns the IDs of the first and the last entry of a stream from from up
// to to, both inclusive; ok is false where there is none.
func (c *Client) Ends(ctx context.Context, stream string, from, to message.EntryID) (first, last message.EntryID, ok bool, err error) {
	pipe := c.raw().Pipeline()
	head := queueRange(ctx, pipe, stream, from, to, 1)
	tail := queueLast(ctx, pipe, stream, from, to)
	_, _ = pipe.Exec(ctx) // each command's own error is looked at
	if first, err = firstID(head); err == nil {
		last, err = firstID(tail)
	}
	if err != nil {
		return first, last, false, fmt.Errorf("ends of %s: %w", stream, err)
	}
	// The head may have been trimmed before the tail was read.
	return first, last, !first.IsZero() && first.Compare(last) <= 0, nil
}

// Sample returns, for each of points, the IDs of up to count entries from there
// up to to, in one round trip, and the size of the replies.
func (c *Client) Sample(ctx context.Context, stream string, points []message.EntryID, to message.EntryID, count int) (ids [][]message.EntryID, bytes int, err error) {
	pipe := c.raw().Pipeline()
	cmds := make([]rawCmd, len(points))
	for i, at := range points {
		cmds[i] = queueRange(ctx, pipe, stream, at, to, count)
	}
	_, _ = pipe.Exec(ctx) // each command's own error is looked at
	ids = make([][]message.EntryID, len(points))
	for i, cmd := range cmds {
		entries, n, err := parseEntries(cmd)
		if err != nil {
			return nil, 0, fmt.Errorf("sample of %s: %w", stream, err)
		}
		bytes += n
		for _, e := range entries {
			ids[i] = append(ids[i], e.ID)
		}
	}
	return ids, bytes, nil
}

// LastWithin returns, for each of the milliseconds, the ID of its last entry;
// 0-0 where it has none.
func (c *Client) LastWithin(ctx context.Context, stream string, ms []uint64) ([]message.EntryID, error) {
	if len(ms) == 0 {
		return nil, nil
	}
	pipe := c.raw().Pipeline()
	cmds := make([]rawCmd, len(ms))
	for i, at := range ms {
		cmds[i] = queueLast(ctx, pipe, stream, message.EntryID{Ms: at}, message.EntryID{Ms: at, Seq: message.MaxID.Seq})
	}
	_, _ = pipe.Exec(ctx) // each command's own error is looked at
	ids := make([]message.EntryID, len(ms))
	for i, cmd := range cmds {
		var err error
		if ids[i], err = firstID(cmd); err != nil {
			return nil, fmt.Errorf("sample of %s: %w", stream, err)
		}
	}
	return ids, nil
}

// StreamState is what XINFO tells of a stream. That it is missing is no error.
func (c *Client) StreamState(ctx context.Context, stream string) (StreamState, error) {
	cmd := redis.NewRawCmd(ctx, "xinfo", "stream", stream)
	_ = c.raw().Process(ctx, cmd) // its error is the command's
	st, err := parseStreamState(cmd)
	if err != nil {
		return StreamState{}, fmt.Errorf("state of %s: %w", stream, err)
	}
	return st, nil
}

// advanceGroup moves a group forward.
//
//	KEYS[1]  stream
//	ARGV[1]  group
//	ARGV[2]  ID to move it to
//
// It returns {1} if the group stood before that, and else {}. IDs are compared as
// text, because a number of Lua does not hold 64 bits.
var advanceGroup = newScript(`
local function less(a, b)
  if #a ~= #b then return #a < #b end
  return a < b
end
local function before(a, b)
  local ams, aseq = string.match(a, '^(%d+)-(%d+)$')
  local bms, bseq = string.match(b, '^(%d+)-(%d+)$')
  if ams ~= bms then return less(ams, bms) end
  return less(aseq, bseq)
end
for _, g in ipairs(try('XINFO', 'GROUPS', KEYS[1])) do
  local f = {}
  for i = 1, #g, 2 do f[g[i]] = g[i+1] end
  if f['name'] == ARGV[1] and before(f['last-delivered-id'], ARGV[2]) then
    try('XGROUP', 'SETID', KEYS[1], ARGV[1], ARGV[2])
    return {1}
  end
end
return {}`)

// AdvanceGroup has group stand at id: it is created there where it is missing,
// with its stream, and moved there where it stands before. A group that has
// come further stays.
func (c *Client) AdvanceGroup(ctx context.Context, stream, group string, id message.EntryID) error {
	created, err := c.CreateGroup(ctx, stream, group, id.String())
	if err != nil || created {
		return err
	}
	if _, err := c.run(ctx, advanceGroup, stream, group, id.String()); err != nil {
		return fmt.Errorf("move group %s of %s to %s: %w", group, stream, id, err)
	}
	return nil
}

func queueRange(ctx context.Context, pipe redis.Pipeliner, stream string, from, to message.EntryID, count int) rawCmd {
	cmd := redis.NewRawCmd(ctx, "xrange", stream, from.String(), to.String(), "count", count)
	_ = pipe.Process(ctx, cmd)
	return cmd
}

func queueLast(ctx context.Context, pipe redis.Pipeliner, stream string, from, to message.EntryID) rawCmd {
	cmd := redis.NewRawCmd(ctx, "xrevrange", stream, to.String(), from.String(), "count", 1)
	_ = pipe.Process(ctx, cmd)
	return cmd
}

func parseEntries(cmd rawCmd) ([]Entry, int, error) {
	raw, err := cmd.Result()
	if err != nil {
		return nil, 0, err
	}
	entries, _, err := newParser(raw).entries()
	return entries, len(raw), err
}

// firstID is the ID of the first entry of a reply; 0-0 where it is empty.
func firstID(cmd rawCmd) (message.EntryID, error) {
	entries, _, err := parseEntries(cmd)
	if err != nil || len(entries) == 0 {
		return message.EntryID{}, err
	}
	return entries[0].ID, nil
}
