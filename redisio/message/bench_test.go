package message

import (
	"strings"
	"testing"
)

// benchOrder is of the size that the project's speed marks use: about 130 bytes.
var benchOrder = Message{
	Stream: "orders:3",
	ID:     EntryID{Ms: 1700000000000, Seq: 7},
	Key:    "customer-17",
	Fields: []Field{{"order_id", "0000004711"}, {"total", "129.90"}, {"currency", "EUR"}, {"note", strings.Repeat("x", 60)}},
}

func BenchmarkAppendMessage(b *testing.B) {
	var buf []byte
	b.ReportAllocs()
	for b.Loop() {
		buf = AppendMessage(buf[:0], benchOrder)
	}
	b.SetBytes(int64(len(buf)))
}

func BenchmarkEncodeMessage(b *testing.B) {
	b.ReportAllocs()
	for b.Loop() {
		encodeMessage(benchOrder)
	}
}

func BenchmarkDecodeMessage(b *testing.B) {
	buf := AppendMessage(nil, benchOrder)
	b.SetBytes(int64(len(buf)))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := DecodeMessage(buf); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkParseEntryID(b *testing.B) {
	b.ReportAllocs()
	for b.Loop() {
		if _, err := ParseEntryID("1700000000000-7"); err != nil {
			b.Fatal(err)
		}
	}
}
