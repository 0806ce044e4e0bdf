package topic

import "example.com/beamredis/redisio/message"

// dataField is the field that holds a message's JSON document, where it has one.
const dataField = "data"

// IndexOf returns the partition, in [0, n), of a message whose [JavaHash] is
// hash: |hash| mod n. n must be at least 1.
//
// Java's Math.abs(Integer.MIN_VALUE) is negative, and so is its remainder unless
// n divides 2^31. Here |MinInt32| is 2^31. Java programs agree wherever their own
// result is a partition: where it is negative, nothing could.
func IndexOf(hash int32, n int) int {
	magnitude := int64(hash)
	if magnitude < 0 {
		magnitude = -magnitude
	}
	return int(magnitude % int64(n))
}

// PartitionOf returns the index of the partition that m belongs to, in
// [0, t.Len()); the topic must be valid. It does not allocate.
//
// A message with a key goes by [JavaHash] of the key. A message without one goes
// by the hash of its JSON payload: the value of the first field called "data" as
// it stands, else all fields as one JSON object, but for those of trace context
// ([message.IsTraceField]): they differ whenever the message is read again, and
// its place may not. A Java program that hashes them as well agrees on messages
// without trace context only.
//
// The object has no white space; members are in the order of the fields, and
// duplicates stay. In strings, `"` and `\` are escaped by `\`, control characters
// below U+0020 as \b, \f, \n, \r, \t or else \u00XX with capital digits; all
// other characters stand for themselves, `<`, `>`, `&`, U+2028 and U+2029
// included. Those are the defaults of Jackson, Java's most used JSON library.
// Invalid UTF-8 counts as in JavaHash.
func (t Topic) PartitionOf(m *message.Message) int {
	return IndexOf(hashOf(m), t.Len())
}

func hashOf(m *message.Message) int32 {
	if m.HasKey() {
		return JavaHash(m.Key)
	}
	if data, ok := m.Get(dataField); ok {
		return JavaHash(data)
	}
	return int32(unitHash(0).object(m.Fields))
}

// object adds the fields, without those of trace context, as a JSON object. It
// does not build its text.
func (h unitHash) object(fields []message.Field) unitHash {
	h = h.unit('{')
	first := true
	for i := range fields {
		if message.IsTraceField(fields[i].Name) {
			continue
		}
		if !first {
			h = h.unit(',')
		}
		first = false
		h = h.quoted(fields[i].Name).unit(':').quoted(fields[i].Value)
	}
	return h.unit('}')
}

// quoted adds s as a JSON string.
func (h unitHash) quoted(s string) unitHash {
	h = h.unit('"')
	start := 0
	for i := range len(s) {
		if !mustEscape(s[i]) {
			continue
		}
		// The bytes to escape are ASCII, so cutting there cannot change how the
		// text on either side decodes.
		h = h.text(s[start:i]).escaped(s[i])
		start = i + 1
	}
	return h.text(s[start:]).unit('"')
}

func mustEscape(c byte) bool { return c < 0x20 || c == '"' || c == '\\' }

// escaped adds the JSON escape sequence of c.
func (h unitHash) escaped(c byte) unitHash {
	h = h.unit('\\')
	switch c {
	case '"', '\\':
		return h.unit(uint16(c))
	case '\b':
		return h.unit('b')
	case '\f':
		return h.unit('f')
	case '\n':
		return h.unit('n')
	case '\r':
		return h.unit('r')
	case '\t':
		return h.unit('t')
	}
	const digits = "0123456789ABCDEF"
	return h.unit('u').unit('0').unit('0').unit(uint16(digits[c>>4])).unit(uint16(digits[c&0xF]))
}
