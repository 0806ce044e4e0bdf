package main

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

// copyTopic runs the pipeline that the flags describe until it has caught up
// or is told to stop.
func copyTopic(sig *cli.Signals, w io.Writer, s *settings) error {
	j, err := s.job()
	if err != nil {
		return err
	}
	began := time.Now()
	result, err := j.run(sig)
	if err != nil || result == nil {
		return err
	}
	fmt.Fprintf(w, "copied %s\n", progress.Rate(beamrun.Count(result, "redisio.write", "written"), time.Since(began)))
	return nil
}

// run checks Redis, runs the pipeline and waits for the acknowledgements. It
// returns no result where the work is done elsewhere.
func (j *job) run(sig *cli.Signals) (beam.PipelineResult, error) {
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

func (j *job) preflight(ctx context.Context) error {
	if !j.check {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, checkTimeout)
	defer cancel()
	return redisio.Check(ctx, j.conn, j.source, j.sink)
}

func (j *job) pipeline() (*beam.Pipeline, error) {
	p, s := beam.NewPipelineWithRoot()
	messages, err := redisio.TryRead(s, j.conn, j.source, j.group, j.read...)
	if err != nil {
		return nil, err
	}
	_, err = redisio.TryWrite(s, j.conn, j.sink, messages, j.write...)
	return p, err
}
