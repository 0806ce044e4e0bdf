package topic

import (
	"testing"

	"example.com/beamredis/redisio/message"
)

func fields(namesAndValues ...string) []message.Field {
	out := []message.Field{}
	for i := 0; i < len(namesAndValues); i += 2 {
		out = append(out, message.Field{Name: namesAndValues[i], Value: namesAndValues[i+1]})
	}
	return out
}

func TestMessageIsPlacedByKeyElseByPayload(t *testing.T) {
	tests := []struct {
		name string
		msg  message.Message
		text string // what is hashed
	}{
		{"key", message.Message{Key: "c-7", Fields: fields("data", "{}")}, "c-7"},
		{"key beside the mark of an empty one", message.Message{Key: "c-7", EmptyKey: true}, "c-7"},
		{"empty key", message.Message{EmptyKey: true, Fields: fields("data", "{}")}, ""},
		{"data field as it stands", message.Message{Fields: fields("data", `{"a": "<b>"}`)}, `{"a": "<b>"}`},
		{"data field beside others", message.Message{Fields: fields("x", "1", "data", "[1]", "y", "2")}, "[1]"},
		{"first of two data fields", message.Message{Fields: fields("data", "one", "data", "two")}, "one"},
		{"empty data field", message.Message{Fields: fields("data", "", "x", "1")}, ""},
		{"Data is not data", message.Message{Fields: fields("Data", "1")}, `{"Data":"1"}`},
		{"fields", message.Message{Fields: fields("b", "1", "a", "2", "b", "3")}, `{"b":"1","a":"2","b":"3"}`},
		{"escapes", message.Message{Fields: fields("a\"\\", "\b\f\n\r\t\x00\x1f\x7f/<>&")}, `{"a\"\\":"\b\f\n\r\t\u0000\u001F` + "\x7f" + `/<>&"}`},
		{"no fields", message.Message{}, `{}`},
		{"trace context before, between and behind", message.Message{Fields: fields("traceparent", "00-1", "a", "1", "tracestate", "v=1", "b", "2", "baggage", "x=y")}, `{"a":"1","b":"2"}`},
		{"nothing but trace context", message.Message{Fields: fields("traceparent", "00-1")}, `{}`},
		{"names that are like those of trace context", message.Message{Fields: fields("Traceparent", "00-1")}, `{"Traceparent":"00-1"}`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got, want := hashOf(&tt.msg), JavaHash(tt.text); got != want {
				t.Errorf("hash %d, want %d, that of %s", got, want, tt.text)
			}
			topic := Topic{Keys: []string{"eu", "us", "asia", "africa", "oceania"}}
			if got, want := topic.PartitionOf(&tt.msg), IndexOf(JavaHash(tt.text), 5); got != want {
				t.Errorf("partition %d, want %d", got, want)
			}
		})
	}
}

func TestPlacingDoesNotAllocate(t *testing.T) {
	orders := Topic{Name: "orders", Partitions: 4}
	messages := map[string]*message.Message{
		"key":  {Key: "customer-1", Fields: fields("data", "{}")},
		"data": {Fields: fields("data", `{"id":1}`)},
		"JSON": {Fields: fields("id", "\"1\"", "größe", "\xff\x01")},
	}
	for name, m := range messages {
		if n := testing.AllocsPerRun(100, func() { sink = orders.PartitionOf(m) }); n != 0 {
			t.Errorf("placing by %s allocates %v times", name, n)
		}
	}
}

func BenchmarkPartitionOf(b *testing.B) {
	orders := Topic{Name: "orders", Partitions: 4}
	messages := []struct {
		name string
		msg  message.Message
	}{
		{"key", message.Message{Key: "customer-0012345"}},
		{"fields", message.Message{Fields: fields("order_id", "4711", "customer", "c-12", "note", "two \"large\" boxes", "sku", "A-1")}},
	}
	for _, m := range messages {
		b.Run(m.name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				sink = orders.PartitionOf(&m.msg)
			}
		})
	}
}
