package tracing

import (
	"strings"

	"go.opentelemetry.io/otel/attribute"
)

// mostContents is how many bytes of an element its span holds. More would make
// the few hundred spans of an export larger than receivers take.
const mostContents = 16 << 10

// mostFields is how many fields a span tells of: the SDK drops attributes beyond
// 128 of a span, without a mark.
const mostFields = 100

// contentsOf are the fields of an entry or a document, or its JSON.
func contentsOf(e *Element) []attribute.KeyValue {
	if e.JSON != "" {
		text, cut := cutTo(e.JSON, mostContents)
		return append([]attribute.KeyValue{DocumentKey.String(text)}, ifCut(cut)...)
	}
	list := e.Fields
	if list == nil && e.Message != nil {
		list = e.Message.Fields
	}
	var attrs []attribute.KeyValue
	room, cut := mostContents, false
	for i := range list {
		f := &list[i]
		room -= len(f.Name)
		if room <= 0 || i == mostFields {
			cut = true
			break
		}
		text, shorter := cutTo(f.Value, room)
		room -= len(text)
		cut = cut || shorter
		attrs = append(attrs, attribute.String(string(FieldPrefix)+valid(f.Name), text))
	}
	return append(ifCut(cut), attrs...) // the mark first: that is kept in any case
}

func cutTo(s string, n int) (text string, cut bool) {
	if len(s) <= n {
		return valid(s), false
	}
	return valid(s[:n]), true
}

// valid makes a text of any bytes: an export fails with one that is not UTF-8.
func valid(s string) string { return strings.ToValidUTF8(s, "\uFFFD") }

func ifCut(cut bool) []attribute.KeyValue {
	if !cut {
		return nil
	}
	return []attribute.KeyValue{CutKey.Bool(true)}
}
