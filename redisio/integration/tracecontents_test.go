package integration_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/apache/beam/sdks/v2/go/pkg/beam"
	"github.com/google/go-cmp/cmp"
	"github.com/redis/go-redis/v9"

	"example.com/beamredis/redisio"
	"example.com/beamredis/redisio/internal/oteltest"
	"example.com/beamredis/redisio/internal/redistest"
)

var (
	traceLevels   = []redisio.TraceLevel{redisio.TraceNone, redisio.TraceFailures, redisio.TraceAll}
	traceContents = []redisio.TraceContents{redisio.TraceNoContents, redisio.TraceMetadata, redisio.TraceAllContents}
)

// tracedSink writes two messages that were read, of which one can never be
// written.
type tracedSink struct {
	name, command string
	write         func(s beam.Scope, conn redisio.Conn, msgs beam.PCollection, opts ...redisio.WriteOption)
	// spoil makes it impossible to write the message of key.
	spoil func(s *server, key string)
	// spanName and destination are those of the span of the message of key.
	spanName func(key string) string
	// attributes of every span, and of those that tell metadata or all, beside
	// what all sinks have in common.
	minimal, metadata func(key string) []string
	all               []string // likewise, of those that tell all; the payload is in the first
	failure           string   // error.type
	json              bool     // the server has to have JSON documents
}

func noAttributes(string) []string { return nil }

var fieldAttributes = []string{"redisio.field.payload", "redisio.field.traceparent"}

func streamOf(key string) string {
	return out.Key(out.PartitionOf(&redisio.Message{Key: key}))
}

var tracedSinks = []tracedSink{{
	name: "stream", command: "XADD",
	write: func(s beam.Scope, conn redisio.Conn, msgs beam.PCollection, opts ...redisio.WriteOption) {
		redisio.Write(s, conn, out, msgs, opts...)
	},
	spoil:    func(s *server, key string) { s.set(streamOf(key)) },
	spanName: func(key string) string { return "XADD " + streamOf(key) },
	minimal: func(string) []string {
		return []string{"messaging.destination.name", "messaging.operation.name", "messaging.operation.type", "messaging.system"}
	},
	metadata: func(key string) []string {
		if key == goodKey {
			return []string{"messaging.message.body.size", "messaging.message.id"}
		}
		return []string{"messaging.message.body.size"}
	},
	all:     fieldAttributes,
	failure: "WRONGTYPE",
}, {
	name: "hash", command: "HSET",
	write: func(s beam.Scope, conn redisio.Conn, msgs beam.PCollection, opts ...redisio.WriteOption) {
		redisio.WriteHash(s, conn, msgs, opts...)
	},
	spoil:    (*server).set,
	spanName: func(string) string { return "HSET" },
	minimal:  noAttributes,
	metadata: noAttributes,
	all:      fieldAttributes,
	failure:  "WRONGTYPE",
}, {
	name: "JSON", command: "JSON.SET",
	write: func(s beam.Scope, conn redisio.Conn, msgs beam.PCollection, opts ...redisio.WriteOption) {
		redisio.WriteJSON(s, conn, msgs, opts...)
	},
	spoil:    (*server).set,
	spanName: func(string) string { return "JSON.SET" },
	minimal:  noAttributes,
	metadata: noAttributes,
	all:      []string{"redisio.document"},
	failure:  "ERR", // RedisJSON's reply has no word of its own
	json:     true,
}}

const goodKey, badKey = "good-key", "the-bad-key" // of two partitions

func (s *server) set(key string) {
	s.t.Helper()
	if err := s.client.Set(s.t.Context(), key, "of another type", 0).Err(); err != nil {
		s.t.Fatal(err)
	}
}

func TestLevelsAndContentsOfSinkSpans(t *testing.T) {
	if streamOf(goodKey) == streamOf(badKey) {
		t.Fatal("the keys have to be of two partitions")
	}
	receiver := oteltest.Shared(t)
	for _, sink := range tracedSinks {
		for _, level := range traceLevels {
			for _, contents := range traceContents {
				t.Run(fmt.Sprint(sink.name, " ", level, " ", contents), func(t *testing.T) {
					var opts []redistest.Option
					if sink.json {
						opts = append(opts, redistest.JSON(t))
					}
					s := start(t, opts...)
					sink.spoil(s, badKey)
					service, o := service(t), newOrigin()
					for i, key := range []string{goodKey, badKey} {
						s.addFields(in.Key(i), "_key", key, "traceparent", o.parent("01"), "payload", "of "+key)
					}
					p, scope := beam.NewPipelineWithRoot()
					msgs := redisio.Read(scope, s.Config(), in, group, redisio.WithStart(redisio.StartEarliest()), redisio.WithStopAtLatest())
					sink.write(scope, s.Config(), msgs, redisio.WithServiceName(service), redisio.WithTracing(level, contents), redisio.WithErrorStream("errors"))
					if err := runPipeline(t.Context(), p); err != nil {
						t.Fatal(err)
					}
					want := map[redisio.TraceLevel]int{redisio.TraceNone: 0, redisio.TraceFailures: 1, redisio.TraceAll: 2}[level]
					spans := receiver.Wait(t, service, "spans", func(spans []oteltest.Span) bool { return len(spans) >= want })
					if len(spans) != want {
						t.Fatalf("%d spans, want %d: %+v", len(spans), want, spans)
					}
					for i := range spans {
						if spans[i].Trace != o.trace || spans[i].Parent != o.span {
							t.Errorf("span of another trace: %+v", spans[i])
						}
						sink.check(t, &spans[i], contents)
					}
				})
			}
		}
	}
}

func (s *server) addFields(stream string, fields ...string) {
	s.t.Helper()
	if err := s.client.XAdd(s.t.Context(), &redis.XAddArgs{Stream: stream, Values: fields}).Err(); err != nil {
		s.t.Fatal(err)
	}
}

// check compares what a span tells with what it should: no more, and no less.
func (k tracedSink) check(t *testing.T, span *oteltest.Span, contents redisio.TraceContents) {
	t.Helper()
	key := goodKey
	if span.Failed {
		key = badKey
	}
	want := append([]string{"db.namespace", "db.operation.name", "db.system.name", "server.address", "server.port"}, k.minimal(key)...)
	if span.Failed {
		want = append(want, "db.response.status_code", "error.type")
		if span.Attrs["error.type"] != k.failure || (contents == redisio.TraceNoContents) != (span.Status == "") {
			t.Errorf("error.type %q, status %q", span.Attrs["error.type"], span.Status)
		}
	}
	if contents != redisio.TraceNoContents {
		want = append(append(want, "redisio.attempts", "redisio.message.event_time", "redisio.message.key", "redisio.source.id", "redisio.source.stream"), k.metadata(key)...)
		if span.Attrs["redisio.message.key"] != key || span.Attrs["redisio.attempts"] != "1" {
			t.Errorf("key and attempts: %+v", span.Attrs)
		}
	}
	if contents == redisio.TraceAllContents {
		want = append(want, k.all...)
		if !strings.Contains(span.Attrs[k.all[0]], "of "+key) {
			t.Errorf("payload: %+v", span.Attrs)
		}
	}
	var got []string
	for name, value := range span.Attrs {
		got = append(got, name)
		if contents == redisio.TraceNoContents && k.name == "stream" && strings.Contains(value, key) {
			t.Errorf("attribute %s tells the key: %s", name, value)
		}
	}
	slices.Sort(want)
	slices.Sort(got)
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("attributes of %s (-want +got):\n%s", span.Name, diff)
	}
	if span.Name != k.spanName(key) || span.Attrs["db.operation.name"] != k.command {
		t.Errorf("span %q of command %q", span.Name, span.Attrs["db.operation.name"])
	}
}

// A bundle that fails has a span for each element that came to the sink.
func TestElementsThatABundleFailsWithHaveSpans(t *testing.T) {
	receiver := oteltest.Shared(t)
	for _, level := range []redisio.TraceLevel{redisio.TraceFailures, redisio.TraceAll} {
		for name, opt := range map[string]redisio.WriteOption{"small batches": redisio.WithBatchCount(10), "at bundle end": redisio.WithFlushAtBundleEnd()} {
			t.Run(fmt.Sprint(level, " ", name), func(t *testing.T) {
				s := start(t)
				service := service(t)
				for range 50 {
					s.addFields("in:0", "_key", badKey, "n", "1")
				}
				s.set(streamOf(badKey))
				var came atomic.Int64
				j := untilCaughtUp(s)
				j.watch = &watch{see: func(context.Context, redisio.Message) error {
					came.Add(1)
					return nil
				}}
				j.write = []redisio.WriteOption{redisio.WithServiceName(service), redisio.WithBatchCount(10), opt, redisio.WithTracing(level, redisio.TraceMetadata)}
				if err := j.run(t.Context()); err == nil {
					t.Fatal("the job did not fail")
				}
				spans := receiver.Wait(t, service, "spans", func(spans []oteltest.Span) bool { return len(spans) >= int(came.Load()) })
				if len(spans) != int(came.Load()) {
					t.Errorf("%d spans of %d elements", len(spans), came.Load())
				}
				for _, span := range spans {
					if span.Name != "XADD "+streamOf(badKey) || !span.Failed || !strings.Contains(span.Status, "WRONGTYPE") {
						t.Errorf("span of an element that was not written: %+v", span)
					}
				}
			})
		}
	}
}

// What a span holds of a large element is bounded, and is text whatever the
// element holds.
func TestContentsOfSpansAreBoundedText(t *testing.T) {
	receiver := oteltest.Shared(t)
	s := start(t)
	service := service(t)
	s.addFields("in:0", "_key", "k", "bin\xffary", binary, "large", strings.Repeat("é", 40_000), "more", "x")
	j := untilCaughtUp(s)
	j.write = []redisio.WriteOption{redisio.WithServiceName(service), redisio.WithTracing(redisio.TraceAll, redisio.TraceAllContents)}
	j.mustRun(t)
	spans := receiver.Wait(t, service, "a span", func(spans []oteltest.Span) bool { return len(spans) == 1 })
	total := 0
	for name, value := range spans[0].Attrs {
		if strings.HasPrefix(name, "redisio.field.") {
			total += len(value)
		}
	}
	if total > 17<<10 || total < 15<<10 || spans[0].Attrs["redisio.contents_cut"] != "true" {
		t.Errorf("%d bytes of contents, marks: %q", total, spans[0].Attrs["redisio.contents_cut"])
	}
	if got := spans[0].Attrs["redisio.field.bin\uFFFDary"]; !strings.Contains(got, "$3") || !strings.Contains(got, "\uFFFD") {
		t.Errorf("the binary field is %q", got)
	}
}
