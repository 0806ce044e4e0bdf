// Command generate fills a topic with random keyed messages.
//
//	generate --redis redis://localhost:6379 --topic in --partitions 4 --count 100000
//
// A message has a key out of key-0 ... key-(keys-1), which its entry carries in
// the field _key and which decides its partition; its number in the field seq;
// and random fields field-1, field-2 and so on. The same flags give the same
// messages.
package main

import (
	"context"
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
	"example.com/beamredis/redisio/sinks"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // a second signal ends the process at once
	os.Exit(run(ctx, os.Args[1:], os.Stdout, os.Stderr))
}

// run is the command. The end of ctx stops it cleanly.
func run(ctx context.Context, args []string, stdout, stderr io.Writer) (status int) {
	s, err := parseFlags(args)
	if errors.Is(err, flag.ErrHelp) {
		printUsage(stdout)
		return 0
	}
	if err == nil {
		err = fillTopic(ctx, s, stdout, stderr)
	}
	return cli.Report(stderr, "generate", err)
}

// fillTopic writes the messages and ends with a summary, whatever happened.
func fillTopic(ctx context.Context, s settings, stdout, stderr io.Writer) error {
	w, err := sinks.OpenWriter(ctx, sinks.WriteConfig{Conn: s.conn, Topic: s.topic, KeyField: sinks.DefaultKeyField})
	if err != nil {
		return err
	}
	start := time.Now()
	done := progress.Show(stderr, "filling "+s.topic.Name, s.count, w.Written)
	// Not ctx: a signal ends the messages, and what was made is still written.
	err = w.WriteAll(context.WithoutCancel(ctx), paced(ctx, s.rate, s.messages()))
	done()
	fmt.Fprintln(stdout, summary(ctx, w.Written(), s, time.Since(start)))
	return err
}

// summary is the last line.
func summary(ctx context.Context, written int64, s settings, took time.Duration) string {
	line := fmt.Sprintf("topic %q: %s", s.topic.Name, progress.Rate(written, took))
	if ctx.Err() != nil {
		line += fmt.Sprintf(" (stopped before all %s)", progress.Thousands(s.count))
	}
	return line
}
