package rdb

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strconv"
	"strings"
)

// incarnationPrefix begins the name of the consumer that marks a group.
const incarnationPrefix = "beamredis-incarnation-"

// takeIncarnation finds the consumer that marks a group, or makes it.
//
//	KEYS[1]  stream
//	ARGV[1]  group
//	ARGV[2]  prefix of the consumer's name
//	ARGV[3]  the rest of a new one's name
//	ARGV[4]  "1": the mark that is there is not good any more
//
// It returns the consumer's name. It is XREADGROUP that makes the consumer, as
// for every other: XGROUP CREATECONSUMER is refused where the server's memory is
// full. Of the entries that are pending for the new consumer it reads none, for
// there are none; and with NOACK the server has its replicas make it, too.
//
// A mark that is not good any more goes after another one has come: where it may
// not be removed, there are several from then on, and none of them is good.
var takeIncarnation = newScript(`
local fresh = ARGV[2] .. ARGV[3]
local function make() try('XREADGROUP', 'GROUP', ARGV[1], fresh, 'COUNT', 1, 'NOACK', 'STREAMS', KEYS[1], '0-0') end
if ARGV[4] == '1' then make() end
local marks = {}
for _, c in ipairs(try('XINFO', 'CONSUMERS', KEYS[1], ARGV[1])) do
  for i = 1, #c, 2 do
    if c[i] == 'name' and string.sub(c[i+1], 1, #ARGV[2]) == ARGV[2] then marks[#marks+1] = c[i+1] end
  end
end
if #marks == 1 then return marks end
for _, mark in ipairs(marks) do
  if mark ~= fresh then try('XGROUP', 'DELCONSUMER', KEYS[1], ARGV[1], mark) end
end
make()
return {fresh}`)

// ErrNoIncarnation says that a group has no number of its own and gets none,
// however often it is tried: the user may not look at the group's consumers, or
// the server knows no scripts.
var ErrNoIncarnation = errors.New("the consumer group cannot be marked")

// Incarnation returns a number, never 0, that belongs to this consumer group and
// to no other one that has its name later or had it before. It is kept where it
// dies with the group and with the stream: in the name of a consumer that
// consumes nothing. With renew the group gets a new one, because its stream's IDs
// mean something else from now on.
//
// An error that wraps [ErrNoIncarnation] says that the group can be read all the
// same.
func (c *Client) Incarnation(ctx context.Context, stream, group string, renew bool) (uint64, error) {
	fresh := strconv.FormatUint(rand.Uint64()|1, 16) // never 0
	again := "0"
	if renew {
		again = "1"
	}
	reply, err := c.run(ctx, takeIncarnation, stream, group, incarnationPrefix, fresh, again)
	switch {
	case err != nil && (IsNoPermission(err) || knowsNoScripts(err)):
		return 0, fmt.Errorf("%w (group %s of %s): %w", ErrNoIncarnation, group, stream, err)
	case err != nil:
		return 0, fmt.Errorf("incarnation of group %s of %s: %w", group, stream, err)
	}
	name := ""
	if len(reply) == 1 {
		name, _ = reply[0].(string)
	}
	n, err := strconv.ParseUint(strings.TrimPrefix(name, incarnationPrefix), 16, 64)
	if err != nil || n == 0 {
		return 0, fmt.Errorf("%w (group %s of %s): its consumer %q has a name that is not this library's; remove that consumer", ErrNoIncarnation, group, stream, name)
	}
	return n, nil
}

func knowsNoScripts(err error) bool {
	text, ok := reply(err)
	return ok && isUnknownCommand(text)
}
