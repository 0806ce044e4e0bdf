package topic

import (
	"unicode/utf16"
	"unicode/utf8"
)

// JavaHash returns what Java's String.hashCode gives for the text in s:
// h = 31*h + c over its UTF-16 code units c, wrapping at 32 bits
// (https://docs.oracle.com/en/java/javase/17/docs/api/java.base/java/lang/String.html#hashCode()).
// The hash of "" is 0.
//
// Bytes that are not valid UTF-8 count as Java's new String(s, UTF_8) replaces
// them: one U+FFFD for each maximal part of a character that is cut off or goes
// wrong, one for each other byte that cannot begin a character, and one for a
// surrogate that was encoded on its own (three bytes). It does not allocate.
func JavaHash(s string) int32 {
	return int32(unitHash(0).text(s))
}

// unitHash is the hash of the UTF-16 code units seen so far.
type unitHash int32

func (h unitHash) unit(c uint16) unitHash { return 31*h + unitHash(c) }

// text adds a string of bytes.
func (h unitHash) text(s string) unitHash {
	for i := 0; i < len(s); {
		if c := s[i]; c < utf8.RuneSelf {
			h = 31*h + unitHash(c)
			i++
			continue
		}
		r, n := decode(s[i:])
		h = h.rune(r)
		i += n
	}
	return h
}

func (h unitHash) rune(r rune) unitHash {
	if hi, lo := utf16.EncodeRune(r); hi != utf8.RuneError {
		return h.unit(uint16(hi)).unit(uint16(lo))
	}
	return h.unit(uint16(r))
}

// decode returns the first character of s and its length in bytes, or U+FFFD
// and the number of bytes that Java replaces by it.
func decode(s string) (rune, int) {
	r, n := utf8.DecodeRuneInString(s)
	if r == utf8.RuneError && n == 1 {
		return r, malformedLen(s)
	}
	return r, n
}

// malformedLen returns how many bytes at the start of s Java replaces by one
// U+FFFD, given that s does not start with a valid character.
func malformedLen(s string) int {
	lead := s[0]
	if lead < 0xE0 || lead > 0xF4 || len(s) < 2 || !continues(lead, s[1]) {
		return 1
	}
	if len(s) < 3 || !isContinuation(s[2]) {
		return 2
	}
	// Three good bytes: a character of four that ends too early, or a surrogate.
	return 3
}

// continues reports whether Java accepts b as the second byte after lead, which
// is one of E0 to F4. Overlong forms and what lies above U+10FFFF are refused
// here; surrogates are not, Java finds them only after the third byte.
func continues(lead, b byte) bool {
	switch lead {
	case 0xE0:
		return b >= 0xA0 && b <= 0xBF
	case 0xF0:
		return b >= 0x90 && b <= 0xBF
	case 0xF4:
		return b >= 0x80 && b <= 0x8F
	}
	return isContinuation(b)
}

func isContinuation(b byte) bool { return b&0xC0 == 0x80 }
