// Package telemetry defines everything that the connector measures, once, and
// reports it to Beam and to OpenTelemetry. It also sets up OpenTelemetry's SDK
// on workers.
package telemetry

import (
	"context"
	"sync/atomic"

	"github.com/apache/beam/sdks/v2/go/pkg/beam"
	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"
)

// Scope is the name under which the connector's spans and instruments appear in
// OpenTelemetry.
const Scope = "example.com/beamredis/redisio"

// Namespaces of the Beam metrics. With a dot and the name behind, they are the
// names of the OpenTelemetry instruments.
const (
	Namespace      = "redisio"       // the source
	WriteNamespace = "redisio.write" // the sinks
)

// Kind is the kind of an instrument.
type Kind string

// The kinds of instruments, by their names in Beam and in OpenTelemetry.
const (
	KindCounter   Kind = "counter"
	KindHistogram Kind = "histogram" // a distribution in Beam
	KindGauge     Kind = "gauge"
)

// Definition is what an instrument is, wherever it reports to.
type Definition struct {
	Namespace, Name string
	Kind            Kind
	// Unit is in the notation of UCUM, as OpenTelemetry wants it.
	Unit        string
	Description string
}

// OTelName is the instrument's name in OpenTelemetry.
func (d Definition) OTelName() string { return d.Namespace + "." + d.Name }

var definitions []Definition

// Definitions lists all instruments.
func Definitions() []Definition { return definitions }

func define(kind Kind, namespace, name, unit, description string) Definition {
	d := Definition{namespace, name, kind, unit, description}
	definitions = append(definitions, d)
	return d
}

// must is for instruments whose names are constants of this package, which its
// tests have OpenTelemetry accept.
func must[T any](instrument T, err error) T {
	if err != nil {
		panic(err)
	}
	return instrument
}

// meter is the process's, whoever sets that up and when.
var meter = otel.Meter(Scope)

// Where says of what a measurement is, in OpenTelemetry. Beam knows the
// transform instead. Make it once and keep it: it costs memory.
type Where = metric.MeasurementOption

// At makes a Where.
func At(attributes ...attribute.KeyValue) Where {
	return metric.WithAttributeSet(attribute.NewSet(attributes...))
}

// Counter counts in three places at once: the Beam metrics of a bundle, an
// OpenTelemetry instrument, and the process.
type Counter struct {
	Definition
	beam    beam.Counter
	otel    metric.Int64Counter
	process atomic.Int64
	outside atomic.Int64 // counted where no bundle ran, and not told to Beam yet
}

func newCounter(namespace, name, unit, description string) *Counter {
	d := define(KindCounter, namespace, name, unit, description)
	return &Counter{
		Definition: d,
		beam:       beam.NewCounter(namespace, name),
		otel:       must(meter.Int64Counter(d.OTelName(), metric.WithUnit(unit), metric.WithDescription(description))),
	}
}

// Add counts n. ctx is the context of a running bundle, on the bundle's own
// goroutine.
func (c *Counter) Add(ctx context.Context, n int64, at Where) {
	if n == 0 {
		return
	}
	c.process.Add(n)
	c.beam.Inc(ctx, n)
	c.otel.Add(ctx, n, at)
}

// Begin tells OpenTelemetry of counters before they count: what a series begins
// with is no increase to whoever asks for that.
func Begin(ctx context.Context, at Where, counters ...*Counter) {
	for _, c := range counters {
		c.otel.Add(ctx, 0, at)
	}
}

// AddOutside counts n where no bundle runs. Beam has no place for it, and is
// told by [Counter.Settle].
func (c *Counter) AddOutside(ctx context.Context, n int64, at Where) {
	if n == 0 {
		return
	}
	c.process.Add(n)
	c.outside.Add(n)
	c.otel.Add(ctx, n, at)
}

// Settle tells Beam, in the bundle of ctx, what was counted outside of bundles.
func (c *Counter) Settle(ctx context.Context) {
	if n := c.outside.Swap(0); n != 0 {
		c.beam.Inc(ctx, n)
	}
}

// Process returns what this process has counted since it started.
func (c *Counter) Process() int64 { return c.process.Load() }

// Histogram observes the distribution of a value.
type Histogram struct {
	Definition
	beam beam.Distribution
	otel metric.Int64Histogram
}

func newHistogram(namespace, name, unit, description string, bounds ...float64) *Histogram {
	d := define(KindHistogram, namespace, name, unit, description)
	return &Histogram{
		Definition: d,
		beam:       beam.NewDistribution(namespace, name),
		otel: must(meter.Int64Histogram(d.OTelName(), metric.WithUnit(unit), metric.WithDescription(description),
			metric.WithExplicitBucketBoundaries(bounds...))),
	}
}

// Observe tells OpenTelemetry of v. It may be called from any goroutine.
func (h *Histogram) Observe(ctx context.Context, v int64, at Where) { h.otel.Record(ctx, v, at) }

// ObserveInBundle tells Beam of v. ctx is the context of a running bundle, on
// the bundle's own goroutine: Beam's metrics are not safe for others.
func (h *Histogram) ObserveInBundle(ctx context.Context, v int64) { h.beam.Update(ctx, v) }
