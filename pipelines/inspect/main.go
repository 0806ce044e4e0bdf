// Command inspect shows how a topic stands: the entries of each partition, and
// how far a consumer group has come.
//
//	inspect --redis redis://localhost:6379 --topic in --partitions 4 --group copy
package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"time"

	"example.com/beamredis/pipelines/internal/cli"
	"example.com/beamredis/pipelines/internal/progress"
	"example.com/beamredis/redisio/inspect"
)

func main() { os.Exit(cli.MainTool(tool())) }

func tool() cli.Tool {
	s := &settings{}
	return cli.Tool{Name: "inspect", Summary: summary, Flags: s.flags(), Run: s.show}
}

// lookTimeout bounds one look at the topic.
const lookTimeout = 30 * time.Second

// show shows the topic once, or again and again until ctx ends.
func (s *settings) show(ctx context.Context, w, _ io.Writer) error {
	if err := s.check(); err != nil {
		return err
	}
	for {
		r, err := s.look(ctx)
		if ctx.Err() != nil {
			return nil
		}
		if err != nil {
			return err
		}
		if err := s.write(w, r); err != nil || !s.watch {
			return err
		}
		select {
		case <-time.After(s.every):
		case <-ctx.Done():
			return nil
		}
	}
}

func (s *settings) look(ctx context.Context) (inspect.Report, error) {
	ctx, cancel := context.WithTimeout(ctx, lookTimeout)
	defer cancel()
	return inspect.Topic(ctx, s.conn, s.topic, inspect.Options{Group: s.group, StuckAfter: s.stuckAfter})
}

// clearScreen puts the next table in the place of the one before.
const clearScreen = "\x1b[H\x1b[2J"

func (s *settings) write(w io.Writer, r inspect.Report) error {
	if s.json {
		return json.NewEncoder(w).Encode(r)
	}
	text := table(r)
	if s.watch {
		if progress.IsTerminal(w) {
			text = clearScreen + text
		}
		text += time.Now().Format("15:04:05") + "\n"
	}
	_, err := fmt.Fprint(w, text)
	return err
}
