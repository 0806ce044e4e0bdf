package topicjob

import (
	"context"
	"fmt"
	"io"
	"time"

	"github.com/apache/beam/sdks/v2/go/pkg/beam"
	"github.com/apache/beam/sdks/v2/go/pkg/beam/options/jobopts"
	"github.com/apache/beam/sdks/v2/go/pkg/beam/runners"

	"example.com/beamredis/pipelines/internal/beamrun"
	"example.com/beamredis/pipelines/internal/cli"
	"example.com/beamredis/pipelines/internal/progress"
	"example.com/beamredis/redisio"
)

const (
	checkTimeout = 5 * time.Second
	drainTimeout = 30 * time.Second
)

// Job reads a topic and hands on its messages.
type Job struct {
	Conn   redisio.Conn
	Source redisio.Topic
	Group  string
	Read   []redisio.ReadOption
	Check  bool
	Ends   bool // the read ends when it has caught up
	// Reporting are options for every write: what it reports to OpenTelemetry.
	Reporting []redisio.WriteOption
	// Sinks are topics that are looked at as well.
	Sinks []redisio.Topic
	// CheckSink is a further look at Redis before the pipeline is submitted; nil:
	// none.
	CheckSink func(context.Context) error
	// Write places what becomes of the messages into the pipeline.
	Write func(s beam.Scope, messages beam.PCollection) error
}

// Run checks Redis, runs the pipeline until it has caught up or is told to
// stop, and waits for the acknowledgements. It returns no result where the
// work is done elsewhere.
func (j *Job) Run(sig *cli.Signals) (beam.PipelineResult, error) {
	if err := j.preflight(sig.Stop); err != nil {
		return nil, err
	}
	p, err := j.pipeline()
	if err != nil {
		return nil, err
	}
	if !beamrun.WorkersAreHere(*runners.Runner) || *jobopts.Async {
		_, err := beamrun.Run(sig.Stop, p)
		return nil, err
	}
	defer context.AfterFunc(sig.Stop, redisio.StopReads)()
	result, err := beamrun.Run(sig.Kill, p)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(sig.Kill, drainTimeout)
	defer cancel()
	return result, redisio.Drain(ctx)
}

func (j *Job) preflight(ctx context.Context) error {
	if !j.Check {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, checkTimeout)
	defer cancel()
	err := redisio.Check(ctx, j.Conn, append([]redisio.Topic{j.Source}, j.Sinks...)...)
	if err == nil && j.CheckSink != nil {
		err = j.CheckSink(ctx)
	}
	return err
}

func (j *Job) pipeline() (*beam.Pipeline, error) {
	p, s := beam.NewPipelineWithRoot()
	messages, err := redisio.TryRead(s, j.Conn, j.Source, j.Group, j.Read...)
	if err != nil {
		return nil, err
	}
	return p, j.Write(s, messages)
}

// RunAndTell is [Job.Run], and tells on w how it went: what, such as "copied",
// and the number of elements, where the workers are in this process; where
// they are not, that an end was reached.
func (j *Job) RunAndTell(sig *cli.Signals, w io.Writer, what string) error {
	began := time.Now()
	result, err := j.Run(sig)
	switch {
	case err != nil:
		return err
	case result != nil:
		fmt.Fprintf(w, "%s %s\n", what, progress.Rate(Written(result), time.Since(began)))
	case j.Ends && *runners.Runner == "flink-streaming" && !*jobopts.Async && sig.Stop.Err() == nil:
		fmt.Fprintln(w, "caught up: every entry that was there at the start is written and acknowledged")
	}
	return nil
}

// Written returns how many elements were written in a run whose workers are in
// this process.
func Written(result beam.PipelineResult) int64 {
	return beamrun.Count(result, "redisio.write", "written")
}
