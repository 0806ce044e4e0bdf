package message

import "slices"

// The fields of an entry that carry its trace context, as the W3C
// recommendations Trace Context and Baggage name them. They are fields like
// others: a pipeline that does not trace hands them on as they are.
const (
	TraceParentField = "traceparent"
	TraceStateField  = "tracestate"
	BaggageField     = "baggage"
)

// IsTraceField reports whether a field of this name carries trace context.
func IsTraceField(name string) bool {
	switch name {
	case TraceParentField, TraceStateField, BaggageField:
		return true
	}
	return false
}

// TraceFields returns the fields of m that carry its trace context, in order;
// nil if there are none.
func (m Message) TraceFields() (fields []Field) {
	for i := range m.Fields {
		if IsTraceField(m.Fields[i].Name) {
			fields = append(fields, m.Fields[i])
		}
	}
	return fields
}

// Untraced returns fields without those that carry trace context, which differ
// from attempt to attempt: fields themselves if there are none.
func Untraced(fields []Field) []Field {
	traced := func(f Field) bool { return IsTraceField(f.Name) }
	if !slices.ContainsFunc(fields, traced) {
		return fields
	}
	return slices.DeleteFunc(slices.Clone(fields), traced)
}

// withTraceOf returns fields, and behind them the trace context of m, unless
// they have one of their own.
func withTraceOf(m *Message, fields []Field) []Field {
	trace := m.TraceFields()
	if trace == nil || slices.ContainsFunc(fields, func(f Field) bool { return f.Name == TraceParentField }) {
		return fields
	}
	return slices.Concat(fields, trace)
}
