package integration_test

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/apache/beam/sdks/v2/go/pkg/beam"
	"github.com/google/go-cmp/cmp"
	metricsv1 "go.opentelemetry.io/proto/otlp/metrics/v1"

	"example.com/beamredis/redisio"
	"example.com/beamredis/redisio/internal/oteltest"
	"example.com/beamredis/redisio/internal/telemetry"
)

// numbers are what a place was told of a copy.
type numbers struct {
	Read, Acknowledged, Written int64
	Flushes, Elements           int64 // the histogram of batch sizes: its count and sum
	Latencies                   int64
	Lag, Pending                int64
	WatermarkKnown              bool
}

func TestMetricsReachBeamAndOpenTelemetry(t *testing.T) {
	receiver := oteltest.Shared(t)
	s := start(t)
	source := redisio.Topic{Name: fmt.Sprint("measured-", rand.Uint64()), Partitions: 2}
	n := 5_000
	s.load(source, 0, n, entryOf)
	written, batches := telemetry.Written, telemetry.BatchSize
	before := toldOTel(receiver, source, written, batches)

	j := untilCaughtUp(s, redisio.WithServiceName(service(t)))
	j.source = source
	j.write = []redisio.WriteOption{redisio.WithServiceName(service(t))}
	result, err := beam.Run(t.Context(), "prism", j.pipeline())
	if err != nil {
		t.Fatal(err)
	}
	told := toldBeam(result, source)
	if told.Flushes == 0 || told.Flushes != told.Latencies {
		t.Errorf("%d batches and %d latencies", told.Flushes, told.Latencies)
	}
	want := numbers{Read: int64(n), Acknowledged: int64(n), Written: int64(n), Elements: int64(n), WatermarkKnown: true}
	want.Flushes, want.Latencies = told.Flushes, told.Latencies
	if diff := cmp.Diff(want, told); diff != "" {
		t.Errorf("Beam was told (-want +got):\n%s", diff)
	}
	var got numbers
	for deadline := time.Now().Add(time.Minute); ; pause(20 * time.Millisecond) {
		got = toldOTel(receiver, source, written, batches)
		got.Written -= before.Written
		got.Flushes -= before.Flushes
		got.Elements -= before.Elements
		got.Latencies -= before.Latencies
		if cmp.Equal(want, got) {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("OpenTelemetry was told (-want +got):\n%s", cmp.Diff(want, got))
		}
	}
}

func toldBeam(result beam.PipelineResult, source redisio.Topic) (told numbers) {
	all := result.Metrics().AllMetrics()
	counters := map[string]int64{}
	for _, c := range all.Counters() {
		counters[c.Namespace()+"."+c.Name()] += c.Result()
	}
	told.Read = counters[telemetry.EntriesRead.OTelName()]
	told.Acknowledged = counters[telemetry.Acknowledged.OTelName()]
	told.Written = counters[telemetry.Written.OTelName()]
	for _, d := range all.Distributions() {
		switch d.Namespace() + "." + d.Name() {
		case telemetry.BatchSize.OTelName():
			told.Flushes += d.Result().Count
			told.Elements += d.Result().Sum
		case telemetry.FlushLatency.OTelName():
			told.Latencies += d.Result().Count
		}
	}
	for _, g := range all.Gauges() {
		for _, p := range source.Parts() {
			switch g.Namespace() + "." + g.Name() {
			case telemetry.Lag.OTelName() + "." + p.Stream:
				told.Lag += g.Result().Value
			case telemetry.AcksPending.OTelName() + "." + p.Stream:
				told.Pending += g.Result().Value
			case telemetry.WatermarkAge.OTelName() + "." + p.Stream:
				told.WatermarkKnown = true
			}
		}
	}
	return told
}

func toldOTel(r *oteltest.Receiver, source redisio.Topic, written *telemetry.Counter, batches *telemetry.Histogram) (told numbers) {
	told.Read = sumOf(r, telemetry.EntriesRead.Definition, source)
	told.Acknowledged = sumOf(r, telemetry.Acknowledged.Definition, source)
	told.Lag = sumOf(r, telemetry.Lag.Definition, source)
	told.Pending = sumOf(r, telemetry.AcksPending.Definition, source)
	told.WatermarkKnown = len(pointsOf(r, telemetry.WatermarkAge.Definition, source)) > 0
	for _, p := range r.Metric(written.OTelName()).GetSum().GetDataPoints() {
		told.Written += p.GetAsInt()
	}
	for _, p := range r.Metric(batches.OTelName()).GetHistogram().GetDataPoints() {
		told.Flushes += int64(p.GetCount())
		told.Elements += int64(p.GetSum())
	}
	for _, p := range r.Metric(telemetry.FlushLatency.OTelName()).GetHistogram().GetDataPoints() {
		told.Latencies += int64(p.GetCount())
	}
	return told
}

func sumOf(r *oteltest.Receiver, d telemetry.Definition, source redisio.Topic) (n int64) {
	for _, p := range pointsOf(r, d, source) {
		n += p.GetAsInt()
	}
	return n
}

// pointsOf are a metric's values for the partitions of a topic.
func pointsOf(r *oteltest.Receiver, d telemetry.Definition, source redisio.Topic) (own []*metricsv1.NumberDataPoint) {
	m := r.Metric(d.OTelName())
	for _, p := range append(m.GetSum().GetDataPoints(), m.GetGauge().GetDataPoints()...) {
		for _, a := range p.GetAttributes() {
			for _, part := range source.Parts() {
				if a.GetKey() == string(telemetry.StreamKey) && a.GetValue().GetStringValue() == part.Stream {
					own = append(own, p)
				}
			}
		}
	}
	return own
}
