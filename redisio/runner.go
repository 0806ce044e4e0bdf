package redisio

import (
	"flag"
	"strings"

	"example.com/beamredis/redisio/internal/logs"
)

// runnerFlag is the value of Beam's flag --runner in lower case; empty where
// the program has no such flag.
func runnerFlag() string {
	f := flag.Lookup("runner")
	if f == nil {
		return ""
	}
	return strings.ToLower(f.Value.String())
}

// warnOfBeamsFlink tells of a mistake that shows late: entries stay pending, and
// about half of the starts hang. It is no error, because a cluster may be
// configured to take checkpoints of every job.
func warnOfBeamsFlink() {
	if r := runnerFlag(); r == "flink" || r == "flinkrunner" {
		logs.Log.With("runner", r).Warn("Beam's own runner for Flink sends no streaming options, so that the job takes no checkpoints unless the cluster is configured to, " +
			"and nothing that redisio.Read reads is acknowledged without; use --runner=flink-streaming (package redisio/flink)")
	}
}
