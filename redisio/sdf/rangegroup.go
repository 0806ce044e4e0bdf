package sdf

import (
	"context"
	"fmt"

	"github.com/apache/beam/sdks/v2/go/pkg/beam/register"

	"example.com/beamredis/redisio/internal/rdb"
	"example.com/beamredis/redisio/message"
)

func init() {
	register.DoFn3x1[context.Context, string, func(*string) bool, error](&AdvanceFn{})
	register.Iter1[string]()
}

// AdvanceFn moves the consumer group of a stream to the end of what was read of
// it. Its input, the ends of a stream's ranges behind a GroupByKey, comes when
// all of them are read and the runner has them for good.
type AdvanceFn struct {
	Config RangeConfig

	client *rdb.Client
}

// Setup connects to nothing yet.
func (fn *AdvanceFn) Setup() (err error) {
	fn.client, err = rdb.Open(fn.Config.Conn)
	return err
}

// ProcessElement moves the group of one stream.
func (fn *AdvanceFn) ProcessElement(ctx context.Context, stream string, ends func(*string) bool) error {
	last := message.EntryID{}
	for text := ""; ends(&text); {
		id, err := message.ParseEntryID(text)
		if err != nil {
			return fmt.Errorf("partition %s: %w", stream, err)
		}
		if last.Less(id) {
			last = id
		}
	}
	return fn.client.RetryFor(ctx, fn.Config.RetryFor, func(ctx context.Context) error {
		return fn.client.AdvanceGroup(ctx, stream, fn.Config.GroupAtEnd, last)
	})
}
