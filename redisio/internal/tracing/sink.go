package tracing

import (
	"context"
	"fmt"
	"slices"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	semconv "go.opentelemetry.io/otel/semconv/v1.41.0"
	"go.opentelemetry.io/otel/trace"

	"example.com/beamredis/redisio/conn"
	"example.com/beamredis/redisio/internal/telemetry"
	"example.com/beamredis/redisio/message"
)

// Level says which writes have a span.
type Level string

// Contents says what a span tells of its element.
type Contents string

// The levels and contents.
const (
	None     Level = "none"
	Failures Level = "failures"
	All      Level = "all"

	NoContents  Contents = "none"
	Metadata    Contents = "metadata"
	AllContents Contents = "all"
)

// ParseLevel reads "none", "failures" or "all".
func ParseLevel(s string) (Level, error) {
	switch l := Level(s); l {
	case None, Failures, All:
		return l, nil
	}
	return "", fmt.Errorf("%q is no trace level: want none, failures or all", s)
}

// ParseContents reads "none", "metadata" or "all".
func ParseContents(s string) (Contents, error) {
	switch c := Contents(s); c {
	case NoContents, Metadata, AllContents:
		return c, nil
	}
	return "", fmt.Errorf("%q is no trace contents: want none, metadata or all", s)
}

// Options say what a sink traces. The zero value traces nothing.
type Options struct {
	// Service is the service name; empty: that of the environment.
	Service string `json:"service,omitempty"`
	// Level and Contents; empty: none.
	Level    Level    `json:"level,omitempty"`
	Contents Contents `json:"contents,omitempty"`
}

// spans reports whether any write has a span.
func (o Options) spans() bool { return o.Level == Failures || o.Level == All }

// off reports whether the options ask for nothing of OpenTelemetry.
func (o Options) off() bool { return o.Service == "" && !o.spans() }

// Open has the process's metrics exported, if the options ask for OpenTelemetry
// at all, and returns what makes spans; nil if the level is none. command is
// what the sink writes with.
func (o Options) Open(c conn.Config, command string, coder func(error) string) *Sink {
	if o.off() {
		return nil
	}
	sdk := telemetry.Open(o.Service)
	if !o.spans() {
		return nil
	}
	s := &Sink{sdk: sdk, all: o.Level == All, contents: o.Contents, command: command, code: coder}
	attrs := append(ofServer(c), semconv.DBOperationName(command))
	kind := trace.SpanKindClient
	if s.adds() {
		attrs = append(attrs, messagingSystem, semconv.MessagingOperationTypeSend, semconv.MessagingOperationName(command))
		kind = trace.SpanKindProducer
	}
	s.opts = []trace.SpanStartOption{trace.WithSpanKind(kind)}
	if sdk.SamplesByAttributes {
		s.opts = append(s.opts, trace.WithAttributes(attrs...))
	} else {
		s.attrs = attrs
	}
	s.opts = slices.Clip(s.opts)
	return s
}

// Add is the command of the sink that adds messages to streams.
const Add = "XADD"

// Sink makes the spans of the elements that a sink writes.
type Sink struct {
	sdk      *telemetry.SDK
	all      bool
	contents Contents
	command  string
	code     func(error) string
	opts     []trace.SpanStartOption
	// attrs come with the spans that are recorded, the few; nil: they are in opts.
	attrs []attribute.KeyValue
}

// adds reports whether what is written are entries, which carry trace context.
func (s *Sink) adds() bool { return s.command == Add }

// Flush exports what the process has measured, for the end of a worker; see
// [telemetry.SDK.Flush].
func (o Options) Flush(ctx context.Context) {
	if !o.off() {
		telemetry.Open(o.Service).Flush(ctx)
	}
}

// FlushSoon has what was measured exported, for the end of a bundle; see
// [telemetry.SDK.FlushSoon].
func (o Options) FlushSoon() {
	if !o.off() {
		telemetry.Open(o.Service).FlushSoon()
	}
}

// WantsID reports whether spans tell the IDs of new entries.
func (s *Sink) WantsID() bool {
	return s != nil && s.all && (s.contents == Metadata || s.contents == AllContents)
}

// Element is what a span tells of an element that was written, or not.
type Element struct {
	// Destination is the key that is written: a stream, or a document.
	Destination string
	// Message is the element, if it is a message, as it is written; nil: it is
	// not.
	Message *message.Message
	// EventTime is the element's, in ms since the Unix epoch.
	EventTime int64
	// ID is that of the new entry; 0-0: there is none, or it is not known.
	ID message.EntryID
	// Fields and JSON are what a document is made of.
	Fields []message.Field
	JSON   string
}

// Span is that of an element on its way.
type Span struct{ span trace.Span }

// Begin begins the span of m, which is nil for what is no message, where all
// writes are traced; nil if this one is not. The message that is to become an
// entry has the span's context from then on, in fields of its own.
func (s *Sink) Begin(m *message.Message) *Span {
	if !s.all {
		return nil
	}
	span := s.start(m, time.Time{})
	if !span.SpanContext().IsSampled() {
		return nil // what follows stays a child of the parent
	}
	if m != nil && s.adds() {
		own := append(make([]message.Field, 0, len(m.Fields)+2), m.Fields...)
		m.Fields = inject(span.SpanContext(), own)
	}
	return &Span{span}
}

var noSpan = trace.SpanFromContext(context.Background())

// start begins a span, now or at a time.
func (s *Sink) start(m *message.Message, at time.Time) trace.Span {
	ctx := context.Background()
	if m != nil && indexOf(m.Fields, message.TraceParentField) >= 0 {
		if s.sdk.FollowsParent && unsampled(m.Fields) {
			return noSpan
		}
		if parent := parentOf(m.Fields); parent.IsValid() {
			ctx = trace.ContextWithRemoteSpanContext(ctx, parent)
		}
	}
	opts := s.opts
	if !at.IsZero() {
		opts = append(opts, trace.WithTimestamp(at))
	}
	_, span := s.sdk.Tracer.Start(ctx, s.command, opts...)
	if s.attrs != nil && span.IsRecording() {
		span.SetAttributes(s.attrs...)
	}
	return span
}

// Written ends the span of an element that was written.
func (s *Sink) Written(sp *Span, e *Element, attempts int) {
	s.describe(sp.span, e, attempts)
	sp.span.End()
}

// Failed ends the span of an element that was not written, or makes one that
// began at a time.
func (s *Sink) Failed(sp *Span, began time.Time, e *Element, attempts int, err error) {
	var span trace.Span
	if sp != nil {
		span = sp.span
	} else {
		span = s.start(e.Message, began)
	}
	if !span.IsRecording() {
		return
	}
	s.blame(span, err) // first: contents may be more than a span takes
	s.describe(span, e, attempts)
	span.End()
}

// blame tells what went wrong: of contents, of which an error may repeat some,
// only as much as is asked for.
func (s *Sink) blame(span trace.Span, err error) {
	span.SetAttributes(kindOf(err, s.code)...)
	if s.contents == NoContents || s.contents == "" {
		span.SetStatus(codes.Error, "")
		return
	}
	span.SetStatus(codes.Error, valid(err.Error()))
}

func (s *Sink) describe(span trace.Span, e *Element, attempts int) {
	if s.adds() {
		stream := valid(e.Destination)
		span.SetName(s.command + " " + stream)
		span.SetAttributes(semconv.MessagingDestinationName(stream))
	}
	if s.contents != Metadata && s.contents != AllContents {
		return
	}
	span.SetAttributes(AttemptsKey.Int(attempts), EventTimeKey.String(time.UnixMilli(e.EventTime).UTC().Format("2006-01-02T15:04:05.000Z")))
	if !s.adds() {
		span.SetAttributes(KeyKey.String(valid(e.Destination)))
	}
	if !e.ID.IsZero() {
		span.SetAttributes(semconv.MessagingMessageID(e.ID.String()))
	}
	if m := e.Message; m != nil {
		s.describeMessage(span, m)
	}
	if s.contents == AllContents {
		span.SetAttributes(contentsOf(e)...)
	}
}

func (s *Sink) describeMessage(span trace.Span, m *message.Message) {
	if s.adds() {
		span.SetAttributes(semconv.MessagingMessageBodySize(m.Size()))
		if m.HasKey() {
			span.SetAttributes(KeyKey.String(valid(m.Key)))
		}
	}
	if m.Stream != "" {
		span.SetAttributes(SourceKey.String(valid(m.Stream)), SourceIDKey.String(m.ID.String()))
	}
}
