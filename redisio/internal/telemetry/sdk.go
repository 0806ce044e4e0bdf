package telemetry

import (
	"context"
	"os"
	"strings"
	"sync"

	"github.com/google/uuid"
	"go.opentelemetry.io/contrib/exporters/autoexport"
	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/attribute"
	sdkmetric "go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/resource"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	semconv "go.opentelemetry.io/otel/semconv/v1.41.0"
	"go.opentelemetry.io/otel/trace"

	"example.com/beamredis/redisio/internal/logs"
)

// SDK is OpenTelemetry's SDK as the environment variables OTEL_* configure it,
// for one service name. It lives as long as the process.
type SDK struct {
	// Tracer makes the connector's spans.
	Tracer trace.Tracer
	// FollowsParent says that a span whose parent is not sampled is not sampled
	// either, so that it need not be begun.
	FollowsParent bool
	// SamplesByAttributes says that a sampler may look at the attributes that a
	// span begins with: none that the environment can name does.
	SamplesByAttributes bool

	spans, metrics *exporter // nil: nothing to export
}

var sdks = struct {
	sync.Mutex
	byService map[string]*SDK
	// foreign: the program has set up tracing itself.
	foreign bool
	metrics *exporter // nil until metrics are exported
}{byService: map[string]*SDK{}}

// The process's providers before anybody has set others.
var (
	unsetTracers = otel.GetTracerProvider()
	unsetMeters  = otel.GetMeterProvider()
)

// Open returns the process's SDK for a service name, which may be empty: then
// OTEL_SERVICE_NAME gives it. The first call sets it up; a program that has set
// providers of its own (otel.SetTracerProvider, otel.SetMeterProvider) keeps
// them, and the connector uses those.
//
// What is wrong with the environment is logged, and then not exported: nothing
// of it ends a pipeline.
func Open(service string) *SDK {
	sdks.Lock()
	defer sdks.Unlock()
	if s := sdks.byService[service]; s != nil {
		return s
	}
	s := setUp(service)
	sdks.byService[service] = s
	return s
}

// setUp must be called under the lock of sdks.
func setUp(service string) *SDK {
	first := len(sdks.byService) == 0
	if first {
		sdks.foreign = otel.GetTracerProvider() != unsetTracers
	}
	switch {
	case strings.EqualFold(os.Getenv("OTEL_SDK_DISABLED"), "true"):
		return &SDK{Tracer: otel.Tracer(Scope), FollowsParent: !sdks.foreign, SamplesByAttributes: sdks.foreign}
	case first && !sdks.foreign:
		otel.SetErrorHandler(otel.ErrorHandlerFunc(func(err error) {
			logs.Log.Warn("OpenTelemetry: what was measured could not be exported", "error", err)
		}))
	}
	res := resourceOf(service)
	if sdks.foreign {
		return &SDK{Tracer: otel.Tracer(Scope), SamplesByAttributes: true, metrics: startMetrics(res)}
	}
	s := &SDK{FollowsParent: samplesByParent(), metrics: startMetrics(res)}
	tracers, err := newTracers(res)
	if err != nil {
		logs.Log.Warn("OpenTelemetry: no traces are exported; see the environment variables OTEL_TRACES_EXPORTER and OTEL_EXPORTER_OTLP_*", "error", err)
		s.Tracer = otel.Tracer(Scope)
		return s
	}
	s.Tracer, s.spans = tracers.Tracer(Scope), &exporter{to: tracers}
	if otel.GetTracerProvider() == unsetTracers {
		otel.SetTracerProvider(tracers) // for spans of the user's own
	}
	return s
}

func newTracers(res *resource.Resource) (*sdktrace.TracerProvider, error) {
	exporter, err := autoexport.NewSpanExporter(context.Background())
	if err != nil {
		return nil, err
	}
	// Spans that come faster than they are exported are dropped: by the batcher's
	// default, which never waits.
	return sdktrace.NewTracerProvider(sdktrace.WithBatcher(exporter), sdktrace.WithResource(res)), nil
}

// startMetrics has the process's metrics exported, under the service name that
// came first: a process has one set of them.
func startMetrics(res *resource.Resource) *exporter {
	if sdks.metrics != nil || otel.GetMeterProvider() != unsetMeters {
		return sdks.metrics
	}
	reader, err := autoexport.NewMetricReader(context.Background())
	if err != nil {
		logs.Log.Warn("OpenTelemetry: no metrics are exported; see the environment variables OTEL_METRICS_EXPORTER and OTEL_EXPORTER_*", "error", err)
		return nil
	}
	meters := sdkmetric.NewMeterProvider(sdkmetric.WithReader(reader), sdkmetric.WithResource(res))
	otel.SetMeterProvider(meters)
	sdks.metrics = &exporter{to: meters, mostPause: mostMetricsPause}
	return sdks.metrics
}

// instance tells this process from others of the same service: without it the
// counters of two workers are taken for one.
var instance = sync.OnceValue(func() attribute.KeyValue { return semconv.ServiceInstanceID(uuid.NewString()) })

func resourceOf(service string) *resource.Resource {
	own := []attribute.KeyValue{}
	if service != "" {
		own = append(own, semconv.ServiceName(service))
	}
	res := resource.Default() // OTEL_SERVICE_NAME, OTEL_RESOURCE_ATTRIBUTES
	if !res.Set().HasValue(semconv.ServiceInstanceIDKey) {
		own = append(own, instance())
	}
	named, err := resource.Merge(res, resource.NewSchemaless(own...))
	if err != nil {
		return res // schemaless attributes do not conflict
	}
	return named
}

// samplesByParent tells from OTEL_TRACES_SAMPLER whether spans are sampled as
// their parents are.
func samplesByParent() bool {
	sampler := strings.TrimSpace(os.Getenv("OTEL_TRACES_SAMPLER"))
	return sampler == "" || strings.HasPrefix(strings.ToLower(sampler), "parentbased_")
}
