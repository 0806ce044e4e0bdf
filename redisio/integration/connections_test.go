package integration_test

import (
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

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

// bounds is a row of the table of connections in the docs.
type bounds struct {
	clustered                    bool
	partitions, pool, busy, idle int
}

// documentedBounds are the rows of the table for Prism.
func documentedBounds(t *testing.T) (rows []bounds) {
	t.Helper()
	text, err := os.ReadFile("../../docs/deployments.md")
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(text)) {
		if !strings.HasPrefix(line, "| Prism | ") {
			continue
		}
		var runner, deployment string
		var parallelism int
		var b bounds
		if _, err := fmt.Sscan(strings.ReplaceAll(line, "|", " "), &runner, &deployment, &b.partitions, &parallelism, &b.pool, &b.busy, &b.idle); err != nil {
			t.Fatalf("row %q: %v", line, err)
		}
		b.clustered = deployment == "cluster"
		rows = append(rows, b)
	}
	if len(rows) == 0 {
		t.Fatal("the docs have no table of connections for Prism")
	}
	return rows
}

// cut ends the connections of the code under test.
func cut(t *testing.T, nodes []*redistest.Server) {
	t.Helper()
	for _, node := range nodes {
		list, err := node.Client().ClientList(t.Context()).Result()
		if err != nil {
			t.Fatal(err)
		}
		for line := range strings.Lines(list) {
			id, _, _ := strings.Cut(strings.TrimPrefix(line, "id="), " ")
			if strings.Contains(line, " name="+conn.DefaultClientName+" ") {
				_ = node.Client().ClientKillByFilter(t.Context(), "id", id).Err() // it may have ended by itself
			}
		}
	}
}

// idleFor is longer than an idle job takes for all that it does now and then.
const idleFor = 5 * time.Second

// TestAProcessMakesNoMoreConnectionsThanTheDocsSay counts them while a copy is
// busy, and those that it makes anew when it has nothing to do.
func TestAProcessMakesNoMoreConnectionsThanTheDocsSay(t *testing.T) {
	n := sized(10_000, 200_000)
	for _, tt := range documentedBounds(t) {
		t.Run(fmt.Sprintf("cluster %v, %d partitions, pool of %d", tt.clustered, tt.partitions, tt.pool), func(t *testing.T) {
			var s *server
			var nodes []*redistest.Server
			if tt.clustered {
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
			cut(t, nodes)
			idle := ours(t, nodes)
			for begun := time.Now(); time.Since(begun) < idleFor; pause(pollEvery) {
				job.mustRunOn()
				idle = most(idle, ours(t, nodes))
			}
			job.stop()
			t.Logf("connections to each node: busy %v, idle %v", busy, idle)
			for i := range nodes {
				if busy[i] > tt.busy || idle[i] > tt.idle {
					t.Errorf("node %d had %d connections when busy and %d when idle, want at most %d and %d", i, busy[i], idle[i], tt.busy, tt.idle)
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
