package rdb

import (
	"context"
	"fmt"
	"time"

	"github.com/redis/go-redis/v9"
)

// Replicas is how many replicas must have what was written before it counts;
// the zero value: none.
type Replicas struct {
	Count   int
	Timeout time.Duration
}

// ReplicasError says that what was written is not on enough replicas.
type ReplicasError struct {
	Want, Got int
	Timeout   time.Duration
}

func (e *ReplicasError) Error() string {
	return fmt.Sprintf("written, but only %d of %d replicas have it after %v: are they connected, and fast enough?", e.Got, e.Want, e.Timeout)
}

// pipelines is what a client and a single connection have in common.
type pipelines interface {
	Pipeline() redis.Pipeliner
	TxPipeline() redis.Pipeliner
}

// durably runs write, and then waits for replicas. WAIT is about what its own
// connection has written, so that both have the same one: to the node of key.
func (c *Client) durably(ctx context.Context, key string, r Replicas, write func(pipelines)) error {
	if r.Count == 0 {
		write(c.raw)
		return nil
	}
	conn, err := c.connTo(ctx, key)
	if err != nil {
		return err
	}
	defer conn.Close()
	write(conn)
	got, err := conn.Wait(ctx, r.Count, r.Timeout).Result()
	switch {
	case err != nil:
		return err
	case int(got) < r.Count:
		return &ReplicasError{r.Count, int(got), r.Timeout}
	}
	return nil
}

// connTo returns a connection to the node that has key. Close gives it back.
func (c *Client) connTo(ctx context.Context, key string) (*redis.Conn, error) {
	switch raw := c.raw.(type) {
	case *redis.Client:
		return raw.Conn(), nil
	case *redis.ClusterClient:
		node, err := raw.MasterForKey(ctx, key)
		if err != nil {
			return nil, err
		}
		return node.Conn(), nil
	}
	return nil, fmt.Errorf("a %T gives no connection of its own", c.raw)
}

// perNode reports whether keys can be on different nodes.
func (c *Client) perNode() bool {
	_, ok := c.raw.(*redis.ClusterClient)
	return ok
}
