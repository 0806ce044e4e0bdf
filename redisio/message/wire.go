package message

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math/bits"
)

// ErrDecode is wrapped by the errors of [DecodeMessage] and
// [DecodeDeadLetter]: the bytes are not what this package's coders write.
var ErrDecode = errors.New("cannot decode")

// maxUvarintLen is the most bytes that a 64-bit unsigned varint takes.
const maxUvarintLen = binary.MaxVarintLen64

// uvarintLen returns how many bytes binary.AppendUvarint appends for v.
func uvarintLen(v uint64) int { return (bits.Len64(v|1) + 6) / 7 }

// textLen returns how many bytes appendText appends for s.
func textLen(s string) int { return uvarintLen(uint64(len(s))) + len(s) }

func appendText(dst []byte, s string) []byte {
	dst = binary.AppendUvarint(dst, uint64(len(s)))
	return append(dst, s...)
}

// reader takes values off the front of an encoding. The first fault is kept in
// err; from then on it gives zero values, so that callers check once. What it
// returns are substrings of the input.
type reader struct {
	rest string
	err  error
}

func (r *reader) fail(format string, args ...any) {
	if r.err == nil {
		r.err = fmt.Errorf("%w: "+format, append([]any{ErrDecode}, args...)...)
	}
	r.rest = ""
}

func (r *reader) byte(what string) byte {
	if r.rest == "" {
		r.fail("%s is missing", what)
		return 0
	}
	b := r.rest[0]
	r.rest = r.rest[1:]
	return b
}

// uvarint accepts only the shortest form of a number, so that equal values have
// equal encodings.
func (r *reader) uvarint(what string) uint64 {
	var v uint64
	for i := range min(len(r.rest), maxUvarintLen) {
		b := r.rest[i]
		if i == maxUvarintLen-1 && b > 1 {
			break
		}
		v |= uint64(b&0x7f) << (7 * i)
		if b >= 0x80 {
			continue
		}
		if b == 0 && i > 0 {
			break
		}
		r.rest = r.rest[i+1:]
		return v
	}
	r.fail("%s is not a number in its shortest form, or is cut off", what)
	return 0
}

// text reads a length and that many bytes. The length is compared with what is
// there before anything is done with it.
func (r *reader) text(what string) string {
	n := r.uvarint(what)
	if n > uint64(len(r.rest)) {
		r.fail("%s needs %d bytes, %d are left", what, n, len(r.rest))
		return ""
	}
	s := r.rest[:n]
	r.rest = r.rest[n:]
	return s
}

// version reads the first byte of an encoding.
func (r *reader) version(want byte) {
	if got := r.byte("version byte"); r.err == nil && got != want {
		r.fail("version %d; this program reads version %d: run the pipeline with the library version that wrote it", got, want)
	}
}
