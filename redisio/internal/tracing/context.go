// Package tracing makes the connector's spans, and carries trace context from
// entry to entry. Without tracing its types are nil pointers, whose methods are
// not called.
package tracing

import (
	"context"
	"slices"

	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/trace"

	"example.com/beamredis/redisio/message"
)

// fields are those of an entry as the carrier of its trace context.
type fields []message.Field

var _ propagation.TextMapCarrier = (*fields)(nil)

// Get returns the value of the first field called name.
func (f *fields) Get(name string) string {
	if i := indexOf(*f, name); i >= 0 {
		return (*f)[i].Value
	}
	return ""
}

// Set changes the first field called name, or adds it.
func (f *fields) Set(name, value string) {
	if i := indexOf(*f, name); i >= 0 {
		(*f)[i].Value = value
		return
	}
	*f = append(*f, message.Field{Name: name, Value: value})
}

// Keys lists the names.
func (f *fields) Keys() []string {
	names := make([]string, len(*f))
	for i := range *f {
		names[i] = (*f)[i].Name
	}
	return names
}

func indexOf(f []message.Field, name string) int {
	for i := range f {
		if f[i].Name == name {
			return i
		}
	}
	return -1
}

var w3c = propagation.TraceContext{}

// parentOf returns the span context that the fields carry; it is invalid if
// they carry none.
func parentOf(f []message.Field) trace.SpanContext {
	return trace.SpanContextFromContext(w3c.Extract(context.Background(), (*fields)(&f)))
}

// ContextOf returns ctx with the trace context and the baggage of fields.
func ContextOf(ctx context.Context, f []message.Field) context.Context {
	carrier := (*fields)(&f)
	return propagation.Baggage{}.Extract(w3c.Extract(ctx, carrier), carrier)
}

// put has the fields carry the trace context of ctx, and nothing of another.
func (f *fields) put(ctx context.Context) {
	w3c.Inject(ctx, f)
	if trace.SpanContextFromContext(ctx).TraceState().Len() == 0 {
		*f = slices.DeleteFunc(*f, func(f message.Field) bool { return f.Name == message.TraceStateField })
	}
}

// WithContext returns fields that carry the trace context of ctx, and its
// baggage if it has any, instead of their own. It copies them.
func WithContext(ctx context.Context, f []message.Field) []message.Field {
	if !trace.SpanContextFromContext(ctx).IsValid() {
		return f
	}
	carrier := fields(slices.Clone(f))
	carrier.put(ctx)
	propagation.Baggage{}.Inject(ctx, &carrier)
	return carrier
}

// inject puts a span context into f, in place where it has the fields.
func inject(sc trace.SpanContext, f []message.Field) []message.Field {
	carrier := fields(f)
	carrier.put(trace.ContextWithSpanContext(context.Background(), sc))
	return carrier
}

// traceParentLen is the length of a traceparent of version 00:
// "00-TRACE_ID-PARENT_ID-FLAGS".
const traceParentLen = 2 + 1 + 32 + 1 + 16 + 1 + 2

// unsampled reports whether fields carry the context of a trace that is not
// sampled. It is what tracing costs for most entries, so it looks at no more
// than the flags; what it does not understand it leaves to the parser.
func unsampled(f []message.Field) bool {
	i := indexOf(f, message.TraceParentField)
	if i < 0 {
		return false
	}
	v := f[i].Value
	return len(v) == traceParentLen && v[0] == '0' && v[1] == '0' && !oddHex(v[traceParentLen-1])
}

func oddHex(digit byte) bool {
	switch digit {
	case '1', '3', '5', '7', '9', 'b', 'd', 'f':
		return true
	}
	return false
}
