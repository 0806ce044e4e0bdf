package integration_test

import (
	"context"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"example.com/beamredis/redisio"
	"example.com/beamredis/redisio/internal/redistest"
)

// cluster is a cluster of three primaries with a replica each.
type cluster struct {
	*replicated
	*redistest.Cluster
}

func startCluster(t *testing.T, opts ...redistest.Option) *cluster {
	t.Helper()
	showWarnings(t)
	c := redistest.StartCluster(t, opts...)
	s := &server{t: t, cfg: c.Config(), client: c.Client()}
	return &cluster{Cluster: c, replicated: &replicated{server: s, replicas: 1, primary: func(ctx context.Context, key string) (*redis.Client, error) {
		c.Client().ReloadState(ctx)
		return c.Client().MasterForKey(ctx, key)
	}}}
}

// wantSpread fails the test unless the topic has streams on several nodes.
func (c *cluster) wantSpread(topic redisio.Topic) {
	c.t.Helper()
	nodes := map[*redistest.Server]bool{}
	for _, p := range topic.Parts() {
		nodes[c.PrimaryOf(p.Stream)] = true
	}
	if len(nodes) < 2 {
		c.t.Fatalf("all of topic %s is on one node: this test proves nothing", topic.Name)
	}
}

// gather moves the slot of one of the topic's streams, that is elsewhere, to a node.
func (c *cluster) gather(topic redisio.Topic, to *redistest.Server) {
	c.t.Helper()
	for _, p := range topic.Parts() {
		if c.PrimaryOf(p.Stream) != to {
			c.MoveSlot(p.Stream, to)
			return
		}
	}
	c.t.Fatalf("all of topic %s is on one node: this test proves nothing", topic.Name)
}

func TestCopyOnAClusterIsExact(t *testing.T) {
	n := sized(20_000, 500_000)
	c := startCluster(t)
	c.load(in, 0, n, entryOf)
	c.wantSpread(in)
	untilCaughtUp(c.server).mustRun(t)
	c.wantSpread(out)
	c.wantExactlyOnce(c.arrived(out), n)
	c.wantCaughtUp(in, group)
}

// TestCopyOnAClusterLosesNothingThatIsReplicated: while producers and the copy
// go on, slots move to a node, and that node dies.
func TestCopyOnAClusterLosesNothingThatIsReplicated(t *testing.T) {
	for name, spec := range map[string]childSpec{"at least once": {}, "once": {Once: "copy"}} {
		t.Run(name, func(t *testing.T) {
			c := startCluster(t)
			c.wantSpread(in)
			copy := c.copyBeside(spec)
			copy.reach(sized(4_000, 150_000))
			faults := time.Now()
			node := c.PrimaryOf(in.Parts()[0].Stream)
			c.gather(in, node)
			c.gather(out, node)
			copy.reach(sized(4_000, 100_000))
			died := time.Now()
			node.Kill()
			c.AwaitPrimaryOf(in.Parts()[0].Stream, node)
			t.Logf("the replica took over after %v", time.Since(died).Round(time.Millisecond))
			node.Restart()
			c.AwaitHealthy()
			well := time.Now()
			copy.reach(sized(4_000, 250_000))
			acked := copy.finish()
			copy.wantRecovery(faults, well)

			all := c.arrived(out)
			all.wantAll(t, acked)
			if spec.Once != "" {
				all.wantNoneTwice(t)
			}
		})
	}
}
