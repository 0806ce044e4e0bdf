package sdf

import (
	"context"
	"sync"

	"example.com/beamredis/redisio/internal/rdb"
)

// clusterRounds splits rounds of waiting on a cluster, where a command can only
// wait for streams of one slot: a partition has a blocking XREAD of its own, and
// with it a connection, as long as its node has fewer than mostBlocked of them
// from this process. The others of a node are polled, each one every 10 to
// 80 ms.
type clusterRounds struct {
	nodeOf      func(context.Context, string) (string, error)
	block, poll waitFunc
	mostBlocked int

	mu      sync.Mutex
	blocked map[string]int // by node
}

// newClusterRounds returns nil for a deployment that is no cluster. Half of a
// node's connections are left to other commands.
func newClusterRounds(c *rdb.Client) *clusterRounds {
	if !c.IsCluster() {
		return nil
	}
	return &clusterRounds{
		nodeOf: c.NodeOf, block: c.WaitForEntries, poll: c.PollForEntries,
		mostBlocked: max(1, c.PoolSize()/2), blocked: map[string]int{},
	}
}

// clusterRound is one command's share of a round.
type clusterRound struct {
	waitFor waitFunc
	at      []rdb.Position
	covered []*spot
	node    string
	blocks  bool // and so occupies a connection to node
}

// split returns the rounds that cover all partitions. Each has to be handed to
// done in the end.
func (r *clusterRounds) split(ctx context.Context, at []rdb.Position, covered []*spot) (rounds []*clusterRound) {
	nodes := make([]string, len(at))
	for i := range at {
		// Where the node is not known the wait itself meets the reason.
		nodes[i], _ = r.nodeOf(ctx, at[i].Stream)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	polled := map[string]*clusterRound{}
	for i, node := range nodes {
		if r.blocked[node] < r.mostBlocked {
			r.blocked[node]++
			rounds = append(rounds, &clusterRound{r.block, at[i : i+1], covered[i : i+1], node, true})
			continue
		}
		round := polled[node]
		if round == nil {
			round = &clusterRound{waitFor: r.poll, node: node}
			polled[node] = round
			rounds = append(rounds, round)
		}
		round.at, round.covered = append(round.at, at[i]), append(round.covered, covered[i])
	}
	return rounds
}

// done gives back the connection of a round.
func (r *clusterRounds) done(round *clusterRound) {
	if !round.blocks {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.blocked[round.node]--; r.blocked[round.node] == 0 {
		delete(r.blocked, round.node)
	}
}
