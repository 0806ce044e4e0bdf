package main

import (
	"strings"
	"testing"

	"github.com/redis/go-redis/v9"

	"example.com/beamredis/pipelines/internal/pipetest"
)

// The flags reach source and sink; the SDK is set up from the environment.
func TestFlagsAndEnvironmentHaveACopyTraced(t *testing.T) {
	t.Setenv("OTEL_TRACES_EXPORTER", "console")
	t.Setenv("OTEL_METRICS_EXPORTER", "none")
	const parent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
	for name, tc := range map[string]struct {
		flags string
		want  map[string]bool
	}{
		"all":     {"--otel_service_name copies --trace_level all --trace_contents metadata", map[string]bool{`"emit in:0"`: true, `"XADD out:0"`: true, `"copies"`: true, `"redisio.attempts"`: true}},
		"minimal": {"--otel_service_name copies --trace_level all", map[string]bool{`"emit in:0"`: true, `"XADD out:0"`: true, `"copies"`: true, `"redisio.attempts"`: false}},
		"source":  {"--otel_service_name copies", map[string]bool{`"emit in:0"`: true, `"XADD out:0"`: false, `"copies"`: true}},
		"sink":    {"--trace_level all", map[string]bool{`"emit in:0"`: false, `"XADD out:0"`: true}},
		"none":    {"", map[string]bool{`"emit in:0"`: false, `"XADD out:0"`: false}},
	} {
		t.Run(name, func(t *testing.T) {
			server := pipetest.StartRedis(t, "")
			pipetest.Must(t, server.Client.XAdd(t.Context(), &redis.XAddArgs{Stream: "in:0", Values: []string{"traceparent", parent, "n", "1"}}).Err())
			args := "--redis URL --start earliest --exit_when_caught_up --source_partitions 1 --sink_partitions 1 " + tc.flags
			got := run(t, strings.Fields(strings.ReplaceAll(args, "URL", server.URL()))...)
			if got.Status != 0 || got.Stderr != "" {
				t.Fatalf("status %d, stderr %q", got.Status, got.Stderr)
			}
			for text, want := range tc.want {
				if strings.Contains(got.Stdout, text) != want {
					t.Errorf("spans hold %s: %v, want %v:\n%s", text, !want, want, got.Stdout)
				}
			}
			if traced := strings.Contains(got.Stdout, "0af7651916cd43dd8448eb211c80319c"); traced != (tc.flags != "") {
				t.Errorf("spans of the trace: %v", traced)
			}
		})
	}
}
