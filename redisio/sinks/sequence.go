package sinks

import (
	"cmp"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"example.com/beamredis/redisio/message"
)

// sequence is the place of an output among all outputs of a source stream: the
// entry it was made of, and its number among the outputs of that entry.
type sequence struct {
	id      message.EntryID
	ordinal uint64
}

func (s sequence) compare(other sequence) int {
	return cmp.Or(s.id.Compare(other.id), cmp.Compare(s.ordinal, other.ordinal))
}

// next is the place right behind s.
func (s sequence) next() sequence { return sequence{s.id, s.ordinal + 1} }

// text is how a mark holds the sequence.
func (s sequence) text() string { return s.id.String() + ":" + strconv.FormatUint(s.ordinal, 10) }

func parseSequence(text string) (s sequence, err error) {
	id, ordinal, _ := strings.Cut(text, ":")
	if s.id, err = message.ParseEntryID(id); err == nil {
		s.ordinal, err = strconv.ParseUint(ordinal, 10, 64)
	}
	return s, err
}

// source is a stream in one of its incarnations, from which outputs come.
type source struct {
	stream      string
	incarnation uint64
}

// outputs counts the outputs of one source within a bundle.
type outputs struct {
	source source
	start  message.EntryID
	last   sequence // of those in order
	any    bool
	again  map[message.EntryID]uint64 // outputs so far of redelivered entries
}

// sequencer gives every message of a bundle its place.
type sequencer struct {
	bySource map[source]*outputs
	// The last message's, since neighbours have the same.
	origin *message.Origin
	stream string
	last   *outputs
	buf    []byte
}

// place is where a message stands. A message in order has a sequence, one that
// was redelivered both, any other a member.
type place struct {
	of     *outputs // nil: the message has no sequence
	seq    sequence
	member string // identifies the output in a window; empty: in order
}

var errNoIdentity = errors.New("the message does not tell which entry it was made of, so that nothing says whether it was written before; " +
	"make messages out of those that Read gives with Message.With, or give each a key with WithIdempotenceKey")

func (q *sequencer) reset() { *q = sequencer{bySource: map[source]*outputs{}, buf: q.buf} }

// place gives m its place.
func (q *sequencer) place(m *message.Message) (place, error) {
	switch m.Origin.Order() {
	case message.Ordered:
		return q.inOrder(m)
	case message.Redelivered:
		return q.redelivered(m)
	}
	if why := m.Origin.Unknown(); why != "" {
		return place{}, fmt.Errorf("entry %s of %s may have been written before, or be that of another stream which had this key: %s; "+
			"grant the user that reads what docs/security.md lists for Read, or give messages a key with WithIdempotenceKey", m.ID, m.Stream, why)
	}
	if m.Stream == "" {
		return place{}, errNoIdentity
	}
	return place{member: q.byContent(m)}, nil
}

func (q *sequencer) outputsOf(m *message.Message) (*outputs, error) {
	if m.Origin == q.origin && m.Stream == q.stream {
		return q.last, nil
	}
	key := source{m.Stream, m.Origin.Incarnation()}
	o := q.bySource[key]
	if o == nil {
		o = &outputs{source: key, start: m.Origin.Start()}
		q.bySource[key] = o
	}
	if o.start != m.Origin.Start() {
		return nil, fmt.Errorf("stream %s comes from two Reads of one consumer group: give each Read a group and each Write a name of its own", m.Stream)
	}
	q.origin, q.stream, q.last = m.Origin, m.Stream, o
	return o, nil
}

func (q *sequencer) inOrder(m *message.Message) (place, error) {
	o, err := q.outputsOf(m)
	if err != nil {
		return place{}, err
	}
	switch {
	case !o.any || o.last.id.Less(m.ID):
		o.last, o.any = sequence{id: m.ID}, true
	case o.last.id == m.ID:
		o.last.ordinal++
	default:
		return place{}, fmt.Errorf("entry %s of %s came after entry %s: something between Read and Write changes the order, which idempotent writing relies on; "+
			"put beam.Reshuffle before Write, or give messages a key with WithIdempotenceKey", m.ID, m.Stream, o.last.id)
	}
	return place{of: o, seq: o.last}, nil
}

// redelivered entries come between others and in any order, so that their
// outputs are counted entry by entry.
func (q *sequencer) redelivered(m *message.Message) (place, error) {
	o, err := q.outputsOf(m)
	if err != nil {
		return place{}, err
	}
	if o.again == nil {
		o.again = map[message.EntryID]uint64{}
	}
	seq := sequence{m.ID, o.again[m.ID]}
	o.again[m.ID]++
	return place{of: o, seq: seq, member: o.member(seq)}, nil
}

// Kinds of members, so that none can be taken for one of another kind.
const (
	memberBySequence = 's'
	memberByContent  = 'c'
	memberByUserKey  = 'u'
)

// member identifies the output of seq.
func (o *outputs) member(seq sequence) string {
	b := append(make([]byte, 0, 64), memberBySequence)
	for _, n := range []uint64{o.source.incarnation, seq.id.Ms, seq.id.Seq, seq.ordinal} {
		b = binary.BigEndian.AppendUint64(b, n)
	}
	return digest(append(b, o.source.stream...))
}

// byContent identifies an output of which it is only known what it was made of
// and what it holds, but for its trace context, which differs from attempt to
// attempt.
func (q *sequencer) byContent(m *message.Message) string {
	untraced := *m
	untraced.Fields = message.Untraced(m.Fields)
	q.buf = message.AppendMessage(append(q.buf[:0], memberByContent), untraced)
	return digest(q.buf)
}

func (q *sequencer) byUserKey(key string) string {
	q.buf = append(append(q.buf[:0], memberByUserKey), key...)
	return digest(q.buf)
}

// digestSize keeps two of 2^40 members apart except for a chance of 2^-48.
const digestSize = 16

func digest(b []byte) string {
	sum := sha256.Sum256(b)
	return string(sum[:digestSize])
}
