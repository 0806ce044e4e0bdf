package integration_test

import (
	"fmt"
	"strings"
	"testing"

	"example.com/beamredis/redisio"
	"example.com/beamredis/redisio/conn"
	"example.com/beamredis/redisio/internal/redistest"
)

// ours counts the connections that the code under test has to each node.
func ours(t *testing.T, nodes []*redistest.Server) (perNode []int) {
	t.Helper()
	for _, node := range nodes {
		list, err := node.Client().ClientList(t.Context()).Result()
		if err != nil {
			t.Fatal(err)
		}
		perNode = append(perNode, strings.Count(list, " name="+conn.DefaultClientName+" "))
	}
	return perNode
}

// most keeps the larger numbers.
func most(a, b []int) []int {
	for i := range a {
		b[i] = max(a[i], b[i])
	}
	return b
}

// TestAProcessMakesNoMoreConnectionsThanItsPool counts them while a copy is
// busy, and when it has nothing to do.
func TestAProcessMakesNoMoreConnectionsThanItsPool(t *testing.T) {
	n := sized(10_000, 200_000)
	for _, clustered := range []bool{false, true} {
		for _, tt := range []struct{ partitions, pool int }{{1, 16}, {4, 16}, {16, 16}, {16, 2}} {
			t.Run(fmt.Sprintf("cluster %v, %d partitions, pool of %d", clustered, tt.partitions, tt.pool), func(t *testing.T) {
				var s *server
				var nodes []*redistest.Server
				if clustered {
					c := startCluster(t)
					s, nodes = c.server, c.Nodes()
				} else {
					s = start(t)
					nodes = []*redistest.Server{s.Server}
				}
				source := redisio.Topic{Name: in.Name, Partitions: tt.partitions}
				s.load(source, 0, n, entryOf)
				s.cfg.PoolSize = tt.pool
				job := s.spawn(childSpec{Partitions: tt.partitions, Forever: true})
				busy := ours(t, nodes)
				eventually(t, "everything is copied and acknowledged", func() bool {
					job.mustRunOn()
					busy = most(busy, ours(t, nodes))
					return s.length(out) >= n && s.pendingSoFar(source) == 0
				})
				idle := ours(t, nodes)
				for range 100 {
					pause(pollEvery)
					idle = most(idle, ours(t, nodes))
				}
				job.stop()
				t.Logf("connections to each node: busy %v, idle %v", busy, idle)
				for i := range nodes {
					if busy[i] > tt.pool || idle[i] > tt.pool {
						t.Errorf("node %d had %d connections when busy and %d when idle, want at most %d", i, busy[i], idle[i], tt.pool)
					}
				}
				s.wantExactlyOnce(s.arrived(out), n)
			})
		}
	}
}

// pendingSoFar is the number of pending entries; 1 where a group is not there
// yet.
func (s *server) pendingSoFar(t redisio.Topic) (n int) {
	for _, p := range t.Parts() {
		pending, err := s.client.XPending(s.t.Context(), p.Stream, group).Result()
		if err != nil {
			return 1
		}
		n += int(pending.Count)
	}
	return n
}
