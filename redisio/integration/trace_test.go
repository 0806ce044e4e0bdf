package integration_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/apache/beam/sdks/v2/go/pkg/beam"
	"github.com/apache/beam/sdks/v2/go/pkg/beam/register"
	"github.com/google/go-cmp/cmp"
	"github.com/redis/go-redis/v9"

	"example.com/beamredis/redisio"
	"example.com/beamredis/redisio/internal/oteltest"
)

func init() {
	register.Function1x1(rewrite)
}

// rewrite makes a message of its own of the one that was read.
func rewrite(m redisio.Message) redisio.Message {
	n, _ := m.Get("n")
	return m.With(m.Key, redisio.Field{Name: "rewritten", Value: n})
}

// origin is the trace context of a producer outside.
type origin struct{ trace, span string }

func newOrigin() origin {
	return origin{fmt.Sprintf("%016x%016x", rand.Uint64()|1, rand.Uint64()), fmt.Sprintf("%016x", rand.Uint64()|1)}
}

func (o origin) parent(flags string) string { return "00-" + o.trace + "-" + o.span + "-" + flags }

const (
	vendorState  = "vendor=opaque"
	outerBaggage = "tenant=acme,region=north"
)

// addTraced adds an entry as a producer does that traces.
func (s *server) addTraced(stream string, n int, o origin, flags string) (id string) {
	s.t.Helper()
	id, err := s.client.XAdd(s.t.Context(), &redis.XAddArgs{Stream: stream, Values: []string{
		"_key", keyOf(n), "traceparent", o.parent(flags), "n", fmt.Sprint(n), "tracestate", vendorState, "baggage", outerBaggage,
	}}).Result()
	if err != nil {
		s.t.Fatal(err)
	}
	return id
}

// only returns the one entry of the topic out, and its stream.
func (s *server) only() (stream string, fields map[string]string, id string) {
	s.t.Helper()
	n := 0
	for _, p := range out.Parts() {
		s.scan(p.Stream, func(e entry) {
			n++
			stream, id, fields = p.Stream, e.id, map[string]string{}
			for i := 0; i < len(e.fields); i += 2 {
				fields[e.fields[i]] = e.fields[i+1]
			}
		})
	}
	if n != 1 {
		s.t.Fatalf("%d entries came out, want one", n)
	}
	return stream, fields, id
}

func service(t *testing.T) string { return fmt.Sprint(t.Name(), " ", rand.Uint64()) }

func one(t *testing.T, spans []oteltest.Span, name string) oteltest.Span {
	t.Helper()
	found := oteltest.Find(spans, name)
	if len(found) != 1 {
		t.Fatalf("%d spans are called %q, want one; all: %+v", len(found), name, spans)
	}
	return found[0]
}

// A record's trace goes from a producer outside through Read, a DoFn and Write
// to the next reader, fused or over a shuffle.
func TestARecordIsOneTraceFromXADDToXADD(t *testing.T) {
	for name, between := range map[string]func(beam.Scope, beam.PCollection) beam.PCollection{
		"fused": func(s beam.Scope, msgs beam.PCollection) beam.PCollection { return beam.ParDo(s, rewrite, msgs) },
		"shuffled": func(s beam.Scope, msgs beam.PCollection) beam.PCollection {
			return beam.ParDo(s, rewrite, beam.ParDo(s, ungroup, beam.GroupByKey(s, beam.ParDo(s, byKey, msgs))))
		},
	} {
		t.Run(name, func(t *testing.T) {
			receiver := oteltest.Shared(t)
			s := start(t)
			o, service := newOrigin(), service(t)
			id := s.addTraced("in:1", 5, o, "01")
			j := untilCaughtUp(s, redisio.WithServiceName(service))
			j.write = []redisio.WriteOption{redisio.WithServiceName(service), redisio.WithTracing(redisio.TraceAll, redisio.TraceMetadata)}
			j.between = between
			j.mustRun(t)

			stream, fields, outID := s.only()
			spans := receiver.Wait(t, service, "the whole trace", func(spans []oteltest.Span) bool { return len(spans) >= 4 })
			fetch, emit := one(t, spans, "XREADGROUP in:1"), one(t, spans, "emit in:1")
			ack, add := one(t, spans, "XACK in:1"), one(t, spans, "XADD "+stream)
			for _, span := range spans {
				if span.Trace != o.trace {
					t.Errorf("span %s is of trace %s, want %s", span.Name, span.Trace, o.trace)
				}
			}
			got := []string{fetch.Parent, emit.Parent, ack.Parent, add.Parent}
			if diff := cmp.Diff([]string{o.span, o.span, emit.ID, emit.ID}, got); diff != "" {
				t.Errorf("parents of XREADGROUP, emit, XACK and XADD (-want +got):\n%s", diff)
			}
			if emit.Attrs["messaging.message.id"] != id || add.Attrs["messaging.message.id"] != outID || add.Attrs["redisio.source.id"] != id {
				t.Errorf("IDs: read %s, written %s; spans: %+v, %+v", id, outID, emit.Attrs, add.Attrs)
			}
			want := map[string]string{"_key": keyOf(5), "rewritten": "5", "traceparent": "00-" + o.trace + "-" + add.ID + "-01",
				"tracestate": vendorState, "baggage": outerBaggage}
			if diff := cmp.Diff(want, fields); diff != "" {
				t.Errorf("the new entry (-want +got):\n%s", diff)
			}
			if emit.State != vendorState || add.State != vendorState {
				t.Errorf("trace states %q and %q, want %q", emit.State, add.State, vendorState)
			}
		})
	}
}

// Every ack strategy that acknowledges has a span of it.
func TestAcknowledgementsOfEveryStrategyAreTraced(t *testing.T) {
	for strategy, want := range map[redisio.AckStrategy]int{redisio.AckOnCheckpoint: 3, redisio.AckOnEmit: 3, redisio.NoAck: 0} {
		t.Run(string(strategy), func(t *testing.T) {
			receiver := oteltest.Shared(t)
			s := start(t)
			service := service(t)
			for n := range 3 {
				s.addTraced("in:0", n, newOrigin(), "01")
			}
			untilCaughtUp(s, redisio.WithServiceName(service), redisio.WithAckStrategy(strategy)).mustRun(t)
			spans := receiver.Wait(t, service, "spans of 3 emissions", func(spans []oteltest.Span) bool {
				return oteltest.Count(spans, "emit in:0") == 3 && oteltest.Count(spans, "XACK in:0") == want
			})
			if fetch := one(t, spans, "XREADGROUP in:0"); len(fetch.Links) != 3 || fetch.Attrs["messaging.batch.message_count"] != "3" {
				t.Errorf("the fetch of three entries: %+v", fetch)
			}
		})
	}
}

// What pending entries of an earlier consumer were part of goes on, too.
func TestARedeliveredEntryIsTraced(t *testing.T) {
	receiver := oteltest.Shared(t)
	s := start(t)
	o, service := newOrigin(), service(t)
	s.addTraced("in:2", 9, o, "01")
	if err := s.client.XGroupCreate(t.Context(), "in:2", group, "0").Err(); err != nil {
		t.Fatal(err)
	}
	if err := s.client.XReadGroup(t.Context(), &redis.XReadGroupArgs{Group: group, Consumer: "beam", Streams: []string{"in:2", ">"}}).Err(); err != nil {
		t.Fatal(err)
	}
	untilCaughtUp(s, redisio.WithServiceName(service)).mustRun(t)
	spans := receiver.Wait(t, service, "emission and acknowledgement", func(spans []oteltest.Span) bool { return len(spans) >= 2 })
	emit, ack := one(t, spans, "emit in:2"), one(t, spans, "XACK in:2")
	if emit.Parent != o.span || ack.Parent != emit.ID {
		t.Errorf("emission %+v, acknowledgement %+v", emit, ack)
	}
}

// Entries of traces that are not sampled, and entries without any, pass as they
// are.
func TestAnUnsampledTraceIsHandedOnWithoutSpans(t *testing.T) {
	receiver := oteltest.Shared(t)
	s := start(t)
	o, service := newOrigin(), service(t)
	s.addTraced("in:0", 4, o, "00")
	j := untilCaughtUp(s, redisio.WithServiceName(service))
	j.write = []redisio.WriteOption{redisio.WithServiceName(service), redisio.WithTracing(redisio.TraceAll, redisio.TraceAllContents)}
	j.mustRun(t)
	_, fields, _ := s.only()
	want := map[string]string{"_key": keyOf(4), "n": "4", "traceparent": o.parent("00"), "tracestate": vendorState, "baggage": outerBaggage}
	if diff := cmp.Diff(want, fields); diff != "" {
		t.Errorf("the new entry (-want +got):\n%s", diff)
	}
	if spans := receiver.Spans(service); len(spans) > 0 {
		t.Errorf("spans of a trace that is not sampled: %+v", spans)
	}
}

// A message without context begins a trace at a sink that traces all, and
// stays as it is at one that traces nothing.
func TestASinkBeginsATraceWhereThereIsNone(t *testing.T) {
	receiver := oteltest.Shared(t)
	for level, want := range map[redisio.TraceLevel]int{redisio.TraceAll: 1, redisio.TraceFailures: 0, redisio.TraceNone: 0} {
		t.Run(string(level), func(t *testing.T) {
			s := start(t)
			service := service(t)
			s.load(in, 3, 4, func(int) []string { return []string{"n", "3"} })
			j := untilCaughtUp(s, redisio.WithServiceName(service))
			j.write = []redisio.WriteOption{redisio.WithServiceName(service), redisio.WithTracing(level, redisio.TraceNoContents)}
			j.mustRun(t)
			stream, fields, _ := s.only()
			if got := len(receiver.Spans(service)); got != want && want == 0 {
				t.Errorf("%d spans, want none", got)
			}
			if want == 0 {
				if diff := cmp.Diff(map[string]string{"n": "3"}, fields); diff != "" {
					t.Errorf("the new entry (-want +got):\n%s", diff)
				}
				return
			}
			spans := receiver.Wait(t, service, "a span", func(spans []oteltest.Span) bool { return len(spans) == want })
			add := one(t, spans, "XADD "+stream)
			if add.Parent != "" || fields["traceparent"] != "00-"+add.Trace+"-"+add.ID+"-01" {
				t.Errorf("span %+v, entry %v", add, fields)
			}
		})
	}
}

// Trace context does not make a new message of one that was written.
func TestIdempotenceOverAShuffleDoesNotHeedTraceContext(t *testing.T) {
	receiver := oteltest.Shared(t)
	s := start(t)
	o, service := newOrigin(), service(t)
	s.addTraced("in:1", 5, o, "01")
	for range 2 {
		j := untilCaughtUp(s, redisio.WithServiceName(service))
		j.write = []redisio.WriteOption{redisio.WithServiceName(service), redisio.WithTracing(redisio.TraceAll, redisio.TraceMetadata), redisio.WithIdempotence("once")}
		j.between = func(s beam.Scope, msgs beam.PCollection) beam.PCollection {
			return beam.ParDo(s, ungroup, beam.GroupByKey(s, beam.ParDo(s, byKey, msgs)))
		}
		j.mustRun(t)
		// As after a crash before the first checkpoint: all is read again.
		if err := s.client.XGroupSetID(t.Context(), "in:1", group, "0").Err(); err != nil {
			t.Fatal(err)
		}
	}
	stream, _, outID := s.only()
	spans := receiver.Wait(t, service, "two attempts", func(spans []oteltest.Span) bool { return oteltest.Count(spans, "XADD "+stream) == 2 })
	if ids := oteltest.Find(spans, "XADD "+stream); ids[0].Attrs["messaging.message.id"] != outID {
		t.Errorf("the first attempt, of entry %s: %+v", outID, ids[0])
	}
}

// Neither spans nor metrics hold a password, whatever happens.
func TestNoSecretIsExported(t *testing.T) {
	receiver := oteltest.Shared(t)
	const password = "correct-horse-battery-staple"
	s := start(t)
	if err := s.client.ConfigSet(t.Context(), "requirepass", password).Err(); err != nil {
		t.Fatal(err)
	}
	t.Setenv("TRACED_PASSWORD", password)
	if err := s.client.Do(t.Context(), "auth", password).Err(); err != nil {
		t.Fatal(err)
	}
	conn, err := redisio.ParseURL("redis://" + s.Addr() + "?password_env=TRACED_PASSWORD")
	if err != nil {
		t.Fatal(err)
	}
	traced := func(service string) copyJob {
		return copyJob{conn: conn, opts: []redisio.ReadOption{redisio.WithServiceName(service), redisio.WithStopAtLatest()},
			write: []redisio.WriteOption{redisio.WithServiceName(service), redisio.WithTracing(redisio.TraceAll, redisio.TraceAllContents)}}
	}
	service := service(t)
	s.produceAs(password, "in:0", newOrigin())
	traced(service).mustRun(t)
	receiver.Wait(t, service, "spans", func(spans []oteltest.Span) bool { return len(spans) >= 4 })

	// A server that refuses the password.
	if err := s.client.ConfigSet(t.Context(), "requirepass", "another").Err(); err != nil {
		t.Fatal(err)
	}
	refused := conn
	refused.ClientName = "refused" // a client of its own, which has to log in
	p, scope := beam.NewPipelineWithRoot()
	redisio.Write(scope, refused, out, beam.CreateList(scope, []redisio.Message{{Key: "k"}}),
		redisio.WithServiceName(service), redisio.WithTracing(redisio.TraceAll, redisio.TraceAllContents))
	if err := runPipeline(t.Context(), p); err == nil || !strings.Contains(err.Error(), "wrong user or password") || strings.Contains(err.Error(), password) {
		t.Errorf("error %v, want one of a wrong password, without it", err)
	}
	receiver.Wait(t, service, "the span of the failure", func(spans []oteltest.Span) bool {
		return slices.ContainsFunc(spans, func(s oteltest.Span) bool { return s.Failed })
	})
	for _, text := range receiver.Raw() {
		if strings.Contains(text, password) {
			t.Fatalf("the password was exported: %s", text)
		}
	}
}

// produceAs adds a traced entry on a connection of its own, which logs in.
func (s *server) produceAs(password, stream string, o origin) {
	s.t.Helper()
	c := redis.NewClient(&redis.Options{Addr: s.Addr(), Password: password})
	defer c.Close()
	if err := c.XAdd(context.Background(), &redis.XAddArgs{Stream: stream, Values: []string{"n", "1", "traceparent", o.parent("01")}}).Err(); err != nil {
		s.t.Fatal(err)
	}
}

// More spans than are kept, and nobody who takes them: nothing waits for that.
func TestAReceiverThatCannotBeReachedHoldsUpNothing(t *testing.T) {
	oteltest.Shared(t) // takes the metrics
	for name, addr := range oteltest.Unreachable(t) {
		t.Run(name, func(t *testing.T) {
			t.Setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "http://"+addr)
			s := start(t)
			service, o := service(t), newOrigin()
			n := sized(20_000, 1_000_000)
			s.load(in, 0, n, func(i int) []string { return append(entryOf(i), "traceparent", o.parent("01")) })
			j := untilCaughtUp(s, redisio.WithServiceName(service))
			j.write = []redisio.WriteOption{redisio.WithServiceName(service), redisio.WithTracing(redisio.TraceAll, redisio.TraceMetadata)}
			j.mustRun(t)
			if got := s.length(out); got != n {
				t.Errorf("%d entries came out of %d", got, n)
			}
			s.wantCaughtUp(in, group)
		})
	}
}
