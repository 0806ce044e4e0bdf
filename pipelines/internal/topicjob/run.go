package topicjob

import (
	"context"
	"time"

	"github.com/apache/beam/sdks/v2/go/pkg/beam"
	"github.com/apache/beam/sdks/v2/go/pkg/beam/options/jobopts"
	"github.com/apache/beam/sdks/v2/go/pkg/beam/runners"

	"example.com/beamredis/pipelines/internal/beamrun"
	"example.com/beamredis/pipelines/internal/cli"
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
	// Sinks are topics that are looked at as well.
	Sinks []redisio.Topic
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
	return redisio.Check(ctx, j.Conn, append([]redisio.Topic{j.Source}, j.Sinks...)...)
}

func (j *Job) pipeline() (*beam.Pipeline, error) {
	p, s := beam.NewPipelineWithRoot()
	messages, err := redisio.TryRead(s, j.Conn, j.Source, j.Group, j.Read...)
	if err != nil {
		return nil, err
	}
	return p, j.Write(s, messages)
}

// Written returns how many elements were written in a run whose workers are in
// this process.
func Written(result beam.PipelineResult) int64 {
	return beamrun.Count(result, "redisio.write", "written")
}
