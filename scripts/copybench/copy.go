package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/apache/beam/sdks/v2/go/pkg/beam"
	"github.com/apache/beam/sdks/v2/go/pkg/beam/x/beamx"
	"github.com/redis/go-redis/v9"
	"golang.org/x/sync/errgroup"

	"example.com/beamredis/redisio"
	"example.com/beamredis/redisio/topic"
)

const batch = 1000

func client() *redis.Client {
	return redis.NewClient(&redis.Options{Addr: *addr, Protocol: 3, PoolSize: 2 * *partitions})
}

func source(i int) string { return fmt.Sprintf("in:%d", i) }

func sink() string { return fmt.Sprintf("out-%s-%d", *child, *round) }

// load fills the source topic by key hash, four goroutines at a time.
func load(ctx context.Context) error {
	c := client()
	defer c.Close()
	filler := make([]byte, max(1, *size-60))
	for i := range filler {
		filler[i] = 'a' + byte(i%26)
	}
	var g errgroup.Group
	for part := range *partitions {
		g.Go(func() error {
			pipe := c.Pipeline()
			for i := range *entries {
				key := fmt.Sprintf("key-%d", i%10_007)
				if topic.IndexOf(topic.JavaHash(key), *partitions) != part {
					continue
				}
				pipe.XAdd(ctx, &redis.XAddArgs{Stream: source(part), Values: append([]any{"_key", key}, append(payload(i, filler), traceContext(i)...)...)})
				if pipe.Len() >= batch {
					if _, err := pipe.Exec(ctx); err != nil {
						return err
					}
				}
			}
			_, err := pipe.Exec(ctx)
			return err
		})
	}
	return g.Wait()
}

// payload is what entry i holds beside its key.
func payload(i int, filler []byte) []any {
	if *to == "json" {
		return []any{"data", fmt.Appendf(nil, `{"seq":%d,"customer":%d,"item":"%s"}`, i, i%5000, filler)}
	}
	return []any{"seq", i, "customer", i % 5000, "item", filler}
}

// copyRaw is what the plain client can do: one goroutine for each partition,
// XREADGROUP COUNT 1000, a pipeline of 1000 XADDs, one XACK.
func copyRaw(ctx context.Context) error {
	c := client()
	defer c.Close()
	var g errgroup.Group
	for part := range *partitions {
		g.Go(func() error { return copyPartition(ctx, c, part) })
	}
	if err := g.Wait(); err != nil {
		return err
	}
	return verify(ctx, c)
}

func copyPartition(ctx context.Context, c *redis.Client, part int) error {
	group := sink()
	if err := c.XGroupCreate(ctx, source(part), group, "0").Err(); err != nil {
		return err
	}
	out := outOf(part)
	ids := make([]string, 0, batch)
	for {
		got, err := c.XReadGroup(ctx, &redis.XReadGroupArgs{Group: group, Consumer: "raw", Streams: []string{source(part), ">"}, Count: batch, Block: -1}).Result()
		if errors.Is(err, redis.Nil) {
			return nil
		}
		if err != nil {
			return err
		}
		ids = ids[:0]
		for _, m := range got[0].Messages {
			ids = append(ids, m.ID)
		}
		if err := out(ctx, c, got[0].Messages); err != nil {
			return err
		}
		if err := c.XAck(ctx, source(part), group, ids...).Err(); err != nil {
			return err
		}
	}
}

// copyTraced has every write traced.
func copyTraced(ctx context.Context) error {
	return copyOnPrism(ctx, redisio.WithServiceName("copybench"), redisio.WithTracing(redisio.TraceAll, redisio.TraceMetadata))
}

func copyPlainly(ctx context.Context) error { return copyOnPrism(ctx) }

// copyOnce has every entry written once.
func copyOnce(ctx context.Context) error {
	return copyOnPrism(ctx, redisio.WithIdempotence("copybench"))
}

// outOf returns what the plain client does with the messages of a partition.
func outOf(part int) func(context.Context, *redis.Client, []redis.XMessage) error {
	return func(ctx context.Context, c *redis.Client, msgs []redis.XMessage) error {
		pipe := c.Pipeline()
		for _, m := range msgs {
			switch *to {
			case "json":
				setDocument(ctx, pipe, m, "json.set", "$", m.Values["data"])
			case "hash":
				setDocument(ctx, pipe, m, "hset", "seq", m.Values["seq"], "customer", m.Values["customer"], "item", m.Values["item"])
			case "values":
				if err := addValue(ctx, pipe, fmt.Sprintf("%s:%d", sink(), part), m); err != nil {
					return err
				}
			default:
				pipe.XAdd(ctx, &redis.XAddArgs{Stream: fmt.Sprintf("%s:%d", sink(), part), Values: m.Values})
			}
		}
		_, err := pipe.Exec(ctx)
		return err
	}
}

// copyOnPrism runs the library's Read and Write in one pipeline, in this
// process.
func copyOnPrism(ctx context.Context, opts ...redisio.WriteOption) error {
	conn, err := redisio.ParseURL("redis://" + *addr)
	if err != nil {
		return err
	}
	p, s := beam.NewPipelineWithRoot()
	msgs := redisio.Read(s, conn, redisio.Topic{Name: "in", Partitions: *partitions}, sink(),
		append(readOptions(), redisio.WithStart(redisio.StartEarliest()), redisio.WithStopAtLatest())...)
	switch *to {
	case "json":
		redisio.WriteJSON(s, conn, msgs, documentOptions()...)
	case "hash":
		redisio.WriteHash(s, conn, msgs, documentOptions()...)
	case "values":
		writeValues(s, conn, msgs)
	default:
		redisio.Write(s, conn, redisio.Topic{Name: sink(), Partitions: *partitions}, msgs, opts...)
	}
	if err := beamx.Run(ctx, p); err != nil {
		return err
	}
	if err := redisio.Drain(ctx); err != nil {
		return err
	}
	c := client()
	defer c.Close()
	return verify(ctx, c)
}

// verify checks that everything was copied and acknowledged, and makes room
// for the next round.
func verify(ctx context.Context, c *redis.Client) error {
	copied := int64(0)
	for part := range *partitions {
		out := fmt.Sprintf("%s:%d", sink(), part)
		n, err := c.XLen(ctx, out).Result()
		if err != nil {
			return err
		}
		copied += n
		pending, err := c.XPending(ctx, source(part), sink()).Result()
		if err != nil {
			return err
		}
		if pending.Count != 0 {
			return fmt.Errorf("partition %d: %d entries are pending", part, pending.Count)
		}
		c.XGroupDestroy(ctx, source(part), sink())
		c.Unlink(ctx, out)
	}
	if *to == "json" || *to == "hash" {
		n, err := removeDocuments(ctx, c)
		if err != nil {
			return err
		}
		copied = n
	}
	if copied != int64(*entries) {
		return fmt.Errorf("%d of %d entries were copied", copied, *entries)
	}
	return nil
}
