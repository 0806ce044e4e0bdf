package rdb

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
var setHash = newScriptAfter(`
if #ARGV <= 7000 and type(redis.pcall('HSET', KEYS[1], unpack(ARGV, 2))) == 'number' then
  local r = redis.pcall('PEXPIRE', KEYS[1], ARGV[1])
  if type(r) == 'number' then return r end
end`, `
for i = 2, math.max(2, #ARGV), 7000 do
  try('HSET', KEYS[1], unpack(ARGV, i, math.min(i + 6999, #ARGV)))
end
return try('PEXPIRE', KEYS[1], ARGV[1])`)

// replaceHash makes a hash of the given fields and no others.
//
//	KEYS[1]  the hash
//	ARGV[1]  time to live in milliseconds; 0: none
//	ARGV[2…] names and values in turns
//
// It returns 1, or an error, after which key and time to live are as they
// were: HLEN finds another type and the first HSET a lack of memory, both
// before DEL.
var replaceHash = newScript(`
local before = try('HLEN', KEYS[1])
local function set()
  for i = 2, math.max(2, #ARGV), 7000 do
    try('HSET', KEYS[1], unpack(ARGV, i, math.min(i + 6999, #ARGV)))
  end
end
set()
if before > 0 then
  try('DEL', KEYS[1])
  set()
end
if ARGV[1] ~= '0' then try('PEXPIRE', KEYS[1], ARGV[1]) end
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
var setJSON = newScriptAfter(`
local r = redis.pcall('JSON.SET', KEYS[1], ARGV[2], ARGV[3])
if type(r) == 'table' and r.ok then
  r = redis.pcall('PEXPIRE', KEYS[1], ARGV[1])
  if type(r) == 'number' then return r end
end`, `
local r = try('JSON.SET', KEYS[1], ARGV[2], ARGV[3])
if not r then return r end
return try('PEXPIRE', KEYS[1], ARGV[1])`)
