package flink_test

import (
	"fmt"
	"strings"
	"testing"

	"example.com/beamredis/redisio"
	"example.com/beamredis/redisio/conn"
)

// TestParallelismMultipliesNoConnections counts the connections of a worker's
// process, in which all subtasks of the job are.
func TestParallelismMultipliesNoConnections(t *testing.T) {
	c := flink(t)
	const n = 20_000
	for _, tt := range []struct{ partitions, parallelism int }{{1, 1}, {1, 3}, {3, 1}, {3, 4}} {
		t.Run(fmt.Sprintf("%d partitions, parallelism %d", tt.partitions, tt.parallelism), func(t *testing.T) {
			s := startRedis(t)
			in := redisio.Topic{Name: "in", Partitions: tt.partitions}
			s.load(in, 0, n)
			cfg := s.Config()
			newJob(c, cfg, in, tt.parallelism).begin(t)
			busy := 0
			eventually(t, "everything is copied and acknowledged", func() bool {
				busy = max(busy, s.connections(t))
				return s.length(out) == n && s.pending(in) == 0
			})
			idle, looks := 0, 0
			eventually(t, "the job has been idle for a while", func() bool {
				idle = max(idle, s.connections(t))
				looks++
				return looks == 40
			})
			t.Logf("connections: busy %d, idle %d", busy, idle)
			if most := cfg.WithDefaults().PoolSize; busy > most || idle > most {
				t.Errorf("%d connections when busy and %d when idle, want at most %d", busy, idle, most)
			}
			if idle == 0 {
				t.Error("no connection carries the client's name: this test proves nothing")
			}
		})
	}
}

// connections is how many the code under test has to the server.
func (s *server) connections(t *testing.T) int {
	t.Helper()
	list, err := s.client.ClientList(t.Context()).Result()
	if err != nil {
		t.Fatal(err)
	}
	return strings.Count(list, " name="+conn.DefaultClientName+" ")
}
