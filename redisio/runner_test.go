package redisio

import (
	"bytes"
	"flag"
	"log/slog"
	"strings"
	"testing"

	"github.com/apache/beam/sdks/v2/go/pkg/beam"
	_ "github.com/apache/beam/sdks/v2/go/pkg/beam/runners" // the flag --runner
)

func TestReadWarnsOfBeamsOwnFlinkRunner(t *testing.T) {
	for runner, warns := range map[string]bool{"flink": true, "FlinkRunner": true, "flink-streaming": false, "prism": false, "": false} {
		t.Run(runner, func(t *testing.T) {
			before := flag.Lookup("runner").Value.String()
			t.Cleanup(func() { _ = flag.Set("runner", before) })
			if err := flag.Set("runner", runner); err != nil {
				t.Fatal(err)
			}
			var logged bytes.Buffer
			logger := slog.Default()
			t.Cleanup(func() { slog.SetDefault(logger) })
			slog.SetDefault(slog.New(slog.NewTextHandler(&logged, nil)))
			_, s := beam.NewPipelineWithRoot()
			Read(s, Conn{}, Topic{Name: "in", Partitions: 1}, "group")
			if got := strings.Contains(logged.String(), "--runner=flink-streaming"); got != warns {
				t.Errorf("warned: %v, want %v; logged: %s", got, warns, logged.String())
			}
		})
	}
}
