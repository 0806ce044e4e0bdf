package rdb

import (
	"errors"
	"fmt"

	"github.com/redis/go-redis/v9"

	"example.com/beamredis/redisio/message"
)

var errOnceReply = errors.New("the script for idempotent writes replied something else than it does")

func parseOnce(cmd *redis.SliceCmd, entries int) OnceReply {
	if err := cmd.Err(); err != nil {
		return refusal(err, -1)
	}
	reply := cmd.Val()
	if len(reply) >= 2 {
		switch reply[0] {
		case "stale":
			return OnceReply{Stale: parseMarks(reply[1]), At: -1}
		case "done":
			return parseDone(reply, entries)
		case "error":
			return parseRefusal(reply)
		}
	}
	return OnceReply{Err: fmt.Errorf("%w: %v", errOnceReply, reply), At: -1}
}

func parseMarks(v any) []map[string]string {
	list, _ := v.([]any)
	marks := make([]map[string]string, len(list))
	for i := range list {
		flat, _ := list[i].([]any)
		marks[i] = make(map[string]string, len(flat)/2)
		for j := 0; j+1 < len(flat); j += 2 {
			name, _ := flat[j].(string)
			marks[i][name], _ = flat[j+1].(string)
		}
	}
	return marks
}

func parseDone(reply []any, entries int) OnceReply {
	repeated, _ := reply[1].(int64)
	r := OnceReply{Repeated: int(repeated), At: -1}
	if len(reply) < 3 {
		return r
	}
	ids, _ := reply[2].([]any)
	r.IDs = make([]message.EntryID, entries)
	for i := range min(len(ids), entries) {
		if text, _ := ids[i].(string); text != "" {
			r.IDs[i], r.Err = message.ParseEntryID(text)
		}
	}
	return r
}

func parseRefusal(reply []any) OnceReply {
	if len(reply) != 3 {
		return OnceReply{Err: fmt.Errorf("%w: %v", errOnceReply, reply), At: -1}
	}
	at, _ := reply[1].(int64)
	text, _ := reply[2].(string)
	return refusal(serverError(text), int(at)-1)
}

var errForeignKey = errors.New("a key that begins with beamredis: and is this library's own holds something else")

// refusal is the reply for an error. One about a companion key is no entry's
// fault, and must not look like it. That the user may not touch such a key, the
// server tells without its name.
func refusal(err error, at int) OnceReply {
	if at < 0 && IsNoPermission(err) {
		err = fmt.Errorf("%w (the keys are the stream and those that begin with beamredis:)", err)
	}
	if at < 0 && IsWrongType(err) {
		err = fmt.Errorf("%w (%s)", errForeignKey, err.Error())
	}
	return OnceReply{Err: err, At: at}
}
