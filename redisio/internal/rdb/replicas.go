package rdb

import (
	"context"
	"fmt"
	"strconv"
	"strings"
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

const (
	// lookAtReplicas is how often replicas are looked at.
	lookAtReplicas = 50 * time.Millisecond
	// replicasTell is more than the second after which they tell the primary how far
	// they are, if WAIT does not have them asked.
	replicasTell = 2 * time.Second
)

// replicasFollow waits until replicas have all that node has now: WAIT is about
// what its own connection has written, and this is for what is there already.
func replicasFollow(ctx context.Context, node *redis.Client, r Replicas) error {
	end := time.NewTimer(r.Timeout + replicasTell)
	defer end.Stop()
	offset := int64(-1)
	for {
		now, acked, err := replication(ctx, node)
		if err != nil {
			return err
		}
		if offset < 0 {
			offset = now
		}
		got := 0
		for _, replica := range acked {
			if replica >= offset {
				got++
			}
		}
		if got >= r.Count {
			return nil
		}
		select {
		case <-time.After(lookAtReplicas):
		case <-end.C:
			return &ReplicasError{r.Count, got, r.Timeout}
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// replication reads how far a node has come, in bytes, and its replicas, as far as
// they have told.
func replication(ctx context.Context, node *redis.Client) (offset int64, acked []int64, err error) {
	text, err := node.Info(ctx, "replication").Result()
	if err != nil {
		return 0, nil, err
	}
	for line := range strings.Lines(text) {
		name, value, _ := strings.Cut(strings.TrimSpace(line), ":")
		switch {
		case name == "master_repl_offset":
			offset, err = strconv.ParseInt(value, 10, 64)
		case strings.HasPrefix(name, "slave") && strings.Contains(value, "state=online"):
			_, rest, _ := strings.Cut(value, "offset=")
			rest, _, _ = strings.Cut(rest, ",")
			var n int64
			n, err = strconv.ParseInt(rest, 10, 64)
			acked = append(acked, n)
		}
		if err != nil {
			return 0, nil, fmt.Errorf("INFO replication: line %q: %w", line, err)
		}
	}
	return offset, acked, nil
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
