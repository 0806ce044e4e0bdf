package rdb

import (
	"context"
	"sync"

	"github.com/redis/go-redis/v9"
)

// pipelined sends cmds, each about the key of its index alone, and leaves each
// with its own reply or error.
//
// On a cluster that is one pipeline for each node, all at once, sent by the
// nodes' own clients: the cluster's client sends all commands of a node again
// where the first of them, or the connection, met an error, so that some would
// be carried out twice. What another node is to have (MOVED, ASK) is sent there,
// once. Commands of one key stay in order.
func pipelined(ctx context.Context, on pipelines, cmds []redis.Cmder, key func(i int) string) {
	if len(cmds) == 0 {
		return
	}
	cluster, ok := on.(*redis.ClusterClient)
	if !ok {
		execute(ctx, on.Pipeline(), cmds)
		return
	}
	nodes, err := byNode(ctx, cluster, cmds, key)
	if err != nil {
		setErrors(cmds, err)
		return
	}
	executeAll(ctx, nodes)
	if moved := redirected(ctx, cluster, cmds); len(moved) > 0 {
		executeAll(ctx, moved)
	}
	if anyAstray(cmds) {
		cluster.ReloadState(ctx)
	}
}

// execute sends cmds in one pipeline.
func execute(ctx context.Context, pipe redis.Pipeliner, cmds []redis.Cmder) {
	if err := pipe.BatchProcess(ctx, cmds...); err != nil {
		setErrors(cmds, err)
		return
	}
	// Exec's own error is that of a command, or of all of them.
	if _, err := pipe.Exec(ctx); err != nil {
		_ = mendCommands(cmds, err)
	}
}

func setErrors(cmds []redis.Cmder, err error) {
	for _, cmd := range cmds {
		cmd.SetErr(err)
	}
}

// share is what one node of a cluster gets of a batch.
type share struct {
	node *redis.Client
	cmds []redis.Cmder
}

func executeAll(ctx context.Context, shares []*share) {
	var all sync.WaitGroup
	for _, s := range shares {
		all.Go(func() { execute(ctx, s.node.Pipeline(), s.cmds) })
	}
	all.Wait()
}

// sharesOf collects the shares of nodes in the order in which they come.
type sharesOf struct {
	shares []*share
	of     map[*redis.Client]*share
}

func (s *sharesOf) add(node *redis.Client, cmds ...redis.Cmder) {
	if s.of == nil {
		s.of = make(map[*redis.Client]*share)
	}
	its := s.of[node]
	if its == nil {
		its = &share{node: node}
		s.of[node] = its
		s.shares = append(s.shares, its)
	}
	its.cmds = append(its.cmds, cmds...)
}

// byNode divides cmds among the nodes that have their keys, as far as is known.
func byNode(ctx context.Context, cluster *redis.ClusterClient, cmds []redis.Cmder, key func(i int) string) ([]*share, error) {
	var nodes sharesOf
	for i, cmd := range cmds {
		node, err := cluster.MasterForKey(ctx, key(i))
		if err != nil {
			return nil, err
		}
		nodes.add(node, cmd)
	}
	return nodes.shares, nil
}

// redirected divides those of cmds that another node is to have, and takes
// their errors away. A node that the client does not know gets nothing: its
// commands keep their errors, which are retryable.
func redirected(ctx context.Context, cluster *redis.ClusterClient, cmds []redis.Cmder) []*share {
	var nodes sharesOf
	var known map[string]*redis.Client
	for _, cmd := range cmds {
		addr, ask := redis.IsAskError(cmd.Err())
		if !ask {
			moved := false
			if addr, moved = redis.IsMovedError(cmd.Err()); !moved {
				continue
			}
		}
		if known == nil {
			known = nodesByAddr(ctx, cluster)
		}
		node := known[addr]
		if node == nil {
			continue
		}
		cmd.SetErr(nil)
		if ask {
			nodes.add(node, redis.NewStatusCmd(ctx, "asking"))
		}
		nodes.add(node, cmd)
	}
	return nodes.shares
}

// nodesByAddr asks the cluster for its nodes.
func nodesByAddr(ctx context.Context, cluster *redis.ClusterClient) map[string]*redis.Client {
	var mu sync.Mutex
	nodes := make(map[string]*redis.Client)
	// Without a state no node is known.
	_ = cluster.ForEachShard(ctx, func(_ context.Context, node *redis.Client) error {
		mu.Lock()
		defer mu.Unlock()
		nodes[node.Options().Addr] = node
		return nil
	})
	return nodes
}

// anyAstray reports whether a command met what a change of the cluster may be
// the reason for.
func anyAstray(cmds []redis.Cmder) bool {
	for _, cmd := range cmds {
		if err := cmd.Err(); err != nil && !isOutOfMemory(err) && Classify(err) == Retryable {
			return true
		}
	}
	return false
}
