package rdb

import (
	"context"
	"fmt"

	"github.com/redis/go-redis/v9"
)

// pipedScript is a script that a pipeline calls many times by its hash. EVALSHA
// cannot fall back to EVAL within a pipeline, so that the script is loaded
// before the first one, and again before the next after the server said that
// it has forgotten it (a restart, SCRIPT FLUSH, a failover).
type pipedScript struct {
	*redis.Script
	loaded bool
}

// load makes sure that the server has the script, as far as is known. The user
// needs the permission for SCRIPT LOAD.
func (s *pipedScript) load(ctx context.Context, c *Client) error {
	if s.loaded {
		return nil
	}
	if err := s.Load(ctx, c.raw()).Err(); err != nil {
		return fmt.Errorf("load a script: %w", err)
	}
	s.loaded = true
	return nil
}

// learn looks whether the server has forgotten the script.
func (s *pipedScript) learn(errs []error) {
	for _, err := range errs {
		if err != nil && IsNoScript(err) {
			s.loaded = false
		}
	}
}

// Scripts that write a document together with its time to live. In MULTI/EXEC
// a write that fails would still let PEXPIRE put a time to live on what
// somebody else keeps under the key.
//
// Lua takes about 8,000 arguments at a time, hence the steps of 7,000. Only
// the first step can be refused: once a script has written, the server lets it
// finish. A hash without fields makes one step, too, for HSET to refuse it.

// setHash sets fields of a hash and its time to live.
//
//	KEYS[1]  the hash
//	ARGV[1]  time to live in milliseconds
//	ARGV[2…] names and values in turns
//
// It returns 1, or the error of HSET, after which key and time to live are as
// they were.
var setHash = redis.NewScript(`
for i = 2, math.max(2, #ARGV), 7000 do
  local r = redis.pcall('HSET', KEYS[1], unpack(ARGV, i, math.min(i + 6999, #ARGV)))
  if type(r) == 'table' then return r end
end
redis.call('PEXPIRE', KEYS[1], ARGV[1])
return 1`)

// replaceHash makes a hash of the given fields and no others.
//
//	KEYS[1]  the hash
//	ARGV[1]  time to live in milliseconds; 0: none
//	ARGV[2…] names and values in turns
//
// It returns 1, or an error, after which key and time to live are as they
// were: HLEN finds another type and the first HSET a lack of memory, both
// before DEL.
var replaceHash = redis.NewScript(`
local before = redis.pcall('HLEN', KEYS[1])
if type(before) == 'table' then return before end
local function set()
  for i = 2, math.max(2, #ARGV), 7000 do
    local r = redis.pcall('HSET', KEYS[1], unpack(ARGV, i, math.min(i + 6999, #ARGV)))
    if type(r) == 'table' then return r end
  end
end
local refused = set()
if refused then return refused end
if before > 0 then
  redis.call('DEL', KEYS[1])
  set()
end
if ARGV[1] ~= '0' then redis.call('PEXPIRE', KEYS[1], ARGV[1]) end
return 1`)

// setJSON sets a JSON value and its document's time to live.
//
//	KEYS[1] the document
//	ARGV[1] time to live in milliseconds
//	ARGV[2] path
//	ARGV[3] value
//
// It returns 1; nil where the document has no such path; or the error of
// JSON.SET. After the latter two key and time to live are as they were.
var setJSON = redis.NewScript(`
local r = redis.pcall('JSON.SET', KEYS[1], ARGV[2], ARGV[3])
if not r or r.err then return r end
redis.call('PEXPIRE', KEYS[1], ARGV[1])
return 1`)
