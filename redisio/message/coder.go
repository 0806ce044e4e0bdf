package message

import (
	"encoding/binary"
	"fmt"
	"math"
	"reflect"

	"github.com/apache/beam/sdks/v2/go/pkg/beam"
	"github.com/apache/beam/sdks/v2/go/pkg/beam/core/graph/coder"
	"github.com/apache/beam/sdks/v2/go/pkg/beam/register"
)

// The first byte of an encoding. It changes when the layout does, so that state
// written by another version is refused rather than misread.
const (
	messageVersion    = 1
	deadLetterVersion = 1
)

// Bits of the flags byte.
const (
	// flagEmptyKey keeps Message.EmptyKey.
	flagEmptyKey = 1 << iota
	// flagIncarnation: the incarnation of the message's stream follows the ID.
	flagIncarnation
	// flagUnknown: the incarnation should follow, and is not known.
	flagUnknown

	knownFlags = flagEmptyKey | flagIncarnation | flagUnknown
)

// minFieldLen is what the smallest field, one of two empty strings, takes.
const minFieldLen = 2

// The coders are registered as deterministic (equal values, equal bytes), so
// that both types may be keys of a GroupByKey. Functions are registered with
// package register because Beam calls others by reflection.
func init() {
	register.Function1x1(encodeMessage)
	register.Function1x2(DecodeMessage)
	register.Function1x1(encodeDeadLetter)
	register.Function1x2(DecodeDeadLetter)
	registerCoder(reflect.TypeFor[Message](), encodeMessage, DecodeMessage)
	registerCoder(reflect.TypeFor[DeadLetter](), encodeDeadLetter, DecodeDeadLetter)
}

func registerCoder(t reflect.Type, encode, decode any) {
	beam.RegisterType(t)
	coder.RegisterDeterministicCoder(t, encode, decode)
}

// AppendMessage appends the binary form of m to dst. It is deterministic, and
// carries any bytes in keys, names and values unchanged. A message takes its
// payload, one byte per string shorter than 128 bytes (two up to 16 KiB), and
// about ten bytes more.
//
// Layout, version 1, numbers as unsigned varints and strings as length and
// bytes: version byte, flags byte (bit 0: EmptyKey, bit 1: the incarnation is
// known, bit 2: it is not, and should be), ID.Ms, ID.Seq, the incarnation where it is known, Stream, Key, number
// of fields, then name and value of each field in order. Of the Origin nothing
// but the incarnation is kept, or that it is not known, see [Origin].
func AppendMessage(dst []byte, m Message) []byte {
	dst = append(dst, messageVersion, flags(&m))
	dst = binary.AppendUvarint(dst, m.ID.Ms)
	dst = binary.AppendUvarint(dst, m.ID.Seq)
	if inc := m.Origin.Incarnation(); inc != 0 {
		dst = binary.AppendUvarint(dst, inc)
	}
	dst = appendText(dst, m.Stream)
	dst = appendText(dst, m.Key)
	dst = binary.AppendUvarint(dst, uint64(len(m.Fields)))
	for i := range m.Fields {
		dst = appendText(dst, m.Fields[i].Name)
		dst = appendText(dst, m.Fields[i].Value)
	}
	return dst
}

func flags(m *Message) (set byte) {
	if m.EmptyKey {
		set |= flagEmptyKey
	}
	switch {
	case m.Origin.Incarnation() != 0:
		set |= flagIncarnation
	case m.Origin.Unknown() != "":
		set |= flagUnknown
	}
	return set
}

// messageLen returns how many bytes AppendMessage appends for m.
func messageLen(m *Message) int {
	n := 2 + uvarintLen(m.ID.Ms) + uvarintLen(m.ID.Seq) +
		textLen(m.Stream) + textLen(m.Key) + uvarintLen(uint64(len(m.Fields)))
	if inc := m.Origin.Incarnation(); inc != 0 {
		n += uvarintLen(inc)
	}
	for i := range m.Fields {
		n += textLen(m.Fields[i].Name) + textLen(m.Fields[i].Value)
	}
	return n
}

func encodeMessage(m Message) []byte {
	return AppendMessage(make([]byte, 0, messageLen(&m)), m)
}

// DecodeMessage reads what [AppendMessage] wrote; b must hold nothing else. The
// message's strings share one copy of b, so b may be reused. Fields is nil for a
// message without fields, whether nil or empty was written. Whatever b holds,
// memory stays in proportion to its length. Errors wrap [ErrDecode].
func DecodeMessage(b []byte) (Message, error) {
	r := reader{rest: string(b)}
	m := r.message()
	if r.err != nil {
		return Message{}, fmt.Errorf("message: %w", r.err)
	}
	return m, nil
}

// message reads a message up to the end of the input.
func (r *reader) message() Message {
	r.version(messageVersion)
	set := r.byte("flags byte")
	if set&^knownFlags != 0 {
		r.fail("flags %#x are not known", set)
	}
	m := Message{EmptyKey: set&flagEmptyKey != 0}
	m.ID.Ms = r.uvarint("milliseconds of the ID")
	m.ID.Seq = r.uvarint("sequence of the ID")
	switch set & (flagIncarnation | flagUnknown) {
	case flagIncarnation:
		m.Origin = r.origin()
	case flagUnknown:
		m.Origin = decodedUnknown
	case flagIncarnation | flagUnknown:
		r.fail("the incarnation is marked as known and as not known")
	}
	m.Stream = r.text("stream")
	m.Key = r.text("key")
	m.Fields = r.fields()
	if r.rest != "" {
		r.fail("%d bytes follow the last field", len(r.rest))
	}
	return m
}

func (r *reader) origin() *Origin {
	inc := r.uvarint("incarnation")
	if inc == 0 {
		r.fail("the incarnation is marked as known, and 0")
	}
	return decodedOrigin(inc)
}

func (r *reader) fields() []Field {
	n := r.uvarint("number of fields")
	if n > uint64(len(r.rest)/minFieldLen) {
		r.fail("%d fields do not fit into %d bytes", n, len(r.rest))
		return nil
	}
	if n == 0 {
		return nil
	}
	fields := make([]Field, n)
	for i := range fields {
		fields[i] = Field{Name: r.text("name of a field"), Value: r.text("value of a field")}
	}
	return fields
}

// AppendDeadLetter appends the binary form of d to dst. It is deterministic.
//
// Layout, version 1: version byte, Destination, Reason, Attempts as an unsigned
// varint of its two's complement, then the message as [AppendMessage] writes it.
func AppendDeadLetter(dst []byte, d DeadLetter) []byte {
	dst = append(dst, deadLetterVersion)
	dst = appendText(dst, d.Destination)
	dst = appendText(dst, d.Reason)
	dst = binary.AppendUvarint(dst, uint64(d.Attempts))
	return AppendMessage(dst, d.Message)
}

func encodeDeadLetter(d DeadLetter) []byte {
	n := 1 + textLen(d.Destination) + textLen(d.Reason) + uvarintLen(math.MaxUint64) + messageLen(&d.Message)
	return AppendDeadLetter(make([]byte, 0, n), d)
}

// DecodeDeadLetter reads what [AppendDeadLetter] wrote, as [DecodeMessage] does
// for messages.
func DecodeDeadLetter(b []byte) (DeadLetter, error) {
	r := reader{rest: string(b)}
	r.version(deadLetterVersion)
	d := DeadLetter{Destination: r.text("destination"), Reason: r.text("reason")}
	d.Attempts = int64(r.uvarint("attempts"))
	d.Message = r.message()
	if r.err != nil {
		return DeadLetter{}, fmt.Errorf("dead letter: %w", r.err)
	}
	return d, nil
}
