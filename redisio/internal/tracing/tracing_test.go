package tracing

import (
	"errors"
	"fmt"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.opentelemetry.io/otel"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"

	"example.com/beamredis/redisio/conn"
	"example.com/beamredis/redisio/internal/telemetry"
	"example.com/beamredis/redisio/message"
	"example.com/beamredis/redisio/topic"
)

// recorder takes the spans of the tests: that of a program which has set up
// OpenTelemetry itself.
var recorder = tracetest.NewSpanRecorder()

func TestMain(m *testing.M) {
	os.Setenv("OTEL_METRICS_EXPORTER", "none")
	otel.SetTracerProvider(sdktrace.NewTracerProvider(sdktrace.WithSpanProcessor(recorder)))
	os.Exit(m.Run())
}

// recorded runs f and returns the spans that it ended.
func recorded(f func()) []sdktrace.ReadOnlySpan {
	before := len(recorder.Ended())
	f()
	return recorder.Ended()[before:]
}

const parent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"

func source() *Source {
	return NewSource(SourceConfig{Service: "s", Conn: conn.Config{Addr: "redis.example:7000", DB: 2},
		Partition: topic.Partition{Stream: "in:1", Index: 1, Count: 2}, Group: "g", Consumer: "beam", Code: noCode})
}

func traced(value string) message.Message {
	return message.Message{Stream: "in:1", ID: message.EntryID{Ms: 5}, Key: "k", Fields: []message.Field{{Name: "a", Value: "1"}, {Name: "traceparent", Value: value}}}
}

func noCode(error) string { return "WRONGTYPE" }

func TestOnlyWhatCarriesContextHasSpansAtTheSource(t *testing.T) {
	s := source()
	for name, tc := range map[string]struct {
		value string
		want  bool
	}{
		"sampled":        {parent, true},
		"later version":  {"01-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01-more", true},
		"not hex":        {strings.Replace(parent, "0af", "xyz", 1), false},
		"no trace":       {"00-00000000000000000000000000000000-b7ad6b7169203331-01", false},
		"cut off":        {parent[:50], false},
		"empty":          {"", false},
		"version ff":     {"ff" + parent[2:], false},
		"capital digits": {strings.ToUpper(parent), false},
	} {
		m := traced(tc.value)
		spans := recorded(func() {
			if e := s.Emit(&m); e != nil {
				e.End()
			}
			f := s.BeginFetch()
			f.Replied(1)
			f.Entry(traced(tc.value).Fields)
			f.End()
		})
		if (len(spans) == 2) != tc.want || !tc.want && (len(spans) > 0 || m.Fields[1].Value != tc.value) {
			t.Errorf("%s: %d spans, traceparent %s", name, len(spans), m.Fields[1].Value)
		}
	}
}

func TestFlagsOfATraceAreReadWithoutParsing(t *testing.T) {
	for value, want := range map[string]bool{
		parent: false, parent[:53] + "00": true, parent[:53] + "02": true, parent[:53] + "03": false, parent[:53] + "0f": false, parent[:53] + "fe": true,
		"": false, "x": false, "01" + parent[2:53] + "00": false, parent[:53] + "00-": false,
	} {
		if got := unsampled(traced(value).Fields); got != want {
			t.Errorf("%q: %v, want %v", value, got, want)
		}
	}
	if unsampled(nil) {
		t.Error("no context counts as one that is not sampled")
	}
}

// The fields of an unsampled message are neither parsed nor copied.
func TestAnUnsampledMessageCostsNoMemory(t *testing.T) {
	src, sink := source(), Options{Level: All}.Open(conn.Config{}, Add, noCode)
	src.sdk = &telemetry.SDK{Tracer: src.sdk.Tracer, FollowsParent: true}
	sink.sdk = src.sdk
	m := traced(parent[:53] + "00")
	plain := message.Message{Fields: []message.Field{{Name: "a", Value: "1"}}}
	if n := testing.AllocsPerRun(100, func() {
		if src.Emit(&m) != nil || src.Emit(&plain) != nil || sink.Begin(&m) != nil {
			t.Fatal("there is a span")
		}
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func TestTheContextOfASpanTakesThePlaceOfItsParent(t *testing.T) {
	sink := Options{Level: All, Contents: Metadata}.Open(conn.Config{}, Add, noCode)
	m := traced(parent)
	shared := m.Fields
	sp := sink.Begin(&m)
	want := "00-0af7651916cd43dd8448eb211c80319c-" + sp.span.SpanContext().SpanID().String() + "-01"
	if got := m.Fields[1].Value; got != want {
		t.Errorf("traceparent %s, want %s", got, want)
	}
	if shared[1].Value != parent {
		t.Error("the fields, which another sink may write as well, were changed")
	}
	plain := message.Message{Fields: []message.Field{{Name: "a", Value: "1"}}}
	if sink.Begin(&plain); len(plain.Fields) != 2 || plain.Fields[1].Name != "traceparent" {
		t.Errorf("a message without context: %+v", plain.Fields)
	}
	doc := traced(parent)
	Options{Level: All}.Open(conn.Config{}, "HSET", noCode).Begin(&doc)
	if doc.Fields[1].Value != parent {
		t.Error("a document was changed")
	}
}

func TestContextGoesThroughADoFn(t *testing.T) {
	fields := []message.Field{{Name: "traceparent", Value: parent}, {Name: "tracestate", Value: "v=1"}, {Name: "baggage", Value: "tenant=acme"}}
	ctx := ContextOf(t.Context(), fields)
	got := WithContext(ctx, []message.Field{{Name: "a", Value: "1"}})
	slices.SortFunc(got, func(a, b message.Field) int { return strings.Compare(a.Name, b.Name) })
	want := []message.Field{{Name: "a", Value: "1"}, fields[2], fields[0], fields[1]}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("fields (-want +got):\n%s", diff)
	}
	ctx, span := otel.Tracer("").Start(ctx, "own")
	if got := WithContext(ctx, fields); got[0].Value == parent || !strings.Contains(got[0].Value, span.SpanContext().SpanID().String()) || fields[0].Value != parent {
		t.Errorf("fields %+v of the span %v, of %+v", got, span.SpanContext().SpanID(), fields)
	}
	if got := WithContext(t.Context(), fields); &got[0] != &fields[0] {
		t.Error("without a span the fields do not stay as they are")
	}
}

// What waits for acknowledgement is bounded, and given back with what holds it.
func TestWaitingSpansAreBounded(t *testing.T) {
	s := source()
	many := s.Keep(make([]Emitted, mostWaiting-1), nil)
	if many == nil || s.Keep(make([]Emitted, 1), make([]Emitted, 1)) != nil {
		t.Fatal("too few or too many are kept")
	}
	one := s.Keep(nil, make([]Emitted, 1))
	recorded(func() { one.Acked(time.Now(), nil, errors.New("gone")) })
	giveBack(many.counted)
	giveBack(many.counted) // as the garbage collector does later
	if n := waiting.Load(); n != 0 {
		t.Errorf("%d wait still", n)
	}
	if s.Keep(nil, nil) != nil {
		t.Error("nothing is kept as something")
	}
	(*Waiting)(nil).Acked(time.Now(), nil, nil)
}

// everySpan makes one span of each kind.
func everySpan(level Level, contents Contents) {
	s := source()
	f := s.BeginFetch()
	f.Replied(2)
	f.Entry(traced(parent).Fields)
	f.End()
	for range 2 {
		m := traced(parent)
		s.Keep([]Emitted{s.Emit(&m).End()}, nil).Acked(time.Now(), nil, nil)
	}
	for _, command := range []string{Add, "JSON.SET", "HSET"} {
		sink := Options{Level: level, Contents: contents}.Open(conn.Config{}, command, noCode)
		m := traced(parent)
		e := &Element{Destination: "out:0", Message: &m, ID: message.EntryID{Ms: 6}, EventTime: 5}
		if command == "JSON.SET" {
			e.JSON = strings.Repeat("x", 2*mostContents)
		}
		sink.Written(sink.Begin(&m), e, 1)
		sink.Failed(nil, time.Now(), e, 2, errors.New("WRONGTYPE"))
	}
}

// The page lists every span and every attribute, and no others.
func TestDocsListEverySpanAndAttribute(t *testing.T) {
	text, err := os.ReadFile("../../../docs/observability.md")
	if err != nil {
		t.Fatal(err)
	}
	names, attributes := map[string]bool{}, map[string]bool{}
	for _, contents := range []Contents{NoContents, Metadata, AllContents} {
		for _, span := range recorded(func() { everySpan(All, contents) }) {
			name := strings.NewReplacer("in:1", "STREAM", "out:0", "STREAM").Replace(span.Name())
			names[fmt.Sprintf("| `%s` | %s |", name, strings.ToUpper(span.SpanKind().String()))] = true
			for _, a := range span.Attributes() {
				attributes[regexp.MustCompile(`^redisio\.field\..*`).ReplaceAllString(string(a.Key), "redisio.field.NAME")] = true
			}
		}
	}
	if diff := cmp.Diff(sorted(names), rows(string(text), "## Spans", "^\\| `[^`]+` \\| [A-Z]+ \\|")); diff != "" {
		t.Errorf("spans (-code +docs):\n%s", diff)
	}
	var listed []string
	for _, row := range rows(string(text), "## Attributes of spans", "^\\| `[^`]+`") {
		listed = append(listed, strings.Trim(row, "| `"))
	}
	if diff := cmp.Diff(sorted(attributes), listed); diff != "" {
		t.Errorf("attributes (-code +docs):\n%s", diff)
	}
}

func sorted(set map[string]bool) (list []string) {
	for s := range set {
		list = append(list, s)
	}
	slices.Sort(list)
	return list
}

// rows are the matches of pattern in the lines of a section, sorted.
func rows(text, heading, pattern string) (found []string) {
	_, section, _ := strings.Cut(text, heading+"\n")
	section, _, _ = strings.Cut(section, "\n## ")
	re := regexp.MustCompile(pattern)
	for line := range strings.Lines(section) {
		if m := re.FindString(line); m != "" {
			found = append(found, m)
		}
	}
	slices.Sort(found)
	return found
}

func TestAProgramsOwnSetUpIsUsed(t *testing.T) {
	if own := source().sdk; own.FollowsParent || otel.GetTracerProvider() == nil {
		t.Errorf("SDK %+v", own)
	}
	spans := recorded(func() {
		m := traced(parent[:53] + "00") // not sampled: this provider's sampler decides
		if e := source().Emit(&m); e != nil {
			e.End()
		}
	})
	if len(spans) != 0 {
		t.Errorf("%d spans; the default sampler follows the parent", len(spans))
	}
}

func BenchmarkUnsampledEmission(b *testing.B) {
	s := source()
	s.sdk = &telemetry.SDK{Tracer: s.sdk.Tracer, FollowsParent: true}
	m := traced(parent[:53] + "00")
	b.ReportAllocs()
	for b.Loop() {
		s.Emit(&m)
	}
}

func BenchmarkSampledEmission(b *testing.B) {
	s := source()
	b.ReportAllocs()
	for b.Loop() {
		m := traced(parent)
		s.Emit(&m).End()
	}
}
