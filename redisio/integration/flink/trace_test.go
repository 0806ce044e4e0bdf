package flink_test

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/apache/beam/sdks/v2/go/pkg/beam"
	"github.com/apache/beam/sdks/v2/go/pkg/beam/core/graph/window"
	"github.com/apache/beam/sdks/v2/go/pkg/beam/register"
	"github.com/google/go-cmp/cmp"
	"github.com/redis/go-redis/v9"

	"example.com/beamredis/redisio"
	"example.com/beamredis/redisio/internal/oteltest"
)

func init() {
	register.Function1x1(rewritten)
	register.Function2x0(keyed)
	register.Function3x0(unkeyed)
	register.Iter1[redisio.Message]()
}

// rewritten makes a message of its own of the one that was read.
func rewritten(m redisio.Message) redisio.Message {
	return m.With(m.Key, redisio.Field{Name: "rewritten", Value: "yes"})
}

func keyed(m redisio.Message, emit func(string, redisio.Message)) { emit(m.Key, m) }

func unkeyed(_ string, msgs func(*redisio.Message) bool, emit func(redisio.Message)) {
	for m := (redisio.Message{}); msgs(&m); {
		emit(m)
	}
}

// A record that a producer outside adds with trace context is one trace through
// Read, a shuffle, a DoFn and Write, and its acknowledgement comes with a
// checkpoint.
func TestARecordIsOneTraceOnFlink(t *testing.T) {
	c := flink(t)
	receiver := oteltest.Shared(t)
	s := startRedis(t)
	in := redisio.Topic{Name: "traced", Partitions: 2}
	trace, parent := fmt.Sprintf("%016x%016x", rand.Uint64()|1, rand.Uint64()), fmt.Sprintf("%016x", rand.Uint64()|1)
	add := &redis.XAddArgs{Stream: in.Key(1), Values: []string{"_key", "k", "traceparent", "00-" + trace + "-" + parent + "-01", "tracestate", "v=1", "baggage", "tenant=acme"}}
	if err := s.client.XAdd(t.Context(), add).Err(); err != nil {
		t.Fatal(err)
	}
	service := fmt.Sprint("flink-", rand.Uint64())
	j := newJob(c, s.Config(), in, 2, redisio.WithStopAtLatest(), redisio.WithServiceName(service))
	j.build = func(scope beam.Scope, msgs beam.PCollection) {
		shuffled := beam.ParDo(scope, unkeyed, beam.GroupByKey(scope, beam.WindowInto(scope, window.NewFixedWindows(time.Second), beam.ParDo(scope, keyed, msgs))))
		redisio.Write(scope, j.conn, out, beam.ParDo(scope, rewritten, shuffled),
			redisio.WithServiceName(service), redisio.WithTracing(redisio.TraceAll, redisio.TraceMetadata))
	}
	j.mustRun(t)

	spans := receiver.Wait(t, service, "the whole trace", func(spans []oteltest.Span) bool { return len(spans) >= 4 })
	byOperation := map[string]oteltest.Span{}
	for _, span := range spans {
		operation, _, _ := strings.Cut(span.Name, " ")
		byOperation[operation] = span
		if span.Trace != trace {
			t.Errorf("span %s is of trace %s, want %s", span.Name, span.Trace, trace)
		}
	}
	emit := byOperation["emit"]
	got := []string{byOperation["XREADGROUP"].Parent, emit.Parent, byOperation["XACK"].Parent, byOperation["XADD"].Parent}
	if diff := cmp.Diff([]string{parent, parent, emit.ID, emit.ID}, got); diff != "" {
		t.Errorf("parents of XREADGROUP, emit, XACK and XADD (-want +got):\n%s\n%+v", diff, spans)
	}
	var written []redis.XMessage
	for _, p := range out.Parts() {
		written = append(written, s.client.XRange(t.Context(), p.Stream, "-", "+").Val()...)
	}
	if len(written) != 1 {
		t.Fatalf("%d entries were written, want one", len(written))
	}
	want := map[string]any{"_key": "k", "rewritten": "yes", "traceparent": "00-" + trace + "-" + byOperation["XADD"].ID + "-01", "tracestate": "v=1", "baggage": "tenant=acme"}
	if diff := cmp.Diff(want, written[0].Values); diff != "" {
		t.Errorf("the new entry (-want +got):\n%s", diff)
	}
}
