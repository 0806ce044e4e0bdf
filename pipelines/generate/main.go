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
	"fmt"
	"io"
	"os"
	"time"

	"example.com/beamredis/pipelines/internal/cli"
	"example.com/beamredis/pipelines/internal/progress"
	"example.com/beamredis/redisio/sinks"
)

func main() { os.Exit(cli.MainTool(tool())) }

func tool() cli.Tool {
	s := &settings{}
	return cli.Tool{Name: "generate", Summary: "generate fills a topic with random keyed messages.", Flags: s.flags(), Run: s.fillTopic}
}

// fillTopic writes the messages and ends with a summary, whatever happened. The
// end of ctx stops it cleanly.
func (s *settings) fillTopic(ctx context.Context, stdout, stderr io.Writer) error {
	if err := s.check(); err != nil {
		return err
	}
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
func summary(ctx context.Context, written int64, s *settings, took time.Duration) string {
	line := fmt.Sprintf("topic %q: %s", s.topic.Name, progress.Rate(written, took))
	if ctx.Err() != nil {
		line += fmt.Sprintf(" (stopped before all %s)", progress.Thousands(s.count))
	}
	return line
}
