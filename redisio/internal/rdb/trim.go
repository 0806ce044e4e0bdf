package rdb

import (
	"strconv"

	"example.com/beamredis/redisio/message"
)

// TrimArgs returns the arguments of XTRIM that keep length entries, or those
// from minID on where that is not 0-0; approx lets the server keep some more,
// and limit bounds how many it examines, 0 leaving that to the server.
func TrimArgs(length int64, minID message.EntryID, approx bool, limit int64) []any {
	strategy, bound := "MAXLEN", strconv.FormatInt(length, 10)
	if !minID.IsZero() {
		strategy, bound = "MINID", minID.String()
	}
	args := []any{strategy, "="}
	if approx {
		args[1] = "~"
	}
	args = append(args, bound)
	if approx && limit > 0 {
		args = append(args, "LIMIT", limit)
	}
	return args
}
