package sinks

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/apache/beam/sdks/v2/go/pkg/beam"
	"github.com/redis/go-redis/v9"

	"example.com/beamredis/redisio/internal/redistest"
	"example.com/beamredis/redisio/message"
	"example.com/beamredis/redisio/topic"
)

// benchBundle is the number of messages of one measured bundle: ten batches.
const benchBundle = 10 * DefaultMaxCount

// benchMessages have about 130 bytes each.
func benchMessages() []message.Message {
	msgs := make([]message.Message, benchBundle)
	for i := range msgs {
		msgs[i] = message.Message{Key: fmt.Sprintf("key-%d", i%1000)}
		for f := range 4 {
			msgs[i].Fields = append(msgs[i].Fields, message.Field{Name: fmt.Sprintf("field-%d", f), Value: strings.Repeat("x", 20)})
		}
	}
	return msgs
}

// BenchmarkWriteFnAgainstRawLoop prints how the sink compares with the plain
// client loop: ratio 1 is as fast, higher is faster. The rounds alternate, so
// that both meet the same machine.
func BenchmarkWriteFnAgainstRawLoop(b *testing.B) {
	server := redistest.Start(b)
	msgs := benchMessages()
	out := topic.Topic{Name: "out", Partitions: 4}
	fn := &WriteFn{WriteConfig: WriteConfig{Conn: server.Config(), Topic: out, KeyField: DefaultKeyField}}
	if err := fn.Setup(); err != nil {
		b.Fatal(err)
	}
	var sink, raw stopwatch
	b.ReportAllocs()
	for b.Loop() {
		sink.time(b, func() { writeBundle(b, fn, msgs) })
		raw.time(b, func() { rawLoop(b, server.Client(), out, msgs) })
		if err := server.Client().FlushAll(b.Context()).Err(); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(raw.total)/float64(sink.total), "ratio")
	b.ReportMetric(sink.rate(b.N*benchBundle), "sink-msgs/s")
	b.ReportMetric(raw.rate(b.N*benchBundle), "raw-msgs/s")
}

// BenchmarkOnceAgainstPlain prints how writing once compares with writing at
// least once, for messages in order and for those that a window remembers.
func BenchmarkOnceAgainstPlain(b *testing.B) {
	for name, order := range map[string]message.Order{"in order": message.Ordered, "by window": message.Unordered} {
		b.Run(name, func(b *testing.B) {
			server := redistest.Start(b)
			msgs := benchMessages()
			cfg := WriteConfig{Conn: server.Config(), Topic: topic.Topic{Name: "out", Partitions: 4}, KeyField: DefaultKeyField}
			plain, once := &WriteFn{WriteConfig: cfg}, &WriteFn{WriteConfig: cfg}
			once.Once = &OnceOptions{Name: "bench"}
			if err := errors.Join(plain.Setup(), once.Setup()); err != nil {
				b.Fatal(err)
			}
			var plainly, ordered stopwatch
			next := uint64(0)
			for b.Loop() {
				for i := range msgs {
					next++
					msgs[i].Stream, msgs[i].ID, msgs[i].Origin = "in:0", message.EntryID{Ms: next}, message.NewOrigin(1, message.EntryID{}, order)
				}
				plainly.time(b, func() { writeBundle(b, plain, msgs) })
				ordered.time(b, func() { writeBundle(b, once, msgs) })
				if err := server.Client().Del(b.Context(), "out:0", "out:1", "out:2", "out:3").Err(); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(plainly.total)/float64(ordered.total), "ratio")
			b.ReportMetric(ordered.rate(b.N*benchBundle), "once-msgs/s")
			b.ReportMetric(plainly.rate(b.N*benchBundle), "plain-msgs/s")
		})
	}
}

// BenchmarkWriteFn shows the sink's own allocations.
func BenchmarkWriteFn(b *testing.B) {
	server := redistest.Start(b)
	msgs := benchMessages()
	fn := &WriteFn{WriteConfig: WriteConfig{Conn: server.Config(), Topic: topic.Topic{Name: "out", Partitions: 4}, KeyField: DefaultKeyField}}
	if err := fn.Setup(); err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		writeBundle(b, fn, msgs)
	}
}

func writeBundle(b *testing.B, fn *WriteFn, msgs []message.Message) {
	ctx := b.Context()
	emit := func(_ beam.EventTime, d message.DeadLetter) { b.Fatal(d.Reason) }
	if err := fn.StartBundle(ctx, emit, nobodyElse); err != nil {
		b.Fatal(err)
	}
	for i := range msgs {
		if err := fn.ProcessElement(ctx, 0, msgs[i], emit, nobodyElse); err != nil {
			b.Fatal(err)
		}
	}
	if err := fn.FinishBundle(ctx, emit, nobodyElse); err != nil {
		b.Fatal(err)
	}
}

// rawLoop is what one writes without this package: pipelines of 1000 XADDs.
func rawLoop(b *testing.B, c *redis.Client, out topic.Topic, msgs []message.Message) {
	ctx := context.Background()
	for start := 0; start < len(msgs); start += DefaultMaxCount {
		pipe := c.Pipeline()
		for i := range msgs[start : start+DefaultMaxCount] {
			m := &msgs[start+i]
			values := make([]any, 0, 2*len(m.Fields)+2)
			values = append(values, DefaultKeyField, m.Key)
			for _, f := range m.Fields {
				values = append(values, f.Name, f.Value)
			}
			pipe.XAdd(ctx, &redis.XAddArgs{Stream: out.Key(out.PartitionOf(m)), Values: values})
		}
		if _, err := pipe.Exec(ctx); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkDocumentFn shows the sink's own allocations: those of one bundle,
// ten batches of hashes, of messages.
func BenchmarkDocumentFn(b *testing.B) {
	server := redistest.Start(b)
	var elems []any
	for _, m := range benchMessages() {
		elems = append(elems, m)
	}
	fn := &DocumentFn{DocumentConfig: DocumentConfig{Conn: server.Config(), Format: Hash}}
	if err := fn.Setup(); err != nil {
		b.Fatal(err)
	}
	ctx, emit := b.Context(), func(_ beam.EventTime, d message.DeadLetter) { b.Fatal(d.Reason) }
	b.ReportAllocs()
	for b.Loop() {
		fn.StartBundle(ctx, emit)
		for _, elem := range elems {
			if err := fn.ProcessElement(ctx, 0, elem, emit); err != nil {
				b.Fatal(err)
			}
		}
		if err := fn.FinishBundle(ctx, emit); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(b.N*len(elems))/b.Elapsed().Seconds(), "documents/s")
}
