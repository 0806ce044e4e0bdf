package redisio

import (
	"context"

	"example.com/beamredis/redisio/internal/tracing"
	"example.com/beamredis/redisio/sdf"
	"example.com/beamredis/redisio/sinks"
)

type serviceName string

// WithServiceName has workers report to OpenTelemetry under this service name,
// which goes before that of OTEL_SERVICE_NAME. The environment variables OTEL_*
// of the workers say where to and how, see docs/observability.md; what is wrong
// with them, and a receiver that cannot be reached, is logged and holds up
// nothing. A worker's metrics go under the first name it meets.
//
// Read makes spans of each XREADGROUP, emission and XACK of entries that carry
// trace context, in the fields traceparent and tracestate; ReadRange hands that
// on as it is. What a write traces, [WithTracing] says. Default: none, nothing is
// reported unless the program sets up OpenTelemetry itself.
func WithServiceName(name string) interface {
	ReadOption
	RangeOption
	WriteOption
} {
	return serviceName(name)
}

func (name serviceName) applyRange(cfg *sdf.RangeConfig) error { return name.applyRead(&cfg.Config) }

func (name serviceName) applyRead(cfg *sdf.Config) error {
	cfg.Service = string(name)
	return notEmpty("WithServiceName", string(name))
}

func (name serviceName) applyWrite(cfg *sinks.WriteConfig) error {
	cfg.Trace.Service = string(name)
	return notEmpty("WithServiceName", string(name))
}

func (serviceName) optionName() string { return "WithServiceName" }

// TraceLevel says which elements of a write have a span.
type TraceLevel = tracing.Level

// TraceContents says what the span of an element tells.
type TraceContents = tracing.Contents

const (
	// TraceNone makes no spans.
	TraceNone = tracing.None
	// TraceFailures makes spans of elements that were not written: of dead
	// letters, and of what a bundle failed with.
	TraceFailures = tracing.Failures
	// TraceAll makes a span of every element.
	TraceAll = tracing.All

	// TraceNoContents tells where an element went, and the kind of an error.
	TraceNoContents = tracing.NoContents
	// TraceMetadata tells key, IDs, event time, size, attempts, and the text of
	// an error as well.
	TraceMetadata = tracing.Metadata
	// TraceAllContents tells the fields or the document as well, up to 16 KiB.
	TraceAllContents = tracing.AllContents
)

// ParseTraceLevel reads "none", "failures" or "all".
func ParseTraceLevel(s string) (TraceLevel, error) { return tracing.ParseLevel(s) }

// ParseTraceContents reads "none", "metadata" or "all".
func ParseTraceContents(s string) (TraceContents, error) { return tracing.ParseContents(s) }

// WithTracing has a write make a span of OpenTelemetry of each element, or of
// those that fail. It is a child of the trace context that a [Message] carries,
// and without one the first of a new trace. A message that is added to a stream
// carries the context of its span in the new entry's fields traceparent and
// tracestate, where the span is sampled; otherwise its fields stay as they are.
// Sampling is up to the workers' environment (OTEL_TRACES_SAMPLER). Default:
// [TraceNone], [TraceNoContents].
//
// Without [WithServiceName] the service name is that of OTEL_SERVICE_NAME.
func WithTracing(level TraceLevel, contents TraceContents) WriteOption {
	return writeOption{"WithTracing", func(cfg *sinks.WriteConfig) error {
		cfg.Trace.Level, cfg.Trace.Contents = level, contents
		_, err := ParseTraceLevel(string(level))
		if err == nil {
			_, err = ParseTraceContents(string(contents))
		}
		return inOption("WithTracing", err)
	}}
}

// TraceContext returns ctx with the trace context and the baggage that m
// carries, so that a DoFn can begin spans that belong to the trace of m.
func TraceContext(ctx context.Context, m Message) context.Context {
	return tracing.ContextOf(ctx, m.Fields)
}

// WithTraceContext returns m with the trace context of ctx, and its baggage if
// there is any, in place of its own: what is made of m then belongs to the span
// of ctx. Without a span in ctx, m is returned as it is.
func WithTraceContext(ctx context.Context, m Message) Message {
	m.Fields = tracing.WithContext(ctx, m.Fields)
	return m
}
