package integration_test

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"example.com/beamredis/redisio"
	"example.com/beamredis/redisio/internal/redistest"
)

// ours counts the connections that the code under test has to each node.
func ours(t *testing.T, nodes []*redistest.Server) (perNode []int) {
	t.Helper()
	for _, node := range nodes {
		perNode = append(perNode, node.Connections(t))
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

// idleFor is longer than an idle job takes for all that it does now and then.
const idleFor = 5 * time.Second

// TestAProcessMakesNoMoreConnectionsThanTheDocsSay counts them while a copy is
// busy, and those that it makes anew when it has nothing to do.
func TestAProcessMakesNoMoreConnectionsThanTheDocsSay(t *testing.T) {
	n := sized(10_000, 200_000)
	for _, tt := range redistest.DocumentedConnections(t, "../../docs/deployments.md", "Prism") {
		t.Run(fmt.Sprintf("%s, %d partitions, pool of %d", tt.Deployment, tt.Partitions, tt.Pool), func(t *testing.T) {
			var s *server
			var nodes []*redistest.Server
			if tt.Deployment == "cluster" {
				c := startCluster(t)
				s, nodes = c.server, c.Nodes()
			} else {
				s = start(t)
				nodes = []*redistest.Server{s.Server}
			}
			source := redisio.Topic{Name: in.Name, Partitions: tt.Partitions}
			s.load(source, 0, n, entryOf)
			s.cfg.PoolSize = tt.Pool
			job := s.spawn(childSpec{Partitions: tt.Partitions, Forever: true})
			busy := ours(t, nodes)
			eventually(t, "everything is copied and acknowledged", func() bool {
				job.mustRunOn()
				busy = most(busy, ours(t, nodes))
				return s.length(out) >= n && s.pendingSoFar(source) == 0
			})
			for _, node := range nodes {
				node.CutConnections(t)
			}
			idle := ours(t, nodes)
			for begun := time.Now(); time.Since(begun) < idleFor; pause(pollEvery) {
				job.mustRunOn()
				idle = most(idle, ours(t, nodes))
			}
			job.stop()
			t.Logf("connections to each node: busy %v, idle %v", busy, idle)
			for i := range nodes {
				if busy[i] > tt.Busy || idle[i] > tt.Idle {
					t.Errorf("node %d had %d connections when busy and %d when idle, want at most %d and %d", i, busy[i], idle[i], tt.Busy, tt.Idle)
				}
			}
			if slices.Max(busy) == 0 || slices.Max(idle) == 0 {
				t.Error("no connection carries the client's name: this proves nothing")
			}
			s.wantExactlyOnce(s.arrived(out), n)
		})
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
