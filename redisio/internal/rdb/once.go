package rdb

import (
	"context"
	"time"

	"github.com/redis/go-redis/v9"

	"example.com/beamredis/redisio/message"
)

// OnceBatch are entries for one stream that are added all or not at all, and
// only if what the batch was decided on still holds.
type OnceBatch struct {
	Stream string
	Adds   []Add // their Stream is not looked at
	// Members has one text for each of Adds: an entry is left out if the
	// stream's window holds its text, else the text is put there. Empty: the
	// entry is added in any case.
	Members []string
	// Window is the key of the set that holds members; the set before it has
	// PrevWindow. Both are companions of Stream.
	Window, PrevWindow string
	// WindowSize is how many members Window holds before it becomes PrevWindow.
	WindowSize int
	// Marks are what the batch was decided on, and what it leaves.
	Marks []Mark
	// TTL is how long marks and windows outlive the last batch that used them.
	TTL time.Duration
	// Trim are the arguments of an XTRIM after the batch; nil: none.
	Trim []any
	// WantIDs has the IDs of the added entries returned.
	WantIDs bool
}

// Mark is one hash of a stream's companions. Its contents are the sink's: text
// by text, and a version that changes with every change.
type Mark struct {
	Key string
	// Version is the one that the mark must have; empty: it must not exist.
	Version string
	// Next is the version that it gets.
	Next string
	// Field is set to Value; empty: the mark is compared and stays.
	Field, Value string
	// Drop is a field to remove; empty: none.
	Drop string
}

// OnceReply is what became of a [OnceBatch].
type OnceReply struct {
	// Stale, where it is not nil, has the present contents of each of Marks: one
	// of them had another version, and nothing was done.
	Stale []map[string]string
	// Repeated is the number of entries that were left out.
	Repeated int
	// IDs has the ID of each entry if asked for; 0-0 for those left out.
	IDs []message.EntryID
	// Err says why nothing was done, or that it is not known whether it was.
	Err error
	// At is the index of the entry that Err, a reply to it alone, is about; -1:
	// it is about the batch.
	At int
}

// VersionField is the field of a mark that holds its version.
const VersionField = "v"

// addOnce adds a batch.
//
//	KEYS[1]   stream
//	KEYS[2]   window
//	KEYS[3]   window before it
//	KEYS[4…]  marks
//	ARGV[1]   TTL in ms
//	ARGV[2]   members of a full window
//	ARGV[3]   "1": return the IDs
//	ARGV[4]   number of arguments for XTRIM, which follow
//	then for each mark: version, next version, field, value, field to drop
//	then for each entry: member or "", number of arguments for XADD, arguments
//
// It returns {"stale", {contents of each mark}} if a version is another one,
// {"error", number of the entry or 0, text} if the server refused a write, and else
// {"done", number of entries left out, IDs}. Only after "done" anything has
// changed, or after an error of what follows the marks, for which the user lacks
// the permission: then the batch is in the stream, and known to be. Redis
// checks its memory before a script's first write only, so a refusal after it
// is the entry's own fault, or that of the user's permissions; what was added
// before it is removed again. So whatever is only asked is asked before: that
// members may be looked up is tried with one that never is.
var addOnce = newScript(`
local stream, window, before = KEYS[1], KEYS[2], KEYS[3]
local trims = tonumber(ARGV[4])
local marks, first = #KEYS - 3, 5 + trims
for i = 1, marks do
  if (try('HGET', KEYS[3+i], 'v') or '') ~= ARGV[first + 5*(i-1)] then
    local contents = {}
    for j = 1, marks do contents[j] = try('HGETALL', KEYS[3+j]) end
    return {'stale', contents}
  end
end
local added, members, ids, repeated, entry, looked = {}, {}, {}, 0, 0, false
local older = try('EXISTS', before) == 1
if older then try('SISMEMBER', before, '') end
local function refuse(i, text)
  for j = 1, #added do try('XDEL', stream, added[j]) end
  for j = 1, #members do try('SREM', window, members[j]) end
  return {'error', i, text}
end
local at, last = first + 5*marks, #ARGV
while at <= last do
  local member, n, known = ARGV[at], tonumber(ARGV[at+1]), false
  entry = entry + 1
  if member ~= '' then
    looked = true
    known = older and try('SISMEMBER', before, member) == 1
    if not known then
      local new = ask('SADD', window, member)
      if type(new) == 'table' then return refuse(0, new.err) end
      known = new == 0
      if not known then members[#members+1] = member end
    end
  end
  if known then
    repeated = repeated + 1
    ids[entry] = ''
  else
    local id = ask('XADD', stream, '*', unpack(ARGV, at+2, at+1+n))
    if type(id) == 'table' then return refuse(entry, id.err) end
    added[#added+1] = id
    ids[entry] = id
  end
  at = at + 2 + n
end
for i = 1, marks do
  local key, a = KEYS[3+i], first + 5*(i-1)
  if ARGV[a+2] ~= '' then
    local set = i == 1 and ask or try
    local r = set('HSET', key, 'v', ARGV[a+1], ARGV[a+2], ARGV[a+3])
    if type(r) == 'table' then return refuse(0, r.err) end
  end
end
for i = 1, marks do
  local key, a = KEYS[3+i], first + 5*(i-1)
  if ARGV[a+2] ~= '' and ARGV[a+4] ~= '' then try('HDEL', key, ARGV[a+4]) end
  try('PEXPIRE', key, ARGV[1])
end
if looked then
  try('PEXPIRE', window, ARGV[1])
  try('PEXPIRE', before, ARGV[1])
  if #members > 0 and try('SCARD', window) >= tonumber(ARGV[2]) then
    try('UNLINK', before)
    try('RENAME', window, before)
  end
end
if trims > 0 and #added > 0 then try('XTRIM', stream, unpack(ARGV, 5, 4 + trims)) end
if ARGV[3] == '1' then return {'done', repeated, ids} end
return {'done', repeated}`)

// MostOnceArgs is the most arguments, two for each field, that an entry can
// have in an [OnceAdder]: Lua's unpack ends at 8000.
const MostOnceArgs = 7000

// OnceAdder adds batches of entries once. It is not safe for concurrent use.
type OnceAdder struct {
	// Replicas have to have a batch before it counts as written.
	Replicas Replicas

	c    *Client
	args [][]any
}

// NewOnceAdder returns an OnceAdder on c.
func NewOnceAdder(c *Client) *OnceAdder { return &OnceAdder{c: c} }

// Faults is [Client.Faults].
func (a *OnceAdder) Faults(ctx context.Context, adds []Add) []error { return a.c.Faults(ctx, adds) }

// Write sends the batches, which are for different streams, in one pipeline and
// returns what became of each. The batches must not change during the call, and
// hold nothing that has one of [OnceAdder.Faults].
func (a *OnceAdder) Write(ctx context.Context, batches []OnceBatch) []OnceReply {
	replies := make([]OnceReply, len(batches))
	for len(a.args) < len(batches) {
		a.args = append(a.args, nil)
	}
	all := make([]int, 0, len(batches))
	for i := range batches {
		a.args[i] = batches[i].appendArgs(a.args[i][:0])
		all = append(all, i)
	}
	if a.Replicas.Count == 0 || !a.c.IsCluster() {
		a.sendDurably(ctx, batches, replies, all)
	} else {
		for i := range all {
			a.sendDurably(ctx, batches, replies, all[i:i+1])
		}
	}
	for i := range batches {
		clear(a.args[i]) // lets go of the elements' memory
	}
	return replies
}

// sendDurably sends some of the batches, which are on one node where replicas
// are to be waited for.
func (a *OnceAdder) sendDurably(ctx context.Context, batches []OnceBatch, replies []OnceReply, which []int) {
	if len(which) == 0 {
		return
	}
	short := a.c.durably(ctx, batches[which[0]].Stream, a.Replicas, func(on pipelines) error {
		if unknown := a.send(ctx, on, batches, replies, which, false); len(unknown) > 0 {
			a.send(ctx, on, batches, replies, unknown, true)
		}
		return replies[which[0]].Err
	})
	for _, at := range which {
		if r := &replies[at]; short != nil && r.Err == nil && r.Stale == nil {
			*r = OnceReply{Err: short, At: -1}
		}
	}
}

// send sends some of the batches and returns those whose script the server does
// not know.
func (a *OnceAdder) send(ctx context.Context, on pipelines, batches []OnceBatch, replies []OnceReply, which []int, source bool) (unknown []int) {
	cmds := make([]redis.Cmder, len(which))
	for i, at := range which {
		cmds[i] = oneTry{addOnce.call(ctx, a.args[at], 3+len(batches[at].Marks), source)}
	}
	execute(ctx, on.Pipeline(), cmds)
	for i, at := range which {
		if IsNoScript(cmds[i].Err()) {
			unknown = append(unknown, at)
		}
		replies[at] = parseOnce(cmds[i].(oneTry).SliceCmd, len(batches[at].Adds))
	}
	return unknown
}

// appendArgs appends the command to dst. Strings travel as pointers, which need
// no memory of their own in an []any.
func (b *OnceBatch) appendArgs(dst []any) []any {
	dst = append(dst, nil, nil, nil, &b.Stream, &b.Window, &b.PrevWindow)
	for i := range b.Marks {
		dst = append(dst, &b.Marks[i].Key)
	}
	wantIDs := 0
	if b.WantIDs {
		wantIDs = 1
	}
	dst = append(dst, b.TTL.Milliseconds(), b.WindowSize, wantIDs, len(b.Trim))
	dst = append(dst, b.Trim...)
	for i := range b.Marks {
		m := &b.Marks[i]
		dst = append(dst, &m.Version, &m.Next, &m.Field, &m.Value, &m.Drop)
	}
	for i := range b.Adds {
		dst = append(dst, &b.Members[i], b.Adds[i].args())
		dst = b.Adds[i].appendFields(dst)
	}
	return dst
}

// args counts the arguments that the entry's fields make.
func (add *Add) args() int {
	n := 2 * len(add.Fields)
	if add.KeyField != "" {
		n += 2
	}
	return n
}

func (add *Add) appendFields(dst []any) []any {
	if add.KeyField != "" {
		dst = append(dst, &add.KeyField, &add.Key)
	}
	for i := range add.Fields {
		dst = append(dst, &add.Fields[i].Name, &add.Fields[i].Value)
	}
	return dst
}
