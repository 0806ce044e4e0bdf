package redistest

import (
	"context"
	"net"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"example.com/beamredis/internal/redisserver"
	"example.com/beamredis/redisio/conn"
)

const (
	primaries = 3
	slots     = 16384
	// nodeTimeout is after how long a cluster gives up a node that is silent.
	nodeTimeout = 1500 * time.Millisecond
	// patience bounds every wait for a deployment to take a shape.
	patience = time.Minute
)

// Cluster is a Redis cluster of three primaries with a replica each, which
// lives as long as its test.
type Cluster struct {
	t      testing.TB
	nodes  []*Server
	client *redis.ClusterClient
	cfg    conn.Config
}

// StartCluster runs a cluster for t, and returns when it is complete. Its nodes
// keep their data when they are killed and restarted.
func StartCluster(t testing.TB, opts ...Option) *Cluster {
	t.Helper()
	c := &Cluster{t: t}
	buses := make([]string, 2*primaries)
	for i := range buses {
		buses[i] = freePort(t)
		c.nodes = append(c.nodes, Start(t, append(opts[:len(opts):len(opts)], asNode(buses[i])...)...))
	}
	c.form(buses)
	c.cfg = c.nodes[0].cfg
	c.cfg.Mode, c.cfg.Addr = conn.Cluster, addrs(c.nodes)
	s := newSettings(t, opts)
	c.client = redis.NewClusterClient(&redis.ClusterOptions{
		Addrs: c.cfg.Addrs(), Password: s.Password, TLSConfig: s.certs.clientTLS(t), ClusterStateReloadInterval: time.Second,
	})
	t.Cleanup(func() { _ = c.client.Close() })
	return c
}

// asNode are the options of a cluster's node, with the port of its bus.
func asNode(bus string) []Option {
	return []Option{Durable(), Args("--repl-diskless-sync-delay", "0", "--cluster-enabled", "yes", "--cluster-port", bus,
		"--cluster-node-timeout", strconv.FormatInt(nodeTimeout.Milliseconds(), 10))}
}

func freePort(t testing.TB) string {
	t.Helper()
	port, err := redisserver.FreePort()
	if err != nil {
		t.Fatal(err)
	}
	return strconv.Itoa(port)
}

func addrs(servers []*Server) string {
	list := make([]string, len(servers))
	for i, s := range servers {
		list[i] = s.Addr()
	}
	return strings.Join(list, ",")
}

func (c *Cluster) form(buses []string) {
	c.t.Helper()
	for i, node := range c.nodes[:primaries] {
		c.do(node, "cluster", "addslotsrange", i*slots/primaries, (i+1)*slots/primaries-1)
	}
	for i, node := range c.nodes[1:] {
		host, port, _ := net.SplitHostPort(node.Addr())
		c.do(c.nodes[0], "cluster", "meet", host, port, buses[i+1])
	}
	c.awaitAcquainted()
	for i, node := range c.nodes[primaries:] {
		id := c.id(c.nodes[i])
		c.await("the replica takes its primary", func() bool {
			return node.client.Do(context.Background(), "cluster", "replicate", id).Err() == nil
		})
	}
	c.AwaitHealthy()
}

func (c *Cluster) awaitAcquainted() {
	c.t.Helper()
	for _, node := range c.nodes {
		c.await("the nodes know each other", func() bool {
			return strings.Contains(clusterInfo(node), "cluster_known_nodes:"+strconv.Itoa(len(c.nodes)))
		})
	}
}

// AwaitHealthy waits until every node that answers says that the cluster is
// well, and every replica follows its primary.
func (c *Cluster) AwaitHealthy() {
	c.t.Helper()
	for _, node := range c.nodes {
		c.await("the cluster is well", func() bool {
			info := clusterInfo(node)
			if !strings.Contains(info, "cluster_slots_ok:"+strconv.Itoa(slots)) || !strings.Contains(info, "cluster_state:ok") {
				return false
			}
			replication, err := node.client.Info(context.Background(), "replication").Result()
			return err == nil && (strings.Contains(replication, "role:master") || strings.Contains(replication, "master_link_status:up"))
		})
	}
}

func clusterInfo(node *Server) string {
	info, err := node.client.ClusterInfo(context.Background()).Result()
	if err != nil {
		return ""
	}
	return info
}

// Nodes are all servers, the first three of which began as primaries.
func (c *Cluster) Nodes() []*Server { return c.nodes }

// Config is the configuration that reaches the cluster.
func (c *Cluster) Config() conn.Config { return c.cfg }

// URL is what conn.ParseURL makes [Cluster.Config] of.
func (c *Cluster) URL() string { return c.cfg.String() }

// Client is a plain go-redis client of the cluster, closed with the test.
func (c *Cluster) Client() *redis.ClusterClient { return c.client }

// AddNode runs one more node, which has no slots yet, and returns when all nodes
// know it.
func (c *Cluster) AddNode(opts ...Option) *Server {
	c.t.Helper()
	bus := freePort(c.t)
	node := Start(c.t, append(opts[:len(opts):len(opts)], asNode(bus)...)...)
	host, port, _ := net.SplitHostPort(node.Addr())
	c.do(c.nodes[0], "cluster", "meet", host, port, bus)
	c.nodes = append(c.nodes, node)
	c.awaitAcquainted()
	c.AwaitHealthy()
	return node
}

// PrimaryOf returns the server that has key now.
func (c *Cluster) PrimaryOf(key string) *Server {
	c.t.Helper()
	var owner *Server
	c.await("the primary of "+key+" is known", func() bool {
		slot, err := c.client.ClusterKeySlot(context.Background(), key).Result()
		if err == nil {
			owner = c.ownerOf(int(slot))
		}
		return owner != nil
	})
	return owner
}

// ownerOf asks all nodes, of which those that were dead may say what is past:
// the owner has to agree.
func (c *Cluster) ownerOf(slot int) *Server {
	for _, node := range c.nodes {
		nodes, err := node.client.ClusterNodes(context.Background()).Result()
		if err == nil && isPrimary(node) && ownSlots(nodes, slot) {
			return node
		}
	}
	return nil
}

// ownSlots looks into a reply of CLUSTER NODES whether the node that gave it
// has slot. Its own line ends with its slots: 5 7-9 [11->-id].
func ownSlots(nodes string, slot int) bool {
	for line := range strings.Lines(nodes) {
		words := strings.Fields(line)
		if len(words) < 8 || !strings.Contains(words[2], "myself") {
			continue
		}
		for _, r := range words[8:] {
			first, last, isRange := strings.Cut(r, "-")
			if !isRange {
				last = first
			}
			from, err1 := strconv.Atoi(first)
			to, err2 := strconv.Atoi(last)
			if err1 == nil && err2 == nil && from <= slot && slot <= to {
				return true
			}
		}
	}
	return false
}

func isPrimary(node *Server) bool {
	info, err := node.client.Info(context.Background(), "replication").Result()
	return err == nil && strings.Contains(info, "role:master")
}

// AwaitPrimaryOf waits until a server other than old has key.
func (c *Cluster) AwaitPrimaryOf(key string, old *Server) *Server {
	c.t.Helper()
	var now *Server
	c.await("another node takes over "+key, func() bool { now = c.PrimaryOf(key); return now != old })
	return now
}

func (c *Cluster) id(node *Server) string {
	c.t.Helper()
	id, err := node.client.Do(context.Background(), "cluster", "myid").Text()
	c.must("id of a node", err)
	return id
}

func (c *Cluster) do(node *Server, args ...any) {
	c.t.Helper()
	err := node.client.Do(context.Background(), args...).Err()
	c.must(args[0].(string)+" at "+node.Addr(), err)
}

func (c *Cluster) must(what string, err error) {
	c.t.Helper()
	if err != nil {
		c.t.Fatalf("redistest: %s: %v", what, err)
	}
}

func (c *Cluster) await(what string, ok func() bool) { c.t.Helper(); await(c.t, what, ok) }

// await polls until ok, or fails t.
func await(t testing.TB, what string, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(patience); !ok(); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("redistest: not within %v: %s", patience, what)
		}
	}
}
