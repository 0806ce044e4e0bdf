// Package beamrun runs a pipeline for a program whose user is no Beam
// developer: it keeps Beam's logging quiet, and reduces a failure to its cause.
package beamrun

import (
	"context"
	"fmt"
	"strings"

	"github.com/apache/beam/sdks/v2/go/pkg/beam"
	"github.com/apache/beam/sdks/v2/go/pkg/beam/core/metrics"
	"github.com/apache/beam/sdks/v2/go/pkg/beam/options/jobopts"
	"github.com/apache/beam/sdks/v2/go/pkg/beam/runners"
	"github.com/apache/beam/sdks/v2/go/pkg/beam/x/beamx"

	_ "example.com/beamredis/redisio/flink" // the runner flink-streaming
)

// Run runs p on the runner of the flag --runner, Prism by default. The error
// of a failed job is one line with the cause alone; the job's own, with Beam's
// account of the way to it, can be unwrapped.
func Run(ctx context.Context, p *beam.Pipeline) (beam.PipelineResult, error) {
	result, err := beamx.RunWithMetrics(ctx, p)
	if err != nil {
		return nil, &JobError{err}
	}
	return result, nil
}

// JobError is the failure of a job, told by its cause.
type JobError struct{ Err error }

// Error is the cause in one line.
func (e *JobError) Error() string { return OneLine(cause(e.Err.Error())) }

// Unwrap returns the job's own error.
func (e *JobError) Unwrap() error { return e.Err }

// cause takes the innermost error out of Beam's report, which lists the plan
// and the functions on the way to it above, and stacks below.
func cause(report string) string {
	for _, before := range []string{"caused by:", "] failed:"} {
		if i := strings.LastIndex(report, before); i >= 0 {
			report = report[i+len(before):]
		}
	}
	for _, after := range []string{"\nStacktrace:", "goroutine "} {
		if i := strings.Index(report, after); i > 0 {
			report = report[:i]
		}
	}
	report = strings.TrimSpace(report)
	// Where a DoFn cannot return an error, Beam makes it a panic.
	if own, ok := strings.CutPrefix(report, "panic: "); ok && strings.HasPrefix(own, "partition ") {
		return own
	}
	return report
}

// OneLine joins the lines of text by semicolons.
func OneLine(text string) string {
	var lines []string
	for line := range strings.Lines(text) {
		if line = strings.TrimSpace(line); line != "" {
			lines = append(lines, line)
		}
	}
	return strings.Join(lines, "; ")
}

// WorkersAreHere reports whether runner, a value of --runner, runs the
// pipeline's functions in this process.
func WorkersAreHere(runner string) bool {
	switch strings.ToLower(runner) {
	case "", "prism", "prismrunner":
		env := strings.ToLower(*jobopts.EnvironmentType)
		return *jobopts.Endpoint == "" && (env == "" || env == "loopback")
	}
	return false
}

// CheckRunner refuses a --runner that Beam does not know, for which Beam itself
// would end the process, and two that cannot do the work: the direct runner,
// which is for unit tests and drops what is left of an unfinished read, and
// Beam's own flink, which asks for no checkpoints.
func CheckRunner() error {
	const want = "want prism, flink-streaming, spark, dataflow, portable or dot"
	switch r := *runners.Runner; r {
	case "direct", "DirectRunner":
		return fmt.Errorf("--runner: the direct runner cannot resume a read: %s", want)
	case "flink", "FlinkRunner":
		return fmt.Errorf("--runner: %s sends no streaming options, so that nothing would ever be acknowledged: use --runner=flink-streaming", r)
	}
	return checkKnown(want)
}

// CheckRunnerKnown refuses a --runner that Beam does not know. It is for
// pipelines that end by themselves and acknowledge nothing, which any runner can
// do.
func CheckRunnerKnown() error {
	return checkKnown("want prism, direct, flink, flink-streaming, spark, dataflow, portable or dot")
}

func checkKnown(want string) error {
	switch r := *runners.Runner; r {
	case "", "prism", "PrismRunner", "dataflow", "DataflowRunner", "flink-streaming", "spark", "SparkRunner",
		"universal", "PortableRunner", "portable", "dot", "direct", "DirectRunner", "flink", "FlinkRunner":
		return nil
	default:
		return fmt.Errorf("--runner: %q is no runner: %s", r, want)
	}
}

// Count returns what the counter of namespace and name came to in a run whose
// workers are in this process; other runners may report nothing.
func Count(result beam.PipelineResult, namespace, name string) (n int64) {
	counters := result.Metrics().Query(func(r metrics.SingleResult) bool {
		return r.Namespace() == namespace && r.Name() == name
	}).Counters()
	for _, c := range counters {
		n += c.Result()
	}
	return n
}
