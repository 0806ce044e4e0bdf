package main

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"sync/atomic"

	"github.com/apache/beam/sdks/v2/go/pkg/beam"
	"github.com/apache/beam/sdks/v2/go/pkg/beam/register"
	"github.com/apache/beam/sdks/v2/go/pkg/beam/x/beamx"
	"github.com/redis/go-redis/v9"
	"golang.org/x/sync/errgroup"

	"example.com/beamredis/redisio"
)

func init() { register.DoFn1x0[redisio.Message](&countFn{}) }

// counted is how many messages came through the countFns of this process.
var counted atomic.Int64

// countFn counts messages.
type countFn struct{ n int64 }

// ProcessElement counts one.
func (fn *countFn) ProcessElement(redisio.Message) { fn.n++ }

// FinishBundle adds the bundle's number to the process's.
func (fn *countFn) FinishBundle() {
	counted.Add(fn.n)
	fn.n = 0
}

const rangeGoroutines = 4

// readRaw is an XRANGE loop of one goroutine.
func readRaw(ctx context.Context) error {
	c := client()
	defer c.Close()
	n, err := readBetween(ctx, c, "-", "+")
	return wantAll(n, err)
}

// readRaw4 is one loop each for parts of the stream of equal times: the load was
// even, and so are the parts.
func readRaw4(ctx context.Context) error {
	c := client()
	defer c.Close()
	from, to, err := times(ctx, c)
	if err != nil {
		return err
	}
	var g errgroup.Group
	var n atomic.Int64
	for i := range uint64(rangeGoroutines) {
		g.Go(func() error {
			first, last := from+(to-from)*i/rangeGoroutines, from+(to-from)*(i+1)/rangeGoroutines
			part, err := readBetween(ctx, c, fmt.Sprint(first), fmt.Sprint(last-1))
			n.Add(part)
			return err
		})
	}
	err = g.Wait()
	return wantAll(n.Load(), err)
}

// times are those of the first entry, and of just after the last one.
func times(ctx context.Context, c *redis.Client) (from, to uint64, err error) {
	info, err := c.XInfoStream(ctx, source(0)).Result()
	if err != nil {
		return 0, 0, err
	}
	ms := func(id string) uint64 {
		text, _, _ := strings.Cut(id, "-")
		n, _ := strconv.ParseUint(text, 10, 64) // the server's own
		return n
	}
	return ms(info.FirstEntry.ID), ms(info.LastEntry.ID) + 1, nil
}

func readBetween(ctx context.Context, c *redis.Client, from, to string) (n int64, err error) {
	for {
		page, err := c.XRangeN(ctx, source(0), from, to, batch).Result()
		if err != nil {
			return n, err
		}
		n += int64(len(page))
		if len(page) < batch {
			return n, nil
		}
		from = "(" + page[len(page)-1].ID
	}
}

// readOrdered is ReadRange without splitting.
func readOrdered(ctx context.Context) error { return readOnPrism(ctx, redisio.WithOrder()) }

// readSplit is ReadRange as it is.
func readSplit(ctx context.Context) error { return readOnPrism(ctx) }

func readOnPrism(ctx context.Context, opts ...redisio.RangeOption) error {
	conn, err := redisio.ParseURL("redis://" + *addr)
	if err != nil {
		return err
	}
	p, s := beam.NewPipelineWithRoot()
	msgs := redisio.ReadRange(s, conn, redisio.Topic{Name: "in", Partitions: 1}, redisio.Earliest(), redisio.Latest(), opts...)
	beam.ParDo0(s, &countFn{}, msgs)
	err = beamx.Run(ctx, p)
	return wantAll(counted.Load(), err)
}

func wantAll(n int64, err error) error {
	if err == nil && n != int64(*entries) {
		err = fmt.Errorf("%d of %d entries were read", n, *entries)
	}
	return err
}
