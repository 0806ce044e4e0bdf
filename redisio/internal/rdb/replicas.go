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
// write returns an error, which only counts if it is a redirection.
func (c *Client) durably(ctx context.Context, key string, r Replicas, write func(pipelines) error) error {
	if r.Count == 0 {
		_ = write(c.raw()) // which follows redirections itself
		return nil
	}
	var to redirect
	for range maxRedirects {
		var moved bool
		var err error
		if to, moved, err = c.writeDurably(ctx, key, to, r, write); !moved {
			return err
		}
	}
	return nil // write has its own errors
}

func (c *Client) writeDurably(ctx context.Context, key string, to redirect, r Replicas, write func(pipelines) error) (next redirect, moved bool, err error) {
	c.willWait(r.Timeout)
	conn, from, err := c.connTo(ctx, key, to)
	if err != nil {
		return redirect{}, false, err
	}
	defer conn.Close()
	on := pipelines(conn)
	if to.ask {
		on = asking{conn, ctx}
	}
	if next, moved = redirectOf(write(on)); moved && c.IsCluster() {
		next.addr = addrFrom(from, next.addr)
		return next, true, nil
	}
	got, err := conn.Wait(ctx, r.Count, r.Timeout).Result()
	if err == nil && int(got) < r.Count {
		err = &ReplicasError{r.Count, int(got), r.Timeout}
	}
	return redirect{}, false, err
}

// asking is a connection to a node that is taking a slot over. It lets in what
// comes right behind ASKING: one command, or one transaction.
type asking struct {
	*redis.Conn
	ctx context.Context
}

// Pipeline is for one command.
func (a asking) Pipeline() redis.Pipeliner {
	pipe := a.Conn.Pipeline()
	_ = pipe.Process(a.ctx, redis.NewStatusCmd(a.ctx, "asking"))
	return pipe
}

// TxPipeline is for one transaction.
func (a asking) TxPipeline() redis.Pipeliner {
	// Where this fails, the transaction is refused, or has no connection.
	_ = a.Conn.Do(a.ctx, "asking").Err()
	return a.Conn.TxPipeline()
}
