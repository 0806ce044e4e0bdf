package rdb

import (
	"context"
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
//	ARGV[4]  "1": remove the mark that is there first
//
// It returns the consumer's name.
var takeIncarnation = newScript(`
for _, c in ipairs(try('XINFO', 'CONSUMERS', KEYS[1], ARGV[1])) do
  for i = 1, #c, 2 do
    if c[i] == 'name' and string.sub(c[i+1], 1, #ARGV[2]) == ARGV[2] then
      if ARGV[4] ~= '1' then return {c[i+1]} end
      try('XGROUP', 'DELCONSUMER', KEYS[1], ARGV[1], c[i+1])
    end
  end
end
try('XGROUP', 'CREATECONSUMER', KEYS[1], ARGV[1], ARGV[2] .. ARGV[3])
return {ARGV[2] .. ARGV[3]}`)

// Incarnation returns a number that belongs to this consumer group and to no
// other one that has its name later or had it before. It is kept where it dies
// with the group and with the stream: in the name of a consumer that consumes
// nothing. With renew the group gets a new one, because its stream's IDs mean
// something else from now on.
//
// It is 0, and no error, where the server or the user's permissions do not
// allow it, or where a group without one is on a server whose memory is full,
// which can be read all the same.
func (c *Client) Incarnation(ctx context.Context, stream, group string, renew bool) (uint64, error) {
	fresh := strconv.FormatUint(rand.Uint64()|1, 16) // never 0
	again := "0"
	if renew {
		again = "1"
	}
	reply, err := c.run(ctx, takeIncarnation, stream, group, incarnationPrefix, fresh, again)
	switch {
	case isOutOfMemory(err):
		return 0, nil
	case err != nil && (ctx.Err() != nil || Classify(err) == Retryable || IsNoGroup(err) || IsNoSuchKey(err)):
		return 0, fmt.Errorf("incarnation of group %s of %s: %w", group, stream, err)
	case err != nil:
		return 0, nil
	}
	name := ""
	if len(reply) == 1 {
		name, _ = reply[0].(string)
	}
	n, err := strconv.ParseUint(strings.TrimPrefix(name, incarnationPrefix), 16, 64)
	if err != nil {
		return 0, nil // somebody else's name
	}
	return n, nil
}
