package main

import (
	"io"

	"example.com/beamredis/pipelines/internal/cli"
)

// copyTopic runs the pipeline that the flags describe until it has caught up
// or is told to stop.
func copyTopic(sig *cli.Signals, w io.Writer, s *settings) error {
	j, err := s.job()
	if err != nil {
		return err
	}
	return j.RunAndTell(sig, w, "copied")
}
