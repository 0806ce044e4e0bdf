package flink_test

import (
	"fmt"
	"testing"

	"example.com/beamredis/redisio"
	"example.com/beamredis/redisio/internal/redistest"
)

// TestParallelismMultipliesNoConnections counts the connections of a worker's
// process, in which all subtasks of the job are.
func TestParallelismMultipliesNoConnections(t *testing.T) {
	c := flink(t)
	const n = 20_000
	for _, tt := range redistest.DocumentedConnections(t, "../../../docs/deployments.md", "Flink") {
		t.Run(fmt.Sprintf("%d partitions, parallelism %d", tt.Partitions, tt.Parallelism), func(t *testing.T) {
			s := startRedis(t)
			in := redisio.Topic{Name: "in", Partitions: tt.Partitions}
			s.load(in, 0, n)
			cfg := s.Config()
			cfg.PoolSize = tt.Pool
			newJob(c, cfg, in, tt.Parallelism).begin(t)
			busy := 0
			eventually(t, "everything is copied and acknowledged", func() bool {
				busy = max(busy, s.Connections(t))
				return s.length(out) == n && s.pending(in) == 0
			})
			s.CutConnections(t) // what an idle job needs is made anew
			idle, looks := 0, 0
			eventually(t, "the job has been idle for a while", func() bool {
				idle = max(idle, s.Connections(t))
				looks++
				return looks == 100
			})
			t.Logf("connections: busy %d, idle %d", busy, idle)
			if busy > tt.Busy || idle > tt.Idle {
				t.Errorf("%d connections when busy and %d when idle, want at most %d and %d", busy, idle, tt.Busy, tt.Idle)
			}
			if idle == 0 {
				t.Error("no connection carries the client's name: this test proves nothing")
			}
		})
	}
}
