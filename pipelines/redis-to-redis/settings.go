package main

import (
	"errors"
	"flag"

	"github.com/apache/beam/sdks/v2/go/pkg/beam"

	"example.com/beamredis/pipelines/internal/cli"
	"example.com/beamredis/pipelines/internal/topicjob"
	"example.com/beamredis/redisio"
)

// settings are the program's flags.
type settings struct {
	topicjob.Flags
	sink       cli.Topic
	idempotent string
}

func (s *settings) register(fs *flag.FlagSet) {
	s.Register(fs, "redis-to-redis", "both topics")
	s.sink.Register(fs, "sink", "out", "to write")
	fs.StringVar(&s.idempotent, "idempotent", "", "write every entry once, also after a failure: `name` of this copy, the same at every start and for no other; "+
		"without it, entries can be written twice")
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
	j := job{Job: source, sink: s.sink.Topic}
	j.Sinks = []redisio.Topic{j.sink}
	options := append([]redisio.WriteOption{redisio.WithKeyField(s.KeyField)}, j.Reporting...)
	var nameErr error
	if s.idempotent != "" {
		nameErr = redisio.CheckIdempotenceName(s.idempotent)
		options = append(options, redisio.WithIdempotence(s.idempotent))
	}
	j.Write = func(scope beam.Scope, messages beam.PCollection) error {
		_, err := redisio.TryWrite(scope, j.Conn, j.sink, messages, options...)
		return err
	}
	return j, cli.Usage(errors.Join(
		err,
		s.sink.Check(),
		cli.OfFlag("--idempotent", nameErr),
		cli.OtherTopic(s.Source.Name, s.sink.Name),
	))
}
