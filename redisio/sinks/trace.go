package sinks

import (
	"example.com/beamredis/redisio/internal/tracing"
	"example.com/beamredis/redisio/message"
)

// TraceOptions say which elements have a span of OpenTelemetry, and what it
// tells. The zero value traces nothing.
type TraceOptions = tracing.Options

// traced is what spans tell of an entry.
func (e *entry) traced(id message.EntryID) *tracing.Element {
	return &tracing.Element{Destination: e.stream, Message: &e.msg, EventTime: int64(e.ts), ID: id}
}

// traceWritten ends the spans of those entries of a batch that were written.
func (l *lane) traceWritten(entries []entry, errs []error) {
	for i := range entries {
		e := &entries[i]
		if errs[i] == nil && e.span != nil {
			l.fn.spans.Written(e.span, e.traced(l.idOf(i)), l.delivery.attempt)
			e.span = nil
		}
	}
}

// idOf is the ID that entry i of the last batch was given; 0-0 where it is not
// known.
func (l *lane) idOf(i int) message.EntryID {
	switch {
	case l.once == nil:
		id, err := l.adder.ID(i)
		if err == nil {
			return id
		}
	case l.once.wantID:
		return l.once.ids[i]
	}
	return message.EntryID{}
}

// bury is [WriteFn.bury], and tells of the failure.
func (l *lane) bury(e entry, reason error, attempts int) (instead entry, ok bool, err error) {
	l.traceFailed(&e, attempts, reason)
	if instead, ok, err = l.fn.bury(e, reason, attempts); err != nil {
		l.fn.Trace.FlushSoon() // the bundle fails with it, and comes to no end
	}
	return instead, ok, err
}

// lose tells of entries that are given up, with the whole bundle, which comes to
// no end.
func (l *lane) lose(entries []entry, attempts int, err error) {
	for i := range entries {
		l.traceFailed(&entries[i], attempts, err)
	}
	l.fn.Trace.FlushSoon()
}

func (l *lane) traceFailed(e *entry, attempts int, err error) {
	if l.fn.spans != nil && !e.isDeadLetter {
		l.fn.spans.Failed(e.span, l.delivery.beganOf(attempts), e.traced(message.EntryID{}), attempts, err)
	}
}

// traced is what spans tell of a document.
func (d *document) traced() *tracing.Element {
	return &tracing.Element{Destination: d.Key, Message: d.asTraced(), EventTime: int64(d.ts), Fields: d.Fields, JSON: d.JSON}
}

// asTraced is the message that the element is, nil if it is none. It is a copy,
// which only tracing pays for.
func (d *document) asTraced() *message.Message {
	m, ok := d.message.(message.Message)
	if !ok {
		return nil
	}
	return &m
}

// traceWritten ends the spans of those documents of a batch that were written.
func (l *documentLane) traceWritten(items []document, errs []error) {
	for i := range items {
		if doc := &items[i]; errs[i] == nil && doc.span != nil {
			l.fn.spans.Written(doc.span, doc.traced(), l.delivery.attempt)
			doc.span = nil
		}
	}
}

// bury is [DocumentFn.bury], and tells of the failure.
func (l *documentLane) bury(doc document, reason error, attempts int) (instead document, ok bool, err error) {
	l.traceFailed(&doc, attempts, reason)
	if instead, ok, err = l.fn.bury(doc, reason, attempts); err != nil {
		l.fn.Trace.FlushSoon() // the bundle fails with it, and comes to no end
	}
	return instead, ok, err
}

// lose tells of documents that are given up, with the whole bundle.
func (l *documentLane) lose(items []document, attempts int, err error) {
	for i := range items {
		l.traceFailed(&items[i], attempts, err)
	}
	l.fn.Trace.FlushSoon()
}

func (l *documentLane) traceFailed(doc *document, attempts int, err error) {
	if l.fn.spans != nil && doc.letter == nil {
		l.fn.spans.Failed(doc.span, l.delivery.beganOf(attempts), doc.traced(), attempts, err)
	}
}

// The commands of documents, by which spans and metrics tell them apart.
var commands = map[Format]string{JSON: "JSON.SET", Hash: "HSET"}
