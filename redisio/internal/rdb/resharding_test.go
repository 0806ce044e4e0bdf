package rdb

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"example.com/beamredis/redisio/conn"
	"example.com/beamredis/redisio/internal/redistest"
	"example.com/beamredis/redisio/message"
)

// operation is one of the client's, on a stream or on what is to become a
// document.
type operation struct {
	name string
	run  func(ctx context.Context, c *Client, key string) error
	// onItsNode: it goes to the key's node and follows no redirection, so that
	// it has to be tried again.
	onItsNode bool
	// writes is how many entries it adds to the stream.
	writes int
}

const entriesBefore = 3

// streamOperations work on what [fillForOperations] made.
var streamOperations = []operation{
	{name: "fetch", run: func(ctx context.Context, c *Client, key string) error {
		f, err := c.Fetch(ctx, key, "g", "c", 10, false)
		return wantTrue(err, f.Group.Exists)
	}},
	{name: "state", run: func(ctx context.Context, c *Client, key string) error {
		st, err := c.State(ctx, key, "g")
		return wantTrue(err, st.Group.Exists && st.Stream.Exists)
	}},
	{name: "create group", run: func(ctx context.Context, c *Client, key string) error {
		_, err := c.CreateGroup(ctx, key, "other", "0")
		return err
	}},
	{name: "set group", run: func(ctx context.Context, c *Client, key string) error {
		return c.SetGroup(ctx, key, "g", eid(1, 0))
	}},
	{name: "acknowledge", run: func(ctx context.Context, c *Client, key string) error {
		_, err := c.Ack(ctx, key, "g", []message.EntryID{eid(1, 0)})
		return err
	}},
	{name: "pending", run: func(ctx context.Context, c *Client, key string) error {
		rows, err := c.Pending(ctx, key, "g", PendingQuery{To: message.MaxID, Count: 10})
		return wantTrue(err, len(rows) == 2)
	}},
	{name: "claim", run: func(ctx context.Context, c *Client, key string) error {
		got, _, err := c.Claim(ctx, key, "g", "d", 0, []message.EntryID{eid(2, 0)}, CountOne)
		return wantTrue(err, len(got) == 1)
	}},
	{name: "set deliveries", run: func(ctx context.Context, c *Client, key string) error {
		return c.SetDeliveries(ctx, key, "g", "d", []message.EntryID{eid(2, 0)}, 7)
	}},
	{name: "give back", run: func(ctx context.Context, c *Client, key string) error {
		_, err := c.GiveBack(ctx, key, "g", eid(2, 0), eid(1, 0), []message.EntryID{eid(2, 0)})
		return err
	}},
	{name: "incarnation", run: func(ctx context.Context, c *Client, key string) error {
		n, err := c.Incarnation(ctx, key, "g", false)
		return wantTrue(err, n != 0)
	}},
	{name: "range", run: func(ctx context.Context, c *Client, key string) error {
		got, _, err := c.Range(ctx, key, message.EntryID{}, message.MaxID, 10)
		return wantTrue(err, len(got) >= entriesBefore)
	}},
	{name: "wait", onItsNode: true, run: func(ctx context.Context, c *Client, key string) error {
		ready, _, err := c.WaitForEntries(ctx, []Position{{key, eid(1, 0)}}, 100*time.Millisecond)
		return wantTrue(err, len(ready) == 1)
	}},
	{name: "poll", onItsNode: true, run: func(ctx context.Context, c *Client, key string) error {
		ready, _, err := c.PollForEntries(ctx, []Position{{key, eid(1, 0)}}, 100*time.Millisecond)
		return wantTrue(err, len(ready) == 1)
	}},
	{name: "write", writes: 1, run: func(ctx context.Context, c *Client, key string) error {
		return NewAdder(c).Write(ctx, []Add{addOf(key, "n", "4")})[0]
	}},
	{name: "write and wait for replicas", writes: 1, run: func(ctx context.Context, c *Client, key string) error {
		a := NewAdder(c)
		a.Replicas = Replicas{1, 10 * time.Second}
		return a.Write(ctx, []Add{addOf(key, "n", "4")})[0]
	}},
}

// onceOperation writes to a stream whose companions all exist.
func onceOperation(replicas int) operation {
	return operation{name: fmt.Sprintf("write once, %d replicas", replicas), writes: 1, run: func(ctx context.Context, c *Client, key string) error {
		a := NewOnceAdder(c)
		if replicas > 0 {
			a.Replicas = Replicas{replicas, 10 * time.Second}
		}
		return a.Write(ctx, []OnceBatch{batchFor(key)})[0].Err
	}}
}

func batchFor(key string) OnceBatch {
	b := onceBatch("a member")
	b.Stream, b.Window, b.PrevWindow = key, CompanionKey(key, "w:"+key), CompanionKey(key, "b:"+key)
	return b
}

func wantTrue(err error, ok bool) error {
	if err == nil && !ok {
		return errors.New("no error, and a wrong result")
	}
	return err
}

// fillForOperations makes a stream with a group, two of whose entries are
// pending, and the companions of writing once.
func fillForOperations(t *testing.T, plain redis.UniversalClient, key string) {
	t.Helper()
	b := batchFor(key)
	do := func(args ...any) {
		t.Helper()
		if err := plain.Do(t.Context(), args...).Err(); err != nil {
			t.Fatal(err)
		}
	}
	for i := range entriesBefore {
		do("xadd", key, fmt.Sprint(i+1, "-0"), "n", i)
	}
	do("xgroup", "create", key, "g", "0")
	do("xreadgroup", "group", "g", "c", "count", 2, "streams", key, ">")
	do("sadd", b.Window, "another member")
	do("sadd", b.PrevWindow, "an older member")
}

// ownClient is a client of its own, which knows nothing yet.
func ownClient(t *testing.T, cfg conn.Config) *Client {
	t.Helper()
	c := &Client{cfg: cfg.WithDefaults()}
	t.Cleanup(func() { _ = c.close() })
	return c
}

// others returns a primary that does not have key.
func otherPrimary(c *redistest.Cluster, key string) *redistest.Server {
	owner := c.PrimaryOf(key)
	for _, tag := range []string{"a", "b", "c", "d", "e", "f", "g"} {
		if other := c.PrimaryOf(tag); other != owner {
			return other
		}
	}
	return nil
}

func TestEverythingFollowsASlotOnTheMove(t *testing.T) {
	c := redistest.StartCluster(t)
	for _, op := range append(streamOperations, onceOperation(0), onceOperation(1)) {
		for _, ended := range []bool{false, true} {
			name := fmt.Sprintf("%s, moved %v", op.name, ended)
			t.Run(name, func(t *testing.T) {
				key := strings.ReplaceAll(name, " ", "-")
				fillForOperations(t, c.Client(), key)
				client := ownClient(t, c.Config())
				if _, err := client.State(t.Context(), key, "g"); err != nil { // so that it knows the old node
					t.Fatal(err)
				}
				move := c.BeginMove(key, otherPrimary(c, key))
				move.Keys()
				if ended {
					move.End()
				}
				err := op.run(t.Context(), client, key)
				if op.onItsNode {
					if Classify(err) != Retryable {
						t.Errorf("error %v, want one that is worth another try", err)
					}
					if !ended {
						move.End()
					}
					err = client.Retry(t.Context(), func(ctx context.Context) error { return op.run(ctx, client, key) })
				} else if !ended {
					move.End()
				}
				if err != nil {
					t.Errorf("error %v", err)
				}
				if n := c.Client().XLen(t.Context(), key).Val(); int(n) != entriesBefore+op.writes {
					t.Errorf("the stream has %d entries, want %d", n, entriesBefore+op.writes)
				}
			})
		}
	}
}

// TestWritingOnceWaitsForTheEndOfAMove: a command for several keys, of which
// some do not exist, cannot be carried out on a slot that is on the move.
func TestWritingOnceWaitsForTheEndOfAMove(t *testing.T) {
	c := redistest.StartCluster(t)
	for _, replicas := range []int{0, 1} {
		key := fmt.Sprint("s-", replicas)
		client := ownClient(t, c.Config())
		op := onceOperation(replicas)
		if err := op.run(t.Context(), client, key); err != nil {
			t.Fatal(err)
		}
		move := c.BeginMove(key, otherPrimary(c, key))
		move.Keys()
		if err := op.run(t.Context(), client, key); Classify(err) != Retryable {
			t.Errorf("error %v, want one that is worth another try", err)
		}
		move.End()
		if err := client.Retry(t.Context(), func(ctx context.Context) error { return op.run(ctx, client, key) }); err != nil {
			t.Error(err)
		}
		if n := c.Client().XLen(t.Context(), key).Val(); n != 1 {
			t.Errorf("the stream has %d entries, want 1: they have the same member", n)
		}
	}
}

func TestDocumentsFollowASlotOnTheMove(t *testing.T) {
	c := redistest.StartCluster(t, redistest.JSON(t))
	for name, write := range map[string]func(c *Client) *DocumentWriter{
		"hash":            func(c *Client) *DocumentWriter { return NewHashWriter(c, 0, false) },
		"hash with a TTL": func(c *Client) *DocumentWriter { return NewHashWriter(c, time.Hour, false) },
		"replaced hash":   func(c *Client) *DocumentWriter { return NewHashWriter(c, time.Hour, true) },
		"JSON":            func(c *Client) *DocumentWriter { return NewJSONWriter(c, "$", 0) },
		"JSON with a TTL": func(c *Client) *DocumentWriter { return NewJSONWriter(c, "$", time.Hour) },
	} {
		for _, there := range []bool{false, true} {
			for _, ended := range []bool{false, true} {
				t.Run(fmt.Sprintf("%s, there %v, moved %v", name, there, ended), func(t *testing.T) {
					key := strings.ReplaceAll(t.Name(), " ", "-")
					doc := func(n string) Document {
						return Document{Key: key, JSON: `{"n":` + n + `}`, Fields: []message.Field{{Name: "n", Value: n}}}
					}
					w := write(ownClient(t, c.Config()))
					first := doc("1")
					if !there {
						first.Key = "another " + key
					}
					mustWrite(t, w, first)
					move := c.BeginMove(key, otherPrimary(c, key))
					move.Keys()
					if ended {
						move.End()
					}
					mustWrite(t, w, doc("2"), doc("3"))
					if !ended {
						move.Keys()
						move.End()
					}
					if got := contentOf(t, c.Client(), key); got != "3" {
						t.Errorf("document %q, want 3", got)
					}
				})
			}
		}
	}
}

// contentOf returns field n of a hash or a JSON document.
func contentOf(t *testing.T, plain redis.UniversalClient, key string) string {
	t.Helper()
	get := []any{"hget", key, "n"}
	if plain.Type(t.Context(), key).Val() != "hash" {
		get = []any{"json.get", key, "n"}
	}
	text, err := plain.Do(t.Context(), get...).Text()
	if err != nil {
		t.Fatal(err)
	}
	return text
}
