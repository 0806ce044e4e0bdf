package rdb

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"

	"example.com/beamredis/redisio/conn"
	"example.com/beamredis/redisio/internal/logs"
	"example.com/beamredis/redisio/message"
)

// avoidReplicas is for how long replicas are left alone after one has failed:
// one that hangs costs its caller the timeout of a read.
const avoidReplicas = 10 * time.Second

// replicaConns are connections to replicas, made when they are first needed.
type replicaConns struct {
	mu     sync.Mutex
	conns  *connections
	failed time.Time // zero: never
}

func (r *replicaConns) usable() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.failed.IsZero() || time.Since(r.failed) > avoidReplicas
}

// avoid leaves replicas alone for a while; first tells that it never did before.
func (r *replicaConns) avoid() (first bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	first = r.failed.IsZero()
	r.failed = time.Now()
	return first
}

func (r *replicaConns) get(make func() *connections) redis.UniversalClient {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.conns != nil {
		return r.conns.UniversalClient
	}
	conns := make()
	if !conns.useless {
		r.conns = conns
	}
	return conns.UniversalClient
}

// drop forgets connections that others are to take the place of.
func (r *replicaConns) drop(conns *connections) (was bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if was = r.conns == conns; was {
		r.conns = nil
	}
	return was
}

func (r *replicaConns) close() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	conns := r.conns
	if r.conns = nil; conns == nil {
		return nil
	}
	return conns.Close()
}

// noReplica names the rights, of whose lack the client for sentinels makes an
// error that does not.
const noReplica = "replicas cannot be read, and the primary is read in their place; " +
	"if they are well, check the rights: +readonly on a cluster, +sentinel|replicas for the user of the sentinels"

// Reached is how far a stream has come: its last entry, or an earlier one, and
// how many had been added to it by then ([Unknown]: the server does not count).
type Reached struct {
	Last  message.EntryID
	Added int64
}

// by reports whether a stream has come as far.
func (r Reached) by(st StreamState) bool {
	return !st.LastGenerated.Less(r.Last) && (st.EntriesAdded == Unknown || st.EntriesAdded >= r.Added)
}

// PageFromReplica is [Client.RangePage], which a replica answers if the
// configuration allows it and the replica has come as far as the stream had; to
// is not behind that. In all other cases (it lags, it fails, there is none) the
// primary answers, so that a stream which has not come as far is that at the
// primary.
func (c *Client) PageFromReplica(ctx context.Context, stream string, after, to message.EntryID, far Reached, count int) (Page, error) {
	if c.cfg.ReadFromReplicas && after != message.MaxID && c.replicas.usable() {
		p, err := c.replicaPage(ctx, stream, after, to, count)
		if err == nil && far.by(p.State) {
			return p, nil
		}
		if err != nil && ctx.Err() == nil {
			level := slog.LevelDebug
			if c.replicas.avoid() {
				level = slog.LevelWarn
			}
			logs.Log.With("address", c.cfg.Addr).Log(ctx, level, noReplica, "stream", stream, "error", c.Explained(err))
		}
	}
	return c.RangePage(ctx, stream, after, to, count)
}

func (c *Client) replicaPage(ctx context.Context, stream string, after, to message.EntryID, count int) (Page, error) {
	replica, err := c.replicaOf(ctx, stream)
	if err != nil {
		return Page{}, err
	}
	return rangePage(ctx, replica.TxPipeline(), stream, after, to, count)
}

// replicaOf returns the client of a replica of the node that has key. Where
// there is none it is the primary's.
func (c *Client) replicaOf(ctx context.Context, key string) (*redis.Client, error) {
	c.raw() // which looks after the end of both
	switch conns := c.replicas.get(c.connectReplicas).(type) {
	case *redis.Client:
		return conns, nil
	case *redis.ClusterClient:
		replica, err := conns.SlaveForKey(ctx, key)
		if err != nil {
			return nil, fmt.Errorf("find a replica of %s: %w", key, err)
		}
		return replica, nil
	}
	return nil, fmt.Errorf("%v has no replicas", c)
}

func (c *Client) connectReplicas() *connections {
	opts := options(c.cfg)
	opts.ReadOnly = true
	if c.cfg.Mode == conn.Sentinel {
		return connectBySentinels(c.cfg, opts, func(before *connections) {
			if c.replicas.drop(before) {
				c.closeLater(before)
			}
		})
	}
	cluster := redis.NewClusterClient(clusterOptions(opts))
	cluster.OnNewNode(func(node *redis.Client) {
		node.AddHook(honestErrors{cluster: true})
		node.AddHook(rawErrors{})
	})
	return &connections{UniversalClient: cluster}
}
