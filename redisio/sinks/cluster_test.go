package sinks

import (
	"context"
	"fmt"
	"net"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/redis/go-redis/v9"

	"example.com/beamredis/redisio/conn"
	"example.com/beamredis/redisio/internal/redistest"
	"example.com/beamredis/redisio/message"
	"example.com/beamredis/redisio/topic"
)

// startPrimaries starts a cluster of three primaries, and takes a minute before
// it gives one up that does not answer.
func startPrimaries(t *testing.T, opts ...redistest.Option) []*redistest.Server {
	t.Helper()
	nodes := make([]*redistest.Server, 3)
	buses := make([]string, len(nodes))
	for i := range nodes {
		ln, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		_, buses[i], _ = net.SplitHostPort(ln.Addr().String())
		_ = ln.Close()
		nodes[i] = redistest.Start(t, append(slices.Clone(opts), redistest.Durable(), redistest.Args("--cluster-enabled", "yes",
			"--cluster-port", buses[i], "--cluster-node-timeout", "60000", "--cluster-require-full-coverage", "no"))...)
		must(t, nodes[i].Client().Do(t.Context(), "CLUSTER", "ADDSLOTSRANGE", i*16384/3, (i+1)*16384/3-1).Err())
	}
	for i, node := range nodes[1:] {
		host, port, _ := net.SplitHostPort(node.Addr())
		must(t, nodes[0].Client().Do(t.Context(), "CLUSTER", "MEET", host, port, buses[i+1]).Err())
	}
	for _, node := range nodes {
		await(t, "the cluster is complete", func() bool {
			info := node.Client().ClusterInfo(t.Context()).Val()
			return strings.Contains(info, "cluster_slots_ok:16384") && strings.Contains(info, "cluster_state:ok")
		})
	}
	return nodes
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func clusterConfig(nodes []*redistest.Server) conn.Config {
	return conn.Config{Mode: conn.Cluster, Addr: nodes[0].Addr()}
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

// killInTheMiddle has write send a batch to all nodes of which the last does
// not answer, kills that one when the others have carried out commands, and
// brings it back when they have finished with what was sent.
func killInTheMiddle(t *testing.T, nodes []*redistest.Server, command string, retries func() int64, write func() error) {
	t.Helper()
	dying := nodes[len(nodes)-1]
	dying.Pause()
	done := make(chan error, 1)
	go func() { done <- write() }()
	for _, node := range nodes[:len(nodes)-1] {
		await(t, "the other nodes write", func() bool { return calls(t, node, command) > 0 })
	}
	dying.Kill()
	await(t, "the dead node's part is tried again", func() bool { return retries() > 0 || len(done) > 0 })
	dying.Restart()
	must(t, <-done)
}

func TestADeadNodesDocumentsAreNotWrittenAgainElsewhere(t *testing.T) {
	for name, tc := range map[string]struct {
		format  Format
		command string
		change  func(*DocumentFn)
	}{
		"hash":            {Hash, "hset", func(*DocumentFn) {}},
		"hash with a TTL": {Hash, "hset", func(d *DocumentFn) { d.TTL = 1 << 40 }},
		"replaced hash":   {Hash, "hset", func(d *DocumentFn) { d.Replace = true }},
		"JSON":            {JSON, "json.set", func(*DocumentFn) {}},
		"JSON with a TTL": {JSON, "json.set", func(d *DocumentFn) { d.TTL = 1 << 40 }},
	} {
		t.Run(name, func(t *testing.T) {
			var opts []redistest.Option
			if tc.format == JSON {
				opts = append(opts, redistest.JSON(t))
			}
			nodes := startPrimaries(t, opts...)
			s := newDocumentSink(t, clusterConfig(nodes), tc.format, tc.change)
			must(t, s.bundle(t.Context(), item{Key: "first"})) // so that the client knows the nodes
			before := make([]int, len(nodes))
			for i, node := range nodes {
				must(t, node.Client().ConfigResetStat(t.Context()).Err())
				before[i] = int(node.Client().DBSize(t.Context()).Val())
			}
			const n = 600
			elems := make([]any, n)
			for i := range elems {
				elems[i] = item{Key: fmt.Sprint("k", i), N: i}
			}
			killInTheMiddle(t, nodes, tc.command, s.lanes[0].delivery.retries.Load, func() error { return s.bundle(t.Context(), elems...) })
			total := 0
			for i, node := range nodes {
				keys := int(node.Client().DBSize(t.Context()).Val()) - before[i]
				total += keys
				if got := calls(t, node, tc.command); i < len(nodes)-1 && got != keys {
					t.Errorf("node %d carried out %s %d times for %d documents", i, tc.command, got, keys)
				}
			}
			if total != n {
				t.Errorf("%d documents, want %d", total, n)
			}
		})
	}
}

func TestADeadNodesEntriesAreNotWrittenAgainElsewhere(t *testing.T) {
	out := topic.Topic{Name: "out", Partitions: 12}
	for name, once := range map[string]*OnceOptions{"plain": nil, "once": {Name: "a"}} {
		t.Run(name, func(t *testing.T) {
			nodes := startPrimaries(t)
			s := newSinkOn(t, clusterConfig(nodes), func(w *WriteFn) { w.Topic, w.Once = out, once })
			must(t, s.bundle(t.Context(), jobFrom(0).reads(1)...))
			for _, node := range nodes {
				must(t, node.Client().ConfigResetStat(t.Context()).Err())
			}
			var msgs []message.Message
			for id := uint64(2); id <= 600; id++ {
				m := jobFrom(0).reads(id)[0]
				m.Key = fmt.Sprint("key-", id)
				msgs = append(msgs, m)
			}
			killInTheMiddle(t, nodes, "xadd", s.lanes[0].delivery.retries.Load, func() error { return s.bundle(t.Context(), msgs...) })
			times := map[string]int{}
			for i, node := range nodes {
				entries := entriesOn(t, node, out, times)
				if got := calls(t, node, "xadd"); i < len(nodes)-1 && got > entries {
					t.Errorf("node %d carried out XADD %d times, and has %d entries", i, got, entries)
				}
			}
			for n, count := range times {
				if count > 1 && once != nil {
					t.Errorf("entry %s is there %d times", n, count)
				}
			}
			if len(times) != 600 {
				t.Errorf("%d entries, want 600", len(times))
			}
		})
	}
}

// entriesOn counts the entries that a node has of a topic, and how often it has
// each.
func entriesOn(t *testing.T, node *redistest.Server, out topic.Topic, times map[string]int) (entries int) {
	t.Helper()
	for i := range out.Len() {
		found, err := node.Client().XRange(t.Context(), out.Key(i), "-", "+").Result()
		if _, elsewhere := redis.IsMovedError(err); elsewhere {
			continue
		}
		must(t, err)
		entries += len(found)
		for _, e := range found {
			times[fmt.Sprint(e.Values["is"])]++
		}
	}
	return entries
}
