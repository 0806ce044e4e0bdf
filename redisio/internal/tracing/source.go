package tracing

import (
	"context"
	"runtime"
	"slices"
	"strconv"
	"sync/atomic"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	semconv "go.opentelemetry.io/otel/semconv/v1.41.0"
	"go.opentelemetry.io/otel/trace"

	"example.com/beamredis/redisio/conn"
	"example.com/beamredis/redisio/internal/telemetry"
	"example.com/beamredis/redisio/message"
	"example.com/beamredis/redisio/topic"
)

// Source makes the spans of one partition that is read: of each XREADGROUP that
// brings entries with trace context, and of the emission and the XACK of each
// such entry. Entries without have none.
type Source struct {
	sdk                       *telemetry.SDK
	receive, process, settle  string // names of spans
	receiving, emitting, acks trace.SpanStartEventOption
	code                      func(error) string
}

// SourceConfig is what a Source tells of its partition.
type SourceConfig struct {
	Service   string // service name; empty: that of the environment
	Conn      conn.Config
	Partition topic.Partition
	Group     string
	Consumer  string
	Code      func(error) string // the first word of the server's error reply
}

// NewSource makes a Source.
func NewSource(c SourceConfig) *Source {
	at := append(ofServer(c.Conn), messagingSystem,
		semconv.MessagingDestinationName(c.Partition.Stream),
		semconv.MessagingDestinationPartitionID(strconv.Itoa(c.Partition.Index)),
		semconv.MessagingConsumerGroupName(c.Group),
		semconv.MessagingClientID(c.Consumer))
	with := func(kind attribute.KeyValue, operation string) trace.SpanStartEventOption {
		attrs := slices.Concat(at, []attribute.KeyValue{kind, semconv.MessagingOperationName(operation)})
		if operation != opEmit {
			attrs = append(attrs, semconv.DBOperationName(operation))
		}
		return trace.WithAttributes(attrs...)
	}
	return &Source{
		sdk:       telemetry.Open(c.Service),
		code:      c.Code,
		receive:   opReceive + " " + c.Partition.Stream,
		process:   opEmit + " " + c.Partition.Stream,
		settle:    opAck + " " + c.Partition.Stream,
		receiving: with(semconv.MessagingOperationTypeReceive, opReceive),
		emitting:  with(semconv.MessagingOperationTypeProcess, opEmit),
		acks:      with(semconv.MessagingOperationTypeSettle, opAck),
	}
}

// Operations of the source, which begin the names of its spans.
const (
	opReceive = "XREADGROUP"
	opEmit    = "emit"
	opAck     = "XACK"
)

// parent returns the context that fields carry, if a span is to be its child.
func (s *Source) parent(f []message.Field) (trace.SpanContext, bool) {
	if indexOf(f, message.TraceParentField) < 0 || s.sdk.FollowsParent && unsampled(f) {
		return trace.SpanContext{}, false
	}
	sc := parentOf(f)
	return sc, sc.IsValid()
}

// mostLinks is how many entries the span of an XREADGROUP links to, which is
// OpenTelemetry's own default bound.
const mostLinks = 128

// Fetch is one XREADGROUP, from before it is sent.
type Fetch struct {
	source *Source
	began  time.Time
	ended  time.Time
	count  int
	links  []trace.Link
}

// BeginFetch notes when an XREADGROUP is sent.
func (s *Source) BeginFetch() *Fetch { return &Fetch{source: s, began: time.Now()} }

// Replied notes when its reply, of count entries, was there.
func (f *Fetch) Replied(count int) { f.ended, f.count = time.Now(), count }

// Entry notes the fields of an entry that it brought.
func (f *Fetch) Entry(fields []message.Field) {
	if len(f.links) == mostLinks {
		return
	}
	if sc, ok := f.source.parent(fields); ok {
		f.links = append(f.links, trace.Link{SpanContext: sc})
	}
}

// End makes the span, if an entry has trace context. It is a child of the one
// that has; of several it belongs to none, and links to them.
func (f *Fetch) End() {
	s := f.source
	if len(f.links) == 0 {
		return
	}
	ctx := context.Background()
	opts := []trace.SpanStartOption{trace.WithSpanKind(trace.SpanKindClient), trace.WithTimestamp(f.began), s.receiving,
		trace.WithAttributes(semconv.MessagingBatchMessageCount(f.count))}
	if len(f.links) == 1 {
		ctx = trace.ContextWithRemoteSpanContext(ctx, f.links[0].SpanContext)
	} else {
		opts = append(opts, trace.WithLinks(f.links...))
	}
	_, span := s.sdk.Tracer.Start(ctx, s.receive, opts...)
	span.End(trace.WithTimestamp(f.ended))
}

// Emission is the span of an entry that is being emitted.
type Emission struct {
	source *Source
	span   trace.Span
	id     message.EntryID
}

// Emit begins the span of m, which has the span's context from then on; nil if
// m is not traced. The fields of m belong to the caller: they are changed.
func (s *Source) Emit(m *message.Message) *Emission {
	parent, ok := s.parent(m.Fields)
	if !ok {
		return nil
	}
	ctx := trace.ContextWithRemoteSpanContext(context.Background(), parent)
	_, span := s.sdk.Tracer.Start(ctx, s.process, trace.WithSpanKind(trace.SpanKindConsumer), s.emitting,
		trace.WithAttributes(semconv.MessagingMessageID(m.ID.String())))
	if !span.SpanContext().IsSampled() {
		return nil // nobody will see it: what follows stays a child of the parent
	}
	m.Fields = inject(span.SpanContext(), m.Fields)
	return &Emission{s, span, m.ID}
}

// End ends the span, and returns what is to be kept for the entry's
// acknowledgement.
func (e *Emission) End() Emitted {
	e.span.End()
	return Emitted{ID: e.id, span: e.span.SpanContext()}
}

// Reject ends the span of an entry that became a dead letter. The reason, which
// may repeat what the entry holds, is in the letter alone.
func (e *Emission) Reject() {
	e.span.SetAttributes(semconv.ErrorTypeOther)
	e.span.SetStatus(codes.Error, "became a dead letter")
	e.span.End()
}

// Emitted is a traced entry that waits for its acknowledgement.
type Emitted struct {
	ID   message.EntryID
	span trace.SpanContext
}

// mostWaiting is how many of them a process keeps, at about 100 bytes each.
// Entries beyond that have no span of their XACK.
const mostWaiting = 1 << 16

var waiting atomic.Int64

// Waiting is a number of entries that wait for their acknowledgement.
type Waiting struct {
	source  *Source
	entries []Emitted
	claimed int           // of the entries, the first
	counted *atomic.Int64 // in waiting; given back at most once
}

// Keep keeps entries for [Waiting.Acked], claimed ones and others; nil if there
// are none, or too many wait already.
func (s *Source) Keep(claimed, others []Emitted) *Waiting {
	entries := slices.Concat(claimed, others)
	n := int64(len(entries))
	if n == 0 {
		return nil
	}
	if waiting.Add(n) > mostWaiting {
		waiting.Add(-n)
		return nil
	}
	w := &Waiting{s, entries, len(claimed), new(atomic.Int64)}
	w.counted.Store(n)
	// A bundle that is never finalized dies with its connection.
	runtime.AddCleanup(w, giveBack, w.counted)
	return w
}

func giveBack(counted *atomic.Int64) { waiting.Add(-counted.Swap(0)) }

// Acked makes the spans of the XACK of all entries, which began at a time and
// ended now: of the claimed ones with an error, and of the others with theirs.
// It is called once.
func (w *Waiting) Acked(began time.Time, claimedErr, othersErr error) {
	if w == nil {
		return
	}
	s, ended := w.source, trace.WithTimestamp(time.Now())
	for i := range w.entries {
		e := &w.entries[i]
		ctx := trace.ContextWithSpanContext(context.Background(), e.span)
		_, span := s.sdk.Tracer.Start(ctx, s.settle, trace.WithSpanKind(trace.SpanKindClient), trace.WithTimestamp(began), s.acks,
			trace.WithAttributes(semconv.MessagingMessageID(e.ID.String())))
		err := claimedErr
		if i >= w.claimed {
			err = othersErr
		}
		if err != nil {
			span.SetAttributes(kindOf(err, s.code)...)
			span.SetStatus(codes.Error, err.Error())
		}
		span.End(ended)
	}
	giveBack(w.counted)
}
