package main

import (
	"fmt"
	"io"
	"time"

	"example.com/beamredis/pipelines/internal/cli"
	"example.com/beamredis/pipelines/internal/progress"
	"example.com/beamredis/pipelines/internal/topicjob"
)

// copyTopic runs the pipeline that the flags describe until it has caught up
// or is told to stop.
func copyTopic(sig *cli.Signals, w io.Writer, s *settings) error {
	j, err := s.job()
	if err != nil {
		return err
	}
	began := time.Now()
	result, err := j.Run(sig)
	if err != nil || result == nil {
		return err
	}
	fmt.Fprintf(w, "copied %s\n", progress.Rate(topicjob.Written(result), time.Since(began)))
	return nil
}
