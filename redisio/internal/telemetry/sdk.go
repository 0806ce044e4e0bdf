package telemetry

import (
	"context"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"go.opentelemetry.io/contrib/exporters/autoexport"
	"go.opentelemetry.io/otel"
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

	spans, metrics flusher // nil: nothing to export
	flushing       atomic.Bool
	// stalled: the last flush did not get through, so that nobody is to wait for
	// the next one.
	stalled atomic.Bool
}

type flusher interface{ ForceFlush(context.Context) error }

var sdks = struct {
	sync.Mutex
	byService map[string]*SDK
	// foreign: the program has set up tracing itself.
	foreign bool
	metrics flusher // nil until metrics are exported
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
	case sdks.foreign:
		return &SDK{Tracer: otel.Tracer(Scope)}
	case strings.EqualFold(os.Getenv("OTEL_SDK_DISABLED"), "true"):
		return &SDK{Tracer: otel.Tracer(Scope), FollowsParent: true}
	case first:
		otel.SetErrorHandler(otel.ErrorHandlerFunc(func(err error) {
			logs.Log.Warn("OpenTelemetry: what was measured could not be exported", "error", err)
		}))
	}
	res := resourceOf(service)
	s := &SDK{FollowsParent: samplesByParent(), metrics: startMetrics(res)}
	tracers, err := newTracers(res)
	if err != nil {
		logs.Log.Warn("OpenTelemetry: no traces are exported; see the environment variables OTEL_TRACES_EXPORTER and OTEL_EXPORTER_OTLP_*", "error", err)
		s.Tracer = otel.Tracer(Scope)
		return s
	}
	s.Tracer, s.spans = tracers.Tracer(Scope), tracers
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
func startMetrics(res *resource.Resource) flusher {
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
	sdks.metrics = meters
	return meters
}

func resourceOf(service string) *resource.Resource {
	res := resource.Default() // OTEL_SERVICE_NAME, OTEL_RESOURCE_ATTRIBUTES
	if service == "" {
		return res
	}
	named, err := resource.Merge(res, resource.NewSchemaless(semconv.ServiceName(service)))
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

const (
	// flushTimeout bounds a flush that nobody waits for.
	flushTimeout = 30 * time.Second
	// flushWait bounds how long the end of a worker waits.
	flushWait = time.Second
)

// FlushSoon has the spans exported, without waiting for that. It is for the end
// of a bundle, and costs next to nothing while an export is under way.
func (s *SDK) FlushSoon() {
	if s == nil || s.spans == nil || !s.flushing.CompareAndSwap(false, true) {
		return
	}
	go func() {
		defer s.flushing.Store(false)
		s.flush(context.Background(), flushTimeout, s.spans)
	}()
}

// Flush exports spans and metrics and waits for that, but for a second at most,
// and not at all where the last export did not get through. It is for the end
// of a worker.
func (s *SDK) Flush(ctx context.Context) {
	switch {
	case s == nil:
	case s.stalled.Load():
		s.FlushSoon()
	default:
		s.flush(ctx, flushWait, s.spans, s.metrics)
	}
}

func (s *SDK) flush(ctx context.Context, limit time.Duration, what ...flusher) {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	failed := false
	for _, f := range what {
		failed = f != nil && f.ForceFlush(ctx) != nil || failed
	}
	s.stalled.Store(failed)
}

// FlushAll is [SDK.Flush] for all service names of the process.
func FlushAll(ctx context.Context) {
	sdks.Lock()
	all := make([]*SDK, 0, len(sdks.byService))
	for _, s := range sdks.byService {
		all = append(all, s)
	}
	sdks.Unlock()
	var done sync.WaitGroup
	for _, s := range all {
		done.Go(func() { s.Flush(ctx) })
	}
	done.Wait()
}
