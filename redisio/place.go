package redisio

import (
	"flag"
	"strconv"

	"example.com/beamredis/redisio/sdf"
)

// keyGroups is the number of key groups that the pipeline will have on Flink:
// what the flag of package flink says, where the program has it.
func keyGroups() int {
	if f := flag.Lookup("max_parallelism"); f != nil {
		if n, err := strconv.Atoi(f.Value.String()); err == nil && n > 0 {
			return n
		}
	}
	return sdf.KeyGroups
}
