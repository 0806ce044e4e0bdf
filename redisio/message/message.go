// Package message holds the vocabulary of one stream entry as a pipeline sees
// it: [EntryID], [Field], [Message] and [DeadLetter], with their Beam coders.
package message

import "strings"

// Field is one name and value of a stream entry. Both are binary-safe.
type Field struct {
	Name  string
	Value string
}

// Message is a stream entry as the pipeline sees it.
//
// Messages that come from one fetch share memory: keeping a few of them for
// long keeps the whole fetch (1 MiB or one entry, whichever is larger) alive.
// Use [Message.Clone] for those that are kept.
type Message struct {
	// Stream is the key of the Redis stream the entry was read from; empty for a
	// message that a pipeline makes itself.
	Stream string
	// ID is the entry's ID in Stream; 0-0 for a message that was not read.
	ID EntryID
	// Key decides the partition that the message is written to. A message whose
	// Key is empty has no key unless EmptyKey is set.
	Key string
	// EmptyKey says that the message has a key and that it is the empty string.
	EmptyKey bool
	// Fields are the entry's fields in order, duplicates kept, without the field
	// that carries the key.
	Fields []Field
	// Origin is how the message was read; nil for one that was not. A message
	// made from another one keeps it, and with it Stream and ID, where a sink is
	// to write every entry once: see [Message.With].
	Origin *Origin
}

// With returns a message with this key, which may be empty, and these fields
// that stands for the same entry as m, and so goes on in its trace: if m has
// trace context (see [Message.TraceFields]) and fields have none, it is put
// behind them. Otherwise it keeps fields as it is given, so two messages must
// not be made by appending to one slice that has room to grow.
func (m Message) With(key string, fields ...Field) Message {
	m.Key, m.EmptyKey, m.Fields = key, false, withTraceOf(&m, fields)
	return m
}

// HasKey reports whether the message has a key, be it empty.
func (m Message) HasKey() bool { return m.Key != "" || m.EmptyKey }

// Get returns the value of the first field called name.
func (m Message) Get(name string) (value string, ok bool) {
	for i := range m.Fields {
		if m.Fields[i].Name == name {
			return m.Fields[i].Value, true
		}
	}
	return "", false
}

// Size returns the number of payload bytes: key, field names and values.
func (m Message) Size() int {
	n := len(m.Key)
	for i := range m.Fields {
		n += len(m.Fields[i].Name) + len(m.Fields[i].Value)
	}
	return n
}

// Clone returns a copy that shares no memory with m.
func (m Message) Clone() Message {
	c := m
	c.Stream, c.Key = strings.Clone(m.Stream), strings.Clone(m.Key)
	if m.Fields != nil {
		c.Fields = make([]Field, len(m.Fields))
		for i, f := range m.Fields {
			c.Fields[i] = Field{Name: strings.Clone(f.Name), Value: strings.Clone(f.Value)}
		}
	}
	return c
}

// DeadLetter is an element that could not be read or written, kept with the
// reason instead of dropped.
type DeadLetter struct {
	// Message is the element. For one that was read, Stream and ID tell where
	// from.
	Message Message
	// Destination is the stream key that a write was meant for; empty when the
	// fault was on the reading side.
	Destination string
	// Reason says what was wrong, in one line.
	Reason string
	// Attempts counts how often the element was sent to the server, or was
	// delivered by it; 0: the fault was found before.
	Attempts int64
}
