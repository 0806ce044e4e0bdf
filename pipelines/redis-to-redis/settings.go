package main

import (
	"errors"
	"flag"
	"fmt"

	"github.com/apache/beam/sdks/v2/go/pkg/beam"

	"example.com/beamredis/pipelines/internal/cli"
	"example.com/beamredis/pipelines/internal/topicjob"
	"example.com/beamredis/redisio"
)

// settings are the program's flags.
type settings struct {
	topicjob.Flags
	sink      string
	sinkParts int
}

func (s *settings) register(fs *flag.FlagSet) {
	s.Register(fs, "redis-to-redis", "both topics")
	fs.StringVar(&s.sink, "sink", "out", "`name` of the topic to write")
	fs.IntVar(&s.sinkParts, "sink_partitions", 4, "`number` of partitions of the sink topic")
}

// job is the copy that the flags ask for.
type job struct {
	topicjob.Job
	sink redisio.Topic
}

// job makes sense of the flags; the error, a usage error, tells all that is
// wrong with them.
func (s *settings) job() (job, error) {
	source, err := s.Job()
	j := job{Job: source, sink: redisio.Topic{Name: s.sink, Partitions: s.sinkParts}}
	j.Sinks = []redisio.Topic{j.sink}
	j.Write = func(scope beam.Scope, messages beam.PCollection) error {
		_, err := redisio.TryWrite(scope, j.Conn, j.sink, messages, redisio.WithKeyField(s.KeyField))
		return err
	}
	return j, cli.Usage(errors.Join(
		err,
		topicjob.NotEmpty("--sink", s.sink, "the name of a topic"), topicjob.Positive("--sink_partitions", s.sinkParts),
		differ(s.Source, s.sink),
	))
}

func differ(source, sink string) error {
	if source == sink && source != "" {
		return fmt.Errorf("--source and --sink are both %q: the copy would read what it writes, without end", source)
	}
	return nil
}
