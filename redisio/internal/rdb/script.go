package rdb

import (
	"context"

	"github.com/redis/go-redis/v9"
)

// script is a Lua script that is sent by its digest. It calls Redis by ask or by
// try alone: on Redis 6.2 an error that redis.call raises is wrapped into one of
// the script's own, which the classifier would not know, and Redis 7 does not
// tell which command of a script the user lacks the permission for.
type script struct{ src, sha string }

// newScript makes a script of the body of a function. ask(...) in it is
// redis.pcall(...), with an error as the server gives it outside of scripts;
// try(...) ends the script with that error.
func newScript(body string) script { return newScriptAfter("", body) }

// newScriptAfter makes a script that tries usual first, which calls redis.pcall
// and returns where all goes well. Otherwise body does all of it once more, and
// tells the error. Without the functions below the usual case costs the server
// much less.
func newScriptAfter(usual, body string) script {
	// Redis 6.2 puts its place in the script, and the "-" of the protocol, before
	// an error of its own. A Lua error carries a text on some servers and a table
	// on others, so the reply is kept beside it.
	src := usual + `
local function words(err)
  return (string.gsub(string.gsub(err, '^@user_script: %d+: ', ''), '^%-', ''))
end
local function ask(...)
  local r = redis.pcall(...)
  if type(r) == 'table' and r.err then
    r = {err = words(r.err)}
    if string.find(r.err, 'The user executing the script', 1, true) then
      local command, key = ...
      r.err = 'NOPERM ' .. command .. ' ' .. key .. ': ' .. string.gsub(r.err, '^%u+ ', '')
    end
  end
  return r
end
local refused
local function try(...)
  local r = ask(...)
  if type(r) == 'table' and r.err then
    refused = r
    error(refused.err)
  end
  return r
end
local function body()` + body + `
end
local ok, r = pcall(body)
if ok then return r end
return refused or redis.error_reply('ERR in a script: ' .. tostring(r))`
	return script{src, redis.NewScript(src).Hash()}
}

// scriptLead is the number of arguments before the keys: command, script,
// number of keys.
const scriptLead = 3

// call returns a call of the script, to be put into a pipeline. The first
// scriptLead elements of args are the call's own. On a server that does not
// know the script the command fails with NOSCRIPT, and nothing has been done;
// a call with source carries it along, and the server knows it from then on.
func (s script) call(ctx context.Context, args []any, keys int, source bool) *redis.SliceCmd {
	args[0], args[1], args[2] = "evalsha", s.sha, keys
	if source {
		args[0], args[1] = "eval", s.src
	}
	return redis.NewSliceCmd(ctx, args...)
}

// IsNoScript reports whether the server does not know a script.
func IsNoScript(err error) bool { return replyStarts(err, "NOSCRIPT ") }

// run calls a script of one key by itself, and returns the list that it returns.
func (c *Client) run(ctx context.Context, s script, key string, argv ...any) (reply []any, err error) {
	args := append(make([]any, scriptLead, scriptLead+1+len(argv)), key)
	args = append(args, argv...)
	for _, source := range []bool{false, true} {
		cmd := s.call(ctx, args, 1, source)
		if err = c.raw().Process(ctx, cmd); !IsNoScript(err) {
			return cmd.Val(), err
		}
	}
	return nil, err
}
