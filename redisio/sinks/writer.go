package sinks

import (
	"context"
	"errors"
	"iter"

	"github.com/apache/beam/sdks/v2/go/pkg/beam"

	"example.com/beamredis/redisio/internal/rdb"
	"example.com/beamredis/redisio/message"
)

// Writer adds messages to the streams of a topic outside a pipeline, with the
// batches and retries of [WriteFn].
type Writer struct{ fn *WriteFn }

// OpenWriter checks cfg and what it refers to: that the server lets us in, and
// that no stream key of the topic holds something else. Its error names all
// that is wrong.
func OpenWriter(ctx context.Context, cfg WriteConfig) (*Writer, error) {
	if err := errors.Join(cfg.Topic.Validate(), cfg.Batch.Validate()); err != nil {
		return nil, err
	}
	fn := &WriteFn{WriteConfig: cfg}
	if err := fn.Setup(); err != nil {
		return nil, err
	}
	client, err := rdb.Open(cfg.Conn)
	if err != nil {
		return nil, err
	}
	if _, err := client.Preflight(ctx, fn.route.streams...); err != nil {
		return nil, err
	}
	return &Writer{fn}, nil
}

// WriteAll adds msgs in order and returns when all are written; its error says
// what was not. One call runs at a time.
func (w *Writer) WriteAll(ctx context.Context, msgs iter.Seq[message.Message]) error {
	defer w.fn.Teardown()
	if err := w.fn.StartBundle(ctx, nil, nil); err != nil {
		return err
	}
	for m := range msgs {
		if err := w.fn.ProcessElement(ctx, 0, m, nobody, nobodyElse); err != nil {
			return err
		}
	}
	return w.fn.FinishBundle(ctx, nobody, nobodyElse)
}

// nobody takes no dead letters: none is collected.
func nobody(beam.EventTime, message.DeadLetter) {}

func nobodyElse(beam.EventTime, message.Message) {}

// Written returns how many entries have been written so far. It may be called
// at any time.
func (w *Writer) Written() (n int64) {
	for _, l := range w.fn.lanes {
		n += l.delivery.written.Load()
	}
	return n
}
