package main

import (
	"context"
	"fmt"
	"net"
	"os"

	metricspb "go.opentelemetry.io/proto/otlp/collector/metrics/v1"
	tracepb "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	"google.golang.org/grpc"

	"example.com/beamredis/redisio"
)

// sampledOne of so many traces is sampled.
const sampledOne = 100

// traceContext is the context that entry i carries.
func traceContext(i int) []any {
	if !*trace || !*withContext {
		return nil
	}
	flags := "00"
	if i%sampledOne == 0 {
		flags = "01"
	}
	return []any{"traceparent", fmt.Sprintf("00-%032x-%016x-%s", i+1, i+1, flags)}
}

// readOptions have the read of a traced copy traced.
func readOptions() []redisio.ReadOption {
	if *child != "traced" {
		return nil
	}
	return []redisio.ReadOption{redisio.WithServiceName("copybench")}
}

type (
	traceReceiver struct {
		tracepb.UnimplementedTraceServiceServer
	}
	metricReceiver struct {
		metricspb.UnimplementedMetricsServiceServer
	}
)

func (traceReceiver) Export(context.Context, *tracepb.ExportTraceServiceRequest) (*tracepb.ExportTraceServiceResponse, error) {
	return &tracepb.ExportTraceServiceResponse{}, nil
}

func (metricReceiver) Export(context.Context, *metricspb.ExportMetricsServiceRequest) (*metricspb.ExportMetricsServiceResponse, error) {
	return &metricspb.ExportMetricsServiceResponse{}, nil
}

// receiveTelemetry takes what the measured processes export, unless it is to be
// out of reach, and tells them where to send it.
func receiveTelemetry() error {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	if !*unreachable {
		server := grpc.NewServer()
		tracepb.RegisterTraceServiceServer(server, traceReceiver{})
		metricspb.RegisterMetricsServiceServer(server, metricReceiver{})
		go func() { _ = server.Serve(listener) }() // lives as long as the process
	}
	for name, value := range map[string]string{
		"OTEL_EXPORTER_OTLP_ENDPOINT": "http://" + listener.Addr().String(), "OTEL_EXPORTER_OTLP_PROTOCOL": "grpc",
		"OTEL_TRACES_SAMPLER": "parentbased_traceidratio", "OTEL_TRACES_SAMPLER_ARG": fmt.Sprint(1.0 / sampledOne),
	} {
		if err := os.Setenv(name, value); err != nil {
			return err
		}
	}
	return nil
}
