package tracing

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	sdktrace "go.opentelemetry.io/otel/sdk/trace"

	"example.com/beamredis/redisio/conn"
	"example.com/beamredis/redisio/message"
)

func attributesOf(span sdktrace.ReadOnlySpan) map[string]string {
	attrs := map[string]string{}
	for _, kv := range span.Attributes() {
		attrs[string(kv.Key)] = kv.Value.String()
	}
	return attrs
}

// The SDK drops attributes beyond 128 without a word.
func TestASpanOfManyFieldsTellsSoAndWhatWentWrong(t *testing.T) {
	sink := Options{Level: All, Contents: AllContents}.Open(conn.Config{}, Add, noCode)
	m := message.Message{}
	for i := range 200 {
		m.Fields = append(m.Fields, message.Field{Name: fmt.Sprint("f", i), Value: "v"})
	}
	spans := recorded(func() {
		sink.Failed(nil, time.Now(), &Element{Destination: "out:0", Message: &m}, 1, errors.New("WRONGTYPE"))
	})
	if len(spans) != 1 || spans[0].DroppedAttributes() != 0 {
		t.Fatalf("%d spans, attributes dropped", len(spans))
	}
	attrs, told := attributesOf(spans[0]), 0
	for name := range attrs {
		if strings.HasPrefix(name, string(FieldPrefix)) {
			told++
		}
	}
	if told != mostFields || attrs["error.type"] != "WRONGTYPE" || attrs[string(CutKey)] != "true" {
		t.Errorf("%d fields, error.type %q, cut %q", told, attrs["error.type"], attrs[string(CutKey)])
	}
}

func TestAnotherTracesStateDoesNotGoOn(t *testing.T) {
	fields := []message.Field{{Name: "traceparent", Value: "garbage"}, {Name: "tracestate", Value: "other=1"}, {Name: "a", Value: "1"}}
	m := message.Message{Fields: fields}
	Options{Level: All}.Open(conn.Config{}, Add, noCode).Begin(&m)
	own := WithContext(ContextOf(t.Context(), []message.Field{{Name: "traceparent", Value: parent}}), fields)
	for _, got := range [][]message.Field{m.Fields, own} {
		if len(got) != 2 || got[0].Name != "traceparent" || got[0].Value == "garbage" || got[1].Name != "a" {
			t.Errorf("fields %+v, want a new traceparent and no tracestate", got)
		}
	}
	if fields[1].Value != "other=1" {
		t.Error("the fields, which another sink may write as well, were changed")
	}
}

func TestFailuresOfTheSourceHaveAnErrorType(t *testing.T) {
	s := source()
	spans := recorded(func() {
		claimed, other, rejected := traced(parent), traced(parent), traced(parent)
		w := s.Keep([]Emitted{s.Emit(&claimed).End()}, []Emitted{s.Emit(&other).End()})
		w.Acked(time.Now(), errors.New("NOPERM"), nil)
		s.Emit(&rejected).Reject()
	})
	var types []string
	for _, span := range spans {
		types = append(types, attributesOf(span)["error.type"])
	}
	// Two emissions, the XACK that failed and that of the other, the rejected one.
	if got, want := fmt.Sprintf("%q", types), `["" "" "WRONGTYPE" "" "_OTHER"]`; got != want {
		t.Errorf("error.type of the spans: %s, want %s", got, want)
	}
}

func TestLevelNoneWithoutAServiceNameAsksForNothing(t *testing.T) {
	for _, o := range []Options{{}, {Level: None}, {Level: None, Contents: AllContents}, {Contents: Metadata}} {
		if !o.off() {
			t.Errorf("%+v has OpenTelemetry set up", o)
		}
	}
	for _, o := range []Options{{Service: "s"}, {Service: "s", Level: None}, {Level: Failures}, {Level: All}} {
		if o.off() {
			t.Errorf("%+v has nothing set up", o)
		}
	}
}
