// Package docsink is what the programs that write a document for each message
// have in common: their flags, their run, and their demo.
package docsink

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/apache/beam/sdks/v2/go/pkg/beam"
	"github.com/redis/go-redis/v9"

	"example.com/beamredis/pipelines/internal/cli"
	"example.com/beamredis/pipelines/internal/demo"
	"example.com/beamredis/pipelines/internal/topicjob"
	"example.com/beamredis/redisio"
)

// Sink is the program's kind of document.
type Sink struct {
	// Name is the program's, and its consumer group's.
	Name string
	// Summary is the text of --help above the flags.
	Summary string
	// Documents names what is written, such as "JSON documents".
	Documents string
	// Flags are the program's own beside those that all have; nil: none.
	Flags *flag.FlagSet
	// Options are what those flags come to; the error names the flag.
	Options func() ([]redisio.WriteOption, error)
	// Write is TryWriteJSON or TryWriteHash.
	Write func(beam.Scope, redisio.Conn, beam.PCollection, ...redisio.WriteOption) (redisio.Result, error)
	// Check looks whether the server can hold such documents; nil: every one can.
	Check func(context.Context, redisio.Conn) error
	// StartServer starts the demo's Redis.
	StartServer func(context.Context) (*demo.Server, error)
	// Order returns the number of the order that a document of the demo holds.
	Order func(ctx context.Context, client *redis.Client, key string) (string, error)
}

// settings are the flags.
type settings struct {
	topicjob.Flags
	keyPrefix   string
	ttl         time.Duration
	errorStream string
}

// Main runs the program and returns its exit status.
func (k Sink) Main() (status int) {
	flags := k.Flags
	if flags == nil {
		flags = flag.NewFlagSet(k.Name, flag.ContinueOnError)
	}
	var s settings
	s.Register(flags, k.Name, "the topic and the "+k.Documents)
	flags.StringVar(&s.keyPrefix, "key_prefix", "", "`text` that goes before a message's key to make its document's")
	flags.DurationVar(&s.ttl, "ttl", 0, "`time` that a document lives from its last write on, such as 5m; 0: no limit is set")
	flags.StringVar(&s.errorStream, "error_stream", "", "`key` of a stream that gets the messages that can never be written, with the reason; without it, such a message ends the program")
	return cli.Main(cli.Program{Name: k.Name, Summary: k.Summary, Flags: flags, Run: func(sig *cli.Signals) error {
		if s.Redis.URL == "" {
			return k.demonstrate(sig, os.Stdout, &s)
		}
		return k.run(sig, os.Stdout, &s)
	}})
}

// job is what the flags ask for. The error, a usage error, tells all that is
// wrong with them.
func (k Sink) job(s *settings) (topicjob.Job, error) {
	j, err := s.Job()
	opts, optsErr := k.Options()
	opts = append(append(opts, redisio.WithKeyPrefix(s.keyPrefix)), j.Reporting...)
	if s.ttl < 0 {
		err = errors.Join(err, fmt.Errorf("--ttl is %v: want 0 or more", s.ttl))
	}
	if s.ttl > 0 {
		opts = append(opts, redisio.WithTTL(s.ttl))
	}
	if s.errorStream != "" {
		opts = append(opts, redisio.WithErrorStream(s.errorStream))
		err = errors.Join(err, notOf(j.Source, s.errorStream))
	}
	if k.Check != nil {
		j.CheckSink = func(ctx context.Context) error { return k.Check(ctx, j.Conn) }
	}
	j.Write = func(scope beam.Scope, messages beam.PCollection) error {
		_, err := k.Write(scope, j.Conn, messages, opts...)
		return err
	}
	return j, cli.Usage(errors.Join(err, optsErr))
}

// notOf refuses to add dead letters to what is read.
func notOf(source redisio.Topic, errorStream string) error {
	for _, p := range source.Parts() {
		if p.Stream == errorStream {
			return fmt.Errorf("--error_stream is %q, a partition of --source: the program would read what it could not write, without end", errorStream)
		}
	}
	return nil
}

// run writes documents until it has caught up or is told to stop.
func (k Sink) run(sig *cli.Signals, w io.Writer, s *settings) error {
	j, err := k.job(s)
	if err != nil {
		return err
	}
	return j.RunAndTell(sig, w, k.Documents+" from")
}
