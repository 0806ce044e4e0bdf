package integration_test

import (
	"slices"
	"testing"

	"example.com/beamredis/redisio/internal/oteltest"
	"example.com/beamredis/redisio/internal/telemetry"
)

// A runner ends a worker's process without a word. What is measured leaves it
// with the bundles and their acknowledgements, however long the intervals are.
func TestAWorkerThatIsEndedHasExportedWhatItMeasured(t *testing.T) {
	receiver := oteltest.Own(t)
	s := start(t)
	const n = 300
	s.load(in, 0, n, entryOf)
	service := service(t)
	c := s.spawn(childSpec{Service: service, Forever: true,
		Environ: append(receiver.Environ(), "OTEL_METRIC_EXPORT_INTERVAL=3600000", "OTEL_BSP_SCHEDULE_DELAY=3600000")})
	for _, counter := range []*telemetry.Counter{telemetry.EntriesRead, telemetry.Written, telemetry.Acknowledged} {
		eventually(t, counter.Name+" is exported", func() bool {
			c.mustRunOn()
			var told int64
			for _, p := range receiver.Metric(counter.OTelName()).GetSum().GetDataPoints() {
				told += p.GetAsInt()
			}
			return told == n
		})
	}
	// What has not happened is known as 0, so that its first time is an increase.
	for _, counter := range slices.Concat(telemetry.Rare, telemetry.WriteRare) {
		points := receiver.Metric(counter.OTelName()).GetSum().GetDataPoints()
		if len(points) == 0 || points[0].GetAsInt() != 0 {
			t.Errorf("%s is exported as %v, want 0", counter.OTelName(), points)
		}
	}
	eventually(t, "a span of every write is exported", func() bool {
		c.mustRunOn()
		spans := 0
		for _, p := range out.Parts() {
			spans += oteltest.Count(receiver.Spans(service), "XADD "+p.Stream)
		}
		return spans == n
	})
}
