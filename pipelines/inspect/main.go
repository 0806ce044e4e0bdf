// Command inspect shows how a topic stands: the entries of each partition, and
// how far a consumer group has come.
//
//	inspect --redis redis://localhost:6379 --topic in --partitions 4 --group copy
package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"
	"time"

	"example.com/beamredis/pipelines/internal/cli"
	"example.com/beamredis/pipelines/internal/progress"
	"example.com/beamredis/redisio/inspect"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // a second signal ends the process at once
	os.Exit(run(ctx, os.Args[1:], os.Stdout, os.Stderr))
}

// run is the command. The end of ctx ends --watch.
func run(ctx context.Context, args []string, stdout, stderr io.Writer) (status int) {
	s, err := parseFlags(args)
	if errors.Is(err, flag.ErrHelp) {
		printUsage(stdout)
		return 0
	}
	if err == nil {
		err = show(ctx, s, stdout)
	}
	return cli.Report(stderr, "inspect", err)
}

// lookTimeout bounds one look at the topic.
const lookTimeout = 30 * time.Second

// show shows the topic once, or again and again until ctx ends.
func show(ctx context.Context, s settings, w io.Writer) error {
	for {
		r, err := look(ctx, s)
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

func look(ctx context.Context, s settings) (inspect.Report, error) {
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
