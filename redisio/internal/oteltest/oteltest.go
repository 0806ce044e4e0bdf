// Package oteltest is an OTLP receiver for tests: a gRPC server in this process
// that keeps the spans and metrics that OpenTelemetry's exporters send it.
package oteltest

import (
	"context"
	"encoding/hex"
	"fmt"
	"net"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	metricspb "go.opentelemetry.io/proto/otlp/collector/metrics/v1"
	tracepb "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	commonv1 "go.opentelemetry.io/proto/otlp/common/v1"
	metricsv1 "go.opentelemetry.io/proto/otlp/metrics/v1"
	resourcev1 "go.opentelemetry.io/proto/otlp/resource/v1"
	tracev1 "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/grpc"
)

// Span is a span as it was received.
type Span struct {
	Service, Name, Kind string
	Trace, ID, Parent   string // in hexadecimal
	State               string
	Attrs               map[string]string
	Links               []string // IDs of spans
	Failed              bool
	Status              string
	Took                time.Duration
}

// Receiver keeps what it was sent.
type Receiver struct {
	tracepb.UnimplementedTraceServiceServer

	addr string

	mu      sync.Mutex
	spans   []Span
	metrics map[string]*metricsv1.Metric
	raw     []fmt.Stringer // the requests, for tests that look for what must not be there
}

// shared is one for the process, whose exporters are set up once.
var shared = sync.OnceValues(start)

// Shared returns the process's receiver, and has the environment of the process
// name it. Every test uses a service name of its own.
func Shared(t testing.TB) *Receiver {
	t.Helper()
	r, err := shared()
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func start() (*Receiver, error) {
	r, _, err := open()
	if err != nil {
		return nil, err
	}
	for _, variable := range append(r.Environ(), "OTEL_BSP_SCHEDULE_DELAY=100", "OTEL_METRIC_EXPORT_INTERVAL=200") {
		name, value, _ := strings.Cut(variable, "=")
		if err := os.Setenv(name, value); err != nil {
			return nil, err
		}
	}
	return r, nil // lives as long as the process
}

// Own returns a receiver of t's own, for another process.
func Own(t testing.TB) *Receiver {
	t.Helper()
	r, server, err := open()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(server.Stop)
	return r
}

// Environ has a process export to r.
func (r *Receiver) Environ() []string {
	return []string{"OTEL_EXPORTER_OTLP_ENDPOINT=http://" + r.addr, "OTEL_EXPORTER_OTLP_PROTOCOL=grpc"}
}

func open() (*Receiver, *grpc.Server, error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, nil, err
	}
	r := &Receiver{addr: listener.Addr().String(), metrics: map[string]*metricsv1.Metric{}}
	server := grpc.NewServer()
	tracepb.RegisterTraceServiceServer(server, r)
	metricspb.RegisterMetricsServiceServer(server, metricsServer{r: r})
	go func() { _ = server.Serve(listener) }()
	return r, server, nil
}

// Export keeps spans.
func (r *Receiver) Export(_ context.Context, req *tracepb.ExportTraceServiceRequest) (*tracepb.ExportTraceServiceResponse, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.raw = append(r.raw, req)
	for _, of := range req.GetResourceSpans() {
		for _, scope := range of.GetScopeSpans() {
			for _, s := range scope.GetSpans() {
				r.spans = append(r.spans, newSpan(of.GetResource(), s))
			}
		}
	}
	return &tracepb.ExportTraceServiceResponse{}, nil
}

func newSpan(of *resourcev1.Resource, s *tracev1.Span) Span {
	span := Span{
		Service: attributes(of.GetAttributes())["service.name"],
		Name:    s.GetName(), Kind: s.GetKind().String(),
		Trace: hex.EncodeToString(s.GetTraceId()), ID: hex.EncodeToString(s.GetSpanId()), Parent: hex.EncodeToString(s.GetParentSpanId()),
		State:  s.GetTraceState(),
		Attrs:  attributes(s.GetAttributes()),
		Failed: s.GetStatus().GetCode() == tracev1.Status_STATUS_CODE_ERROR,
		Status: s.GetStatus().GetMessage(),
		Took:   time.Duration(int64(s.GetEndTimeUnixNano()) - int64(s.GetStartTimeUnixNano())),
	}
	for _, l := range s.GetLinks() {
		span.Links = append(span.Links, hex.EncodeToString(l.GetSpanId()))
	}
	return span
}

func attributes(list []*commonv1.KeyValue) map[string]string {
	attrs := map[string]string{}
	for _, kv := range list {
		switch v := kv.GetValue().GetValue().(type) {
		case *commonv1.AnyValue_StringValue:
			attrs[kv.GetKey()] = v.StringValue
		case *commonv1.AnyValue_IntValue:
			attrs[kv.GetKey()] = fmt.Sprint(v.IntValue)
		case *commonv1.AnyValue_BoolValue:
			attrs[kv.GetKey()] = fmt.Sprint(v.BoolValue)
		default:
			attrs[kv.GetKey()] = kv.GetValue().String()
		}
	}
	return attrs
}

type metricsServer struct {
	metricspb.UnimplementedMetricsServiceServer
	r *Receiver
}

// Export keeps the latest of each metric.
func (m metricsServer) Export(_ context.Context, req *metricspb.ExportMetricsServiceRequest) (*metricspb.ExportMetricsServiceResponse, error) {
	m.r.mu.Lock()
	defer m.r.mu.Unlock()
	m.r.raw = append(m.r.raw, req)
	for _, of := range req.GetResourceMetrics() {
		for _, scope := range of.GetScopeMetrics() {
			for _, metric := range scope.GetMetrics() {
				m.r.metrics[metric.GetName()] = metric
			}
		}
	}
	return &metricspb.ExportMetricsServiceResponse{}, nil
}

// Spans returns the spans of a service that were received so far.
func (r *Receiver) Spans(service string) []Span {
	r.mu.Lock()
	defer r.mu.Unlock()
	var own []Span
	for _, s := range r.spans {
		if s.Service == service {
			own = append(own, s)
		}
	}
	return own
}

// Metric returns the latest of a metric, nil if none was received.
func (r *Receiver) Metric(name string) *metricsv1.Metric {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.metrics[name]
}

// Raw returns all that was received, as text.
func (r *Receiver) Raw() []string {
	r.mu.Lock()
	raw := slices.Clone(r.raw)
	r.mu.Unlock()
	text := make([]string, len(raw))
	for i := range raw {
		text[i] = raw[i].String()
	}
	return text
}

// Wait polls until the spans of a service are as ok wants them, and returns
// them. It fails t after a minute.
func (r *Receiver) Wait(t testing.TB, service, what string, ok func([]Span) bool) []Span {
	t.Helper()
	for deadline := time.Now().Add(time.Minute); ; <-time.After(5 * time.Millisecond) {
		spans := r.Spans(service)
		if ok(spans) {
			return spans
		}
		if time.Now().After(deadline) {
			t.Fatalf("%s: not within a minute; the spans of %s:\n%+v", what, service, spans)
		}
	}
}

// Count returns how many spans have a name.
func Count(spans []Span, name string) (n int) {
	for i := range spans {
		if spans[i].Name == name {
			n++
		}
	}
	return n
}

// Find returns the spans that have a name.
func Find(spans []Span, name string) (found []Span) {
	for i := range spans {
		if spans[i].Name == name {
			found = append(found, spans[i])
		}
	}
	return found
}

// Unreachable returns the addresses of receivers that take nothing: one refuses
// connections, the other accepts them and never answers.
func Unreachable(t testing.TB) map[string]string {
	t.Helper()
	refuses, silent := listen(t), listen(t)
	_ = refuses.Close()
	return map[string]string{"refuses": refuses.Addr().String(), "never answers": silent.Addr().String()}
}

func listen(t testing.TB) net.Listener {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	return l
}
