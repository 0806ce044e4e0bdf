package topic

import (
	"math"
	"strings"
	"testing"
	"unicode/utf16"
	"unicode/utf8"
)

// hashByUnits is the definition, for valid UTF-8.
func hashByUnits(s string) int32 {
	var h int32
	for _, unit := range utf16.Encode([]rune(s)) {
		h = 31*h + int32(unit)
	}
	return h
}

func FuzzJavaHash(f *testing.F) {
	for _, s := range []string{"", "order-1", "polygenelubricants", "größe", "注文", "\U0001F600", "\xed\xa0\x80", "\xf0\x9f\x98", "\xff"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		got := JavaHash(s)
		if utf8.ValidString(s) {
			if want := hashByUnits(s); got != want {
				t.Errorf("JavaHash(%q) = %d, by its UTF-16 units %d", s, got, want)
			}
		}
		// ASCII ends whatever was cut off, so the rest hashes on its own.
		const end = "e"
		joined := int32(unitHash(JavaHash(s + end)).text(s))
		if want := JavaHash(s + end + s); joined != want {
			t.Errorf("JavaHash of %q in two steps is %d, in one %d", s+end+s, joined, want)
		}
		for _, n := range []int{1, 2, 7, 128, math.MaxInt32} {
			if i := IndexOf(got, n); i < 0 || i >= n {
				t.Errorf("IndexOf(%d, %d) = %d", got, n, i)
			}
		}
	})
}

func TestIndexIsAlwaysAPartition(t *testing.T) {
	tests := []struct {
		hash    int32
		n, want int
	}{
		{hash: 0, n: 4, want: 0},
		{hash: 7, n: 4, want: 3},
		{hash: -7, n: 4, want: 3},
		{hash: math.MaxInt32, n: 10, want: 7},
		{hash: -math.MaxInt32, n: 10, want: 7},
		{hash: math.MinInt32, n: 1, want: 0},
		{hash: math.MinInt32, n: 10, want: 8}, // 2147483648 mod 10
		{hash: math.MinInt32, n: 7, want: 2},
		{hash: math.MinInt32, n: 128, want: 0},
		{hash: math.MinInt32, n: math.MaxInt32, want: 1},
	}
	for _, tt := range tests {
		if got := IndexOf(tt.hash, tt.n); got != tt.want {
			t.Errorf("IndexOf(%d, %d) = %d, want %d", tt.hash, tt.n, got, tt.want)
		}
	}
}

func TestHashingDoesNotAllocate(t *testing.T) {
	texts := []string{"order-4711", "Bestellung für Müller", "\U0001F4E6 sent", "\xe2\x82 \xff"}
	for _, s := range texts {
		if n := testing.AllocsPerRun(100, func() { sink = int(JavaHash(s)) }); n != 0 {
			t.Errorf("JavaHash(%q) allocates %v times", s, n)
		}
	}
}

// sink keeps the compiler from dropping what is measured.
var sink int

func BenchmarkJavaHash(b *testing.B) {
	inputs := []struct{ name, text string }{
		{"ascii-16", "customer-0012345"},
		{"ascii-1k", strings.Repeat("0123456789abcdef", 64)},
		{"latin-1k", strings.Repeat("größe und maße ", 60)},
		{"emoji-1k", strings.Repeat("\U0001F600", 256)},
	}
	for _, in := range inputs {
		b.Run(in.name, func(b *testing.B) {
			b.SetBytes(int64(len(in.text)))
			b.ReportAllocs()
			for b.Loop() {
				sink = int(JavaHash(in.text))
			}
		})
	}
}
