// Package flink_test runs pipelines on a real Flink, which scripts/flink
// starts, and against a real redis-server. It is skipped, visibly, where Java
// or Maven is missing, and fails there if CI=true.
package flink_test

import (
	"flag"
	"fmt"
	"log/slog"
	"os"
	"testing"

	"github.com/apache/beam/sdks/v2/go/pkg/beam"
	_ "github.com/apache/beam/sdks/v2/go/pkg/beam/runners" // the flag --runner

	_ "example.com/beamredis/redisio/flink"
)

func TestMain(m *testing.M) {
	flag.Parse()
	beam.Init() // never returns in a worker, which is this program
	slog.SetLogLoggerLevel(slog.LevelWarn)
	code := m.Run()
	if err := stopCluster(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		code = max(code, 1)
	}
	os.Exit(code)
}

// sized returns full for a long run (BEAMREDIS_LONG=1).
func sized(short, full int) int {
	if os.Getenv("BEAMREDIS_LONG") == "1" {
		return full
	}
	return short
}
