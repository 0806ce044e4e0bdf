package sdf

import (
	"context"
	"slices"

	"github.com/apache/beam/sdks/v2/go/pkg/beam"

	"example.com/beamredis/redisio/internal/rdb"
	"example.com/beamredis/redisio/internal/tracing"
	"example.com/beamredis/redisio/message"
	"example.com/beamredis/redisio/topic"
)

// trace prepares the reader's spans, once, if the read is traced.
func (r *reader) trace(part topic.Partition) {
	if r.spans != nil || r.cfg.Service == "" {
		return
	}
	r.spans = tracing.NewSource(tracing.SourceConfig{
		Service: r.cfg.Service, Conn: r.cfg.Conn, Partition: part, Group: r.cfg.Group, Consumer: r.cfg.Consumer, Code: rdb.ErrorCode,
	})
}

// tracedFetch makes the span of each XREADGROUP that brings traced entries.
func tracedFetch(spans *tracing.Source, fetch func(context.Context, int) (rdb.Fetched, error)) func(context.Context, int) (rdb.Fetched, error) {
	return func(ctx context.Context, n int) (rdb.Fetched, error) {
		span := spans.BeginFetch()
		f, err := fetch(ctx, n)
		span.Replied(len(f.Entries))
		for i := range f.Entries {
			span.Entry(f.Entries[i].Fields)
		}
		span.End()
		return f, err
	}
}

// traced are the entries with spans that a turn has emitted.
type traced struct {
	claimed []tracing.Emitted
	others  []tracing.Emitted // pending before Start: emitted without a claim
}

// emitTraced emits m within its span, if it has one.
func (t *turn) emitTraced(ts beam.EventTime, m message.Message, kind batchKind) {
	span := t.r.spans.Emit(&m)
	t.emit(ts, m)
	switch {
	case span == nil:
	case kind == pendingBefore:
		t.traced.others = append(t.traced.others, span.End())
	default:
		t.traced.claimed = append(t.traced.claimed, span.End())
	}
}

func (t *turn) traceRejected(m *message.Message) {
	own := *m // the letter keeps the context that the entry came with
	own.Fields = slices.Clone(m.Fields)
	if span := t.r.spans.Emit(&own); span != nil {
		span.Reject()
	}
}

// takeTraced keeps the claimed entries with spans, for their acknowledgement at
// once.
func (t *turn) takeTraced() *tracing.Waiting {
	if len(t.traced.claimed) == 0 {
		return nil
	}
	w := t.r.spans.Keep(t.traced.claimed, nil)
	t.traced.claimed = nil
	return w
}

// keepTraced keeps the entries with spans that the bundle's finalization
// acknowledges.
func (t *turn) keepTraced() *tracing.Waiting {
	if t.cfg.Ack != AckOnCheckpoint {
		return t.r.spans.Keep(nil, t.traced.others)
	}
	return t.r.spans.Keep(t.traced.claimed, t.traced.others)
}
