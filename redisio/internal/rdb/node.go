package rdb

import (
	"context"
	"fmt"
	"net"
	"strings"

	"github.com/redis/go-redis/v9"

	"example.com/beamredis/redisio/conn"
)

// IsCluster reports whether the deployment is a cluster, whose keys can be on
// different nodes.
func (c *Client) IsCluster() bool { return c.cfg.Mode == conn.Cluster }

// PoolSize is the most connections that the client makes, on a cluster to one
// node.
func (c *Client) PoolSize() int { return c.cfg.PoolSize }

// node returns the client of the primary that has key, for what has to happen
// on one node although it has no key. It does not follow MOVED; whoever tries
// again gets the new node.
func (c *Client) node(ctx context.Context, key string) (*redis.Client, error) {
	switch raw := c.raw().(type) {
	case *redis.Client:
		return raw, nil
	case *redis.ClusterClient:
		node, err := raw.MasterForKey(ctx, key)
		if err != nil { // which has not passed the hook that shows it
			return nil, fmt.Errorf("find the node of %s: %w", key, shown(err))
		}
		return node, nil
	}
	return nil, fmt.Errorf("a %T has no nodes", c.raw())
}

// pipelineTo returns a pipeline whose commands without a key go to the node of
// key, too: a cluster's own sends them anywhere.
func (c *Client) pipelineTo(ctx context.Context, key string) (redis.Pipeliner, error) {
	node, err := c.node(ctx, key)
	if err != nil {
		return nil, err
	}
	return node.Pipeline(), nil
}

// NodeOf returns the address of the cluster's node that has key, as far as is
// known. Elsewhere there is one node, named "".
func (c *Client) NodeOf(ctx context.Context, key string) (string, error) {
	if !c.IsCluster() {
		return "", nil
	}
	node, err := c.node(ctx, key)
	if err != nil {
		return "", err
	}
	return node.Options().Addr, nil
}

// maxRedirects is how often MOVED and ASK are followed in a row, as go-redis
// does by default.
const maxRedirects = 3

// redirect is where a node sends its client.
type redirect struct {
	addr string
	ask  bool // only this time, and only what comes behind ASKING
}

// redirectOf reads MOVED and ASK, "MOVED 3999 host:port".
func redirectOf(err error) (r redirect, ok bool) {
	text, isReply := reply(err)
	if !isReply {
		return redirect{}, false
	}
	words := strings.Fields(strings.TrimPrefix(text, abortReason))
	if len(words) != 3 || words[0] != "MOVED" && words[0] != "ASK" {
		return redirect{}, false
	}
	return redirect{addr: words[2], ask: words[0] == "ASK"}, true
}

// connTo returns a connection to the node that has key, or to the one that to
// names, and the node's address. Close gives it back.
func (c *Client) connTo(ctx context.Context, key string, to redirect) (conn *redis.Conn, addr string, err error) {
	node, err := c.node(ctx, key)
	if err != nil {
		return nil, "", err
	}
	if to.addr != "" && to.addr != node.Options().Addr {
		if node, err = c.nodeAt(ctx, to.addr); err != nil {
			return nil, "", err
		}
	}
	return node.Conn(), node.Options().Addr, nil
}

// nodeAt returns the client of the primary at addr, which the cluster's map may
// not show yet.
func (c *Client) nodeAt(ctx context.Context, addr string) (node *redis.Client, err error) {
	cluster, ok := c.raw().(*redis.ClusterClient)
	if !ok {
		return nil, fmt.Errorf("a %T has no nodes", c.raw())
	}
	found := make(chan *redis.Client, 1)
	err = cluster.ForEachMaster(ctx, func(_ context.Context, master *redis.Client) error {
		if master.Options().Addr == addr {
			found <- master
		}
		return nil
	})
	select {
	case node = <-found:
		return node, nil
	default:
		if err != nil {
			return nil, shown(err)
		}
		return c.connections().strays.at(addr, c.cfg, c.longestCommand), nil
	}
}

// addrFrom is the address that a redirection by the node at from names. As
// go-redis has it, an IPv6 address comes without brackets, no host means that of
// the node itself, and so does one that counts on the node's machine only.
func addrFrom(from, to string) string {
	colon := strings.LastIndexByte(to, ':')
	if colon < 0 {
		return to
	}
	host, port := strings.Trim(to[:colon], "[]"), to[colon+1:]
	if own, _, err := net.SplitHostPort(from); err == nil && (host == "" || isLoopback(host) && !isLoopback(own)) {
		host = own
	}
	return net.JoinHostPort(host, port)
}

func isLoopback(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}
