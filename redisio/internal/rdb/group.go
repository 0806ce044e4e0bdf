package rdb

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/redis/go-redis/v9"

	"example.com/beamredis/redisio/message"
)

func asRedisError(err error, target *redis.Error) bool { return errors.As(err, target) }

// LatestStart is the start of a group that reads only what is added later.
const LatestStart = "$"

// CreateGroup creates group at start, an entry ID or [LatestStart], and the
// stream where it is missing. It reports whether it did; a group that exists
// stays as it is.
func (c *Client) CreateGroup(ctx context.Context, stream, group, start string) (created bool, err error) {
	err = c.raw().XGroupCreateMkStream(ctx, stream, group, start).Err()
	switch {
	case err == nil:
		return true, nil
	case IsBusyGroup(err):
		return false, nil
	}
	return false, fmt.Errorf("create group %s of %s: %w", group, stream, err)
}

// SetGroup moves the group's last-delivered ID to id.
func (c *Client) SetGroup(ctx context.Context, stream, group string, id message.EntryID) error {
	if err := c.raw().XGroupSetID(ctx, stream, group, id.String()).Err(); err != nil {
		return fmt.Errorf("move group %s of %s to %s: %w", group, stream, id, err)
	}
	return nil
}

// ackChunk is the number of IDs in one XACK: large enough that the command's
// overhead vanishes, small enough not to hold up the server.
const ackChunk = 1000

// Ack removes ids from the group's pending entries in one pipeline and returns
// how many were pending.
func (c *Client) Ack(ctx context.Context, stream, group string, ids []message.EntryID) (int64, error) {
	if len(ids) == 0 {
		return 0, nil
	}
	pipe := c.raw().Pipeline()
	cmds := make([]*redis.IntCmd, 0, len(ids)/ackChunk+1)
	for len(ids) > 0 {
		chunk := ids[:min(ackChunk, len(ids))]
		ids = ids[len(chunk):]
		cmd := redis.NewIntCmd(ctx, idArgs(append(make([]any, 0, 3+len(chunk)), "xack", stream, group), chunk)...)
		_ = pipe.Process(ctx, cmd)
		cmds = append(cmds, cmd)
	}
	_, err := pipe.Exec(ctx)
	var n int64
	for _, cmd := range cmds {
		if cmd.Err() != nil && err == nil {
			err = cmd.Err()
		}
		n += cmd.Val()
	}
	if err != nil {
		return n, fmt.Errorf("acknowledge in %s for group %s: %w", stream, group, err)
	}
	return n, nil
}

// PendingEntry is one row of XPENDING.
type PendingEntry struct {
	ID         message.EntryID
	Consumer   string
	Idle       time.Duration // since the last delivery
	Deliveries int64
}

// PendingQuery selects rows of XPENDING: IDs after After up to To, idle for at
// least MinIdle, of Consumer or of any consumer.
type PendingQuery struct {
	After, To message.EntryID
	MinIdle   time.Duration
	Consumer  string
	Count     int
}

// Pending lists pending entries in the order of their IDs.
func (c *Client) Pending(ctx context.Context, stream, group string, q PendingQuery) ([]PendingEntry, error) {
	if q.After == message.MaxID || q.To.Compare(q.After) <= 0 {
		return nil, nil
	}
	args := append(make([]any, 0, 9), "xpending", stream, group)
	if q.MinIdle > 0 {
		args = append(args, "idle", formatMs(q.MinIdle))
	}
	args = append(args, q.After.Next().String(), q.To.String(), q.Count)
	if q.Consumer != "" {
		args = append(args, q.Consumer)
	}
	cmd := redis.NewRawCmd(ctx, args...)
	if err := c.raw().Process(ctx, cmd); err != nil {
		return nil, fmt.Errorf("pending of %s for group %s: %w", stream, group, err)
	}
	rows, err := parsePending(newParser(cmd.Val()))
	if err != nil {
		return nil, fmt.Errorf("pending of %s for group %s: %w", stream, group, err)
	}
	return rows, nil
}

func parsePending(p *parser) ([]PendingEntry, error) {
	n, err := p.array()
	var rows []PendingEntry
	for range max(n, 0) {
		if err != nil {
			return nil, err
		}
		row := PendingEntry{}
		if _, err = p.array(); err == nil {
			row.ID, err = p.id()
		}
		if err == nil {
			row.Consumer, _, err = p.text()
		}
		var idle int64
		if err == nil {
			idle, _, err = p.number()
		}
		if err == nil {
			row.Deliveries, _, err = p.number()
		}
		row.Idle = time.Duration(idle) * time.Millisecond
		rows = append(rows, row)
	}
	return rows, err
}

// CountOne has [Client.Claim] count one more delivery.
const CountOne int64 = -1

// Claim makes consumer the owner of those ids that are pending and have been
// idle for minIdle, counts a delivery for each, or sets their counters to
// deliveries unless that is [CountOne], and returns their entries.
// Entries that the stream no longer has are left out; Redis 7.0 and later drop
// them from the pending entries as well.
func (c *Client) Claim(ctx context.Context, stream, group, consumer string, minIdle time.Duration, ids []message.EntryID, deliveries int64) ([]Entry, int, error) {
	if len(ids) == 0 {
		return nil, 0, nil
	}
	args := append(make([]any, 0, 7+len(ids)), "xclaim", stream, group, consumer, formatMs(minIdle))
	args = idArgs(args, ids)
	if deliveries != CountOne {
		args = append(args, "retrycount", deliveries)
	}
	cmd := redis.NewRawCmd(ctx, args...)
	if err := c.raw().Process(ctx, cmd); err != nil {
		return nil, 0, fmt.Errorf("claim in %s for group %s: %w", stream, group, err)
	}
	entries, _, err := newParser(cmd.Val()).entries()
	if err != nil {
		return nil, 0, fmt.Errorf("claim in %s for group %s: %w", stream, group, err)
	}
	return entries, len(cmd.Val()), nil
}

// SetDeliveries makes consumer the owner of those ids that are pending and sets
// their delivery counter.
func (c *Client) SetDeliveries(ctx context.Context, stream, group, consumer string, ids []message.EntryID, deliveries int64) error {
	if len(ids) == 0 {
		return nil
	}
	args := append(make([]any, 0, 8+len(ids)), "xclaim", stream, group, consumer, "0")
	args = append(idArgs(args, ids), "retrycount", deliveries, "justid")
	if err := c.raw().Do(ctx, args...).Err(); err != nil {
		return fmt.Errorf("count deliveries in %s for group %s: %w", stream, group, err)
	}
	return nil
}

// giveBack undoes deliveries that nobody used.
//
//	KEYS[1]  stream
//	ARGV[1]  group
//	ARGV[2]  last-delivered ID that the reader left behind
//	ARGV[3]  last-delivered ID to go back to
//	ARGV[4…] IDs that were delivered and not used
//
// It moves the group back and drops the IDs from the pending entries, and
// returns {1}; or it does nothing and returns {} when the group has moved since,
// because somebody else has read in between. Where the server counts the
// entries that a group has read, the count goes back, too: SETID alone would
// make it, and with it the lag, unknown.
var giveBack = newScript(`
for _, g in ipairs(try('XINFO', 'GROUPS', KEYS[1])) do
  local f = {}
  for i = 1, #g, 2 do f[g[i]] = g[i+1] end
  if f['name'] == ARGV[1] and f['last-delivered-id'] == ARGV[2] then
    local setid = {'XGROUP', 'SETID', KEYS[1], ARGV[1], ARGV[3]}
    local read = tonumber(f['entries-read'])
    if read and read >= #ARGV - 3 then
      setid[6], setid[7] = 'ENTRIESREAD', string.format('%.0f', read - (#ARGV - 3))
    end
    try(unpack(setid))
    for i = 4, #ARGV, 1000 do
      try('XACK', KEYS[1], ARGV[1], unpack(ARGV, i, math.min(i + 999, #ARGV)))
    end
    return {1}
  end
end
return {}`)

// GiveBack returns entries that were delivered and never used: the group, if
// it still stands at left, goes back to to, and ids are no longer pending.
func (c *Client) GiveBack(ctx context.Context, stream, group string, left, to message.EntryID, ids []message.EntryID) (done bool, err error) {
	args := idArgs(append(make([]any, 0, 3+len(ids)), group, left.String(), to.String()), ids)
	reply, err := c.run(ctx, giveBack, stream, args...)
	if err != nil {
		return false, fmt.Errorf("give entries of %s back to group %s: %w", stream, group, err)
	}
	return len(reply) == 1, nil
}
