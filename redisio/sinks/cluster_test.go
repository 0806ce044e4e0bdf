package sinks

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"example.com/beamredis/redisio/internal/redistest"
	"example.com/beamredis/redisio/message"
	"example.com/beamredis/redisio/topic"
)

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// calls is how often a server has carried out a command.
func calls(t *testing.T, server *redistest.Server, command string) int {
	t.Helper()
	info, err := server.Client().Info(context.Background(), "commandstats").Result()
	must(t, err)
	_, after, _ := strings.Cut(info, "cmdstat_"+command+":calls=")
	n, _, _ := strings.Cut(after, ",")
	count, _ := strconv.Atoi(n)
	return count
}

// primariesOf returns the nodes that have slots.
func primariesOf(c *redistest.Cluster) (nodes []*redistest.Server) {
	for i := range 200 {
		if node := c.PrimaryOf(fmt.Sprint("k", i)); !slices.Contains(nodes, node) {
			nodes = append(nodes, node)
		}
	}
	return nodes
}

// killInTheMiddle has write send one batch to all nodes, of which one does not
// answer, kills that one when the others have carried out commands, and starts
// it again when its part has failed. It returns how often each of the others has
// carried out command. No replica may take a place meanwhile, as one would on a
// machine that stands still for a moment: the counts would be another node's.
func killInTheMiddle(t *testing.T, c *redistest.Cluster, command string, retries *atomic.Int64, write func() error) map[*redistest.Server]int {
	t.Helper()
	for _, node := range c.Nodes() {
		must(t, node.Client().ConfigSet(t.Context(), "cluster-node-timeout", "120000").Err())
		must(t, node.Client().ConfigSet(t.Context(), "cluster-require-full-coverage", "no").Err())
	}
	nodes := primariesOf(c)
	for _, node := range nodes {
		must(t, node.Client().ConfigResetStat(t.Context()).Err())
	}
	dying, others := nodes[0], nodes[1:]
	dying.Pause()
	done := make(chan error, 1)
	go func() { done <- write() }()
	for _, node := range others {
		await(t, "the other nodes write", func() bool { return calls(t, node, command) > 0 })
	}
	dying.Kill()
	await(t, "the dead node is missed", func() bool { return retries.Load() > 0 || len(done) > 0 })
	dying.Restart()
	must(t, <-done)
	count := map[*redistest.Server]int{}
	for _, node := range others {
		count[node] = calls(t, node, command)
	}
	c.AwaitHealthy()
	return count
}

func TestADeadNodesDocumentsAreNotWrittenAgainElsewhere(t *testing.T) {
	c := redistest.StartCluster(t, redistest.JSON(t))
	for name, tc := range map[string]struct {
		format  Format
		command string
		ttl     time.Duration
	}{
		"hash": {Hash, "hset", 0}, "hash with a TTL": {Hash, "hset", time.Hour}, "JSON with a TTL": {JSON, "json.set", time.Hour},
	} {
		t.Run(name, func(t *testing.T) {
			s := newDocumentSink(t, c.Config(), tc.format, func(d *DocumentFn) { d.KeyPrefix, d.TTL, d.Batch.AtBundleEnd = name, tc.ttl, true })
			must(t, s.bundle(t.Context(), items(1)...)) // so that the client knows the nodes
			const n = 600
			elems := make([]any, n)
			for i := range elems {
				elems[i] = item{Key: fmt.Sprint(i), N: i}
			}
			count := killInTheMiddle(t, c, tc.command, &s.lanes[0].delivery.retries, func() error { return s.bundle(t.Context(), elems...) })
			want := map[*redistest.Server]int{}
			for i := range n {
				key := name + strconv.Itoa(i)
				if c.Client().Exists(t.Context(), key).Val() != 1 {
					t.Fatalf("document %d is lost", i)
				}
				if node := c.PrimaryOf(key); count[node] > 0 {
					want[node]++
				}
			}
			if diff := cmp.Diff(byAddr(want), byAddr(count)); diff != "" || len(count) != 2 {
				t.Errorf("executions of %s on the other nodes (-one for each document, +got):\n%s", tc.command, diff)
			}
			if s.lanes[0].delivery.retries.Load() == 0 {
				t.Error("nothing was tried again: the dead node was never missed")
			}
		})
	}
}

func byAddr(counts map[*redistest.Server]int) map[string]int {
	named := map[string]int{}
	for node, n := range counts {
		named[node.Addr()] = n
	}
	return named
}

func TestADeadNodesEntriesAreNotWrittenAgainElsewhere(t *testing.T) {
	c := redistest.StartCluster(t)
	for name, once := range map[string]*OnceOptions{"plain": nil, "once": {Name: "a"}} {
		t.Run(name, func(t *testing.T) {
			out := topic.Topic{Name: name, Partitions: 12}
			s := newSinkOn(t, c.Config(), func(w *WriteFn) { w.Topic, w.Once, w.Batch.AtBundleEnd = out, once, true })
			must(t, s.bundle(t.Context(), spread(1, 1)...)) // so that the client knows the nodes
			const n = 600
			count := killInTheMiddle(t, c, "xadd", &s.lanes[0].delivery.retries, func() error { return s.bundle(t.Context(), spread(2, n)...) })
			want, times := map[*redistest.Server]int{}, map[string]int{}
			for i := range out.Len() {
				entries, err := c.Client().XRange(t.Context(), out.Key(i), "-", "+").Result()
				must(t, err)
				node := c.PrimaryOf(out.Key(i))
				for _, e := range entries {
					is := fmt.Sprint(e.Values["is"])
					times[is]++
					if count[node] > 0 && is != "1" {
						want[node]++
					}
				}
			}
			if diff := cmp.Diff(byAddr(want), byAddr(count)); diff != "" || len(count) != 2 {
				t.Errorf("executions of XADD on the other nodes (-one for each entry, +got):\n%s", diff)
			}
			if len(times) != n+1 {
				t.Errorf("%d different entries are there, want %d", len(times), n+1)
			}
			for is, got := range times {
				if got > 1 {
					t.Errorf("entry %s is there %d times", is, got)
				}
			}
			if s.lanes[0].delivery.retries.Load() == 0 {
				t.Error("nothing was tried again: the dead node was never missed")
			}
		})
	}
}

// spread returns n messages, as an undisturbed Read gives them, from id on, with
// a key each.
func spread(id uint64, n int) (msgs []message.Message) {
	for range n {
		m := jobFrom(0).reads(id)[0]
		m.Key = fmt.Sprint("key-", id)
		msgs = append(msgs, m)
		id++
	}
	return msgs
}
