package rdb

import (
	"errors"
	"fmt"
	"strconv"
	"unsafe"

	"github.com/redis/go-redis/v9"

	"example.com/beamredis/redisio/message"
)

// Replies that carry entries are taken from go-redis as raw bytes and parsed
// here: its own stream types hold fields in a map, which loses order and
// duplicates, and cost several allocations per field. A parsed reply costs one
// slice of entries and one of fields; all strings point into the reply.

var errProtocol = errors.New("malformed reply from the server")

// rawCmd is a command whose reply stays in raw RESP form.
type rawCmd = *redis.RawCmd

// parser walks one raw RESP reply. Its strings share the reply's memory.
type parser struct {
	s   string
	pos int
}

// newParser takes ownership of raw: nobody may change it afterwards.
func newParser(raw []byte) *parser {
	return &parser{s: unsafe.String(unsafe.SliceData(raw), len(raw))}
}

// line returns the type byte and the rest of the next header line.
func (p *parser) line() (kind byte, rest string, err error) {
	start := p.pos
	for i := start; i < len(p.s); i++ {
		if p.s[i] == '\r' {
			if i == start || i+1 >= len(p.s) {
				break
			}
			p.pos = i + 2
			return p.s[start], p.s[start+1 : i], nil
		}
	}
	return 0, "", fmt.Errorf("%w: cut off at byte %d", errProtocol, start)
}

// count reads the length that follows a type byte; -1 stands for null.
func count(rest string) (int, error) {
	if rest == "" {
		return 0, fmt.Errorf("%w: empty length", errProtocol)
	}
	if len(rest) < 10 && rest[0] != '-' {
		n := 0
		for i := range len(rest) {
			d := rest[i] - '0'
			if d > 9 {
				return 0, fmt.Errorf("%w: length %q", errProtocol, rest)
			}
			n = n*10 + int(d)
		}
		return n, nil
	}
	n, err := strconv.Atoi(rest)
	if err != nil {
		return 0, fmt.Errorf("%w: length %q", errProtocol, rest)
	}
	return n, nil
}

// array reads the header of an array (or set, or the null that stands for
// one) and returns the number of elements, -1 for null. A map counts twice its
// pairs, so that RESP2 and RESP3 replies read alike.
func (p *parser) array() (int, error) {
	kind, rest, err := p.line()
	if err != nil {
		return 0, err
	}
	switch kind {
	case '*', '~', '>':
		return count(rest)
	case '%':
		n, err := count(rest)
		return 2 * n, err
	case '_':
		return -1, nil
	case '$':
		if rest == "-1" {
			return -1, nil
		}
	case '-', '!':
		return 0, p.errorReply(kind, rest)
	}
	return 0, fmt.Errorf("%w: type %q where a list was expected", errProtocol, kind)
}

// errorReply turns an error line into a Redis error.
func (p *parser) errorReply(kind byte, rest string) error {
	if kind == '!' {
		n, err := count(rest)
		if err != nil {
			return err
		}
		if rest, err = p.bulk(n); err != nil {
			return err
		}
	}
	return serverError(rest)
}

func (p *parser) bulk(n int) (string, error) {
	if n < 0 || n > len(p.s)-p.pos-2 {
		return "", fmt.Errorf("%w: text of %d bytes at byte %d of %d", errProtocol, n, p.pos, len(p.s))
	}
	s := p.s[p.pos : p.pos+n]
	p.pos += n + 2
	return s, nil
}

// text reads a string or a number as text; ok is false for null.
func (p *parser) text() (s string, ok bool, err error) {
	kind, rest, err := p.line()
	if err != nil {
		return "", false, err
	}
	switch kind {
	case '$', '=':
		n, err := count(rest)
		if err != nil || n < 0 {
			return "", false, err
		}
		s, err = p.bulk(n)
		if kind == '=' && len(s) >= 4 {
			s = s[4:] // a verbatim string starts with its format: "txt:"
		}
		return s, err == nil, err
	case '+', ':', ',', '(', '#':
		return rest, true, nil
	case '_':
		return "", false, nil
	case '-', '!':
		return "", false, p.errorReply(kind, rest)
	}
	return "", false, fmt.Errorf("%w: type %q where a text was expected", errProtocol, kind)
}

// number reads an integer; ok is false for null.
func (p *parser) number() (n int64, ok bool, err error) {
	s, ok, err := p.text()
	if err != nil || !ok {
		return 0, false, err
	}
	n, err = strconv.ParseInt(s, 10, 64)
	if err != nil {
		return 0, false, fmt.Errorf("%w: %q is no integer", errProtocol, s)
	}
	return n, true, nil
}

// id reads an entry ID; a null gives 0-0, as does the empty text, by which
// miniredis tells that a stream never had an entry.
func (p *parser) id() (message.EntryID, error) {
	s, ok, err := p.text()
	if err != nil || !ok || s == "" {
		return message.EntryID{}, err
	}
	return message.ParseEntryID(s)
}

// skip passes over one value, whatever it is.
func (p *parser) skip() error {
	kind, rest, err := p.line()
	if err != nil {
		return err
	}
	n := 0
	switch kind {
	case '$', '=', '!':
		if n, err = count(rest); err == nil && n >= 0 {
			_, err = p.bulk(n)
		}
		return err
	case '*', '~', '>', '%':
		if n, err = count(rest); err != nil {
			return err
		}
		if kind == '%' {
			n *= 2
		}
		for range n {
			if err := p.skip(); err != nil {
				return err
			}
		}
	}
	return nil
}

// Entry is one entry of a stream as the server sent it. Its strings and its
// fields share memory with the other entries of the reply.
type Entry struct {
	ID     message.EntryID
	Fields []message.Field
}

// entries reads a list of [id, [name, value, ...]]. Entries that were deleted
// (null, or null fields) are left out of the result and appended to gone,
// where the server tells their ID.
func (p *parser) entries() (list []Entry, gone []message.EntryID, err error) {
	n, err := p.array()
	if err != nil || n <= 0 {
		return nil, nil, err
	}
	// Whatever the header says, an entry takes at least 9 bytes of the reply.
	list = make([]Entry, 0, min(n, (len(p.s)-p.pos)/9+1))
	var slab []message.Field
	for i := range n {
		parts, err := p.array()
		if err != nil {
			return nil, nil, err
		}
		if parts < 0 {
			continue
		}
		if parts != 2 {
			return nil, nil, fmt.Errorf("%w: entry of %d parts", errProtocol, parts)
		}
		e := Entry{}
		if e.ID, err = p.id(); err != nil {
			return nil, nil, err
		}
		var null bool
		if slab, null, err = p.fields(&e, slab, n-i); err != nil {
			return nil, nil, err
		}
		if null {
			gone = append(gone, e.ID)
			continue
		}
		list = append(list, e)
	}
	return list, gone, nil
}

// fields reads the fields of e into slab, which is renewed when full; left is
// the number of entries still to come, by which a new slab is sized.
func (p *parser) fields(e *Entry, slab []message.Field, left int) (rest []message.Field, null bool, err error) {
	n, err := p.array()
	if err != nil || n < 0 {
		return slab, true, err
	}
	n /= 2
	if n > (len(p.s)-p.pos)/10+1 { // a field takes at least 10 bytes
		return slab, false, fmt.Errorf("%w: %d fields in %d bytes", errProtocol, n, len(p.s)-p.pos)
	}
	if cap(slab)-len(slab) < n {
		slab = make([]message.Field, 0, n*min(left, 1+(len(p.s)-p.pos)/(20*max(n, 1))))
		if cap(slab) < n {
			slab = make([]message.Field, 0, n)
		}
	}
	start := len(slab)
	for range n {
		f := message.Field{}
		if f.Name, _, err = p.text(); err != nil {
			return slab, false, err
		}
		if f.Value, _, err = p.text(); err != nil {
			return slab, false, err
		}
		slab = append(slab, f)
	}
	e.Fields = slab[start:len(slab):len(slab)]
	return slab, false, nil
}
