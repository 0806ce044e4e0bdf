package flink_test

import (
	"fmt"
	"testing"

	"example.com/beamredis/redisio"
)

func TestCopyIsExactAndAcknowledged(t *testing.T) {
	c := flink(t)
	const n = 100_000
	for _, parallelism := range []int{2, 4} {
		t.Run(fmt.Sprint("parallelism ", parallelism), func(t *testing.T) {
			s := startRedis(t)
			in := redisio.Topic{Name: "in", Partitions: 4}
			s.load(in, 0, n)
			newJob(c, s.Config(), in, parallelism, redisio.WithStopAtLatest()).mustRun(t)
			s.wantExactlyOnce(n)
			s.wantNothingPending(in)
		})
	}
}
