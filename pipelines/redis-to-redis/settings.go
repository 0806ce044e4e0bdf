package main

import (
	"errors"
	"flag"

	"example.com/beamredis/pipelines/internal/beamrun"
	"example.com/beamredis/pipelines/internal/cli"
	"example.com/beamredis/redisio"
)

// settings are the program's flags.
type settings struct {
	redis            string
	source, sink     string
	sourceParts      int
	sinkParts        int
	group            string
	start            string
	ack              string
	keyField         string
	idempotent       string
	exitWhenCaughtUp bool
	check            bool
}

func (s *settings) register(fs *flag.FlagSet) {
	fs.StringVar(&s.redis, "redis", "", "`URL` of the Redis that holds both topics: redis://[user@]host[:port][/db][?password_env=NAME|?password_file=PATH], "+
		"or rediss:// for TLS; without it, a demo runs on a Redis of its own")
	fs.StringVar(&s.source, "source", "in", "`name` of the topic to read")
	fs.IntVar(&s.sourceParts, "source_partitions", 4, "`number` of partitions of the source topic")
	fs.StringVar(&s.group, "group", "redis-to-redis", "`name` of the consumer group to read through; it is created where it is missing")
	fs.StringVar(&s.start, "start", "", "where a new group begins: latest, earliest, after an entry `ID`, or with a time in RFC 3339; "+
		"a group that exists goes on where it stands (default latest; the demo: earliest)")
	fs.StringVar(&s.ack, "ack", "on-checkpoint", "`when` an entry is acknowledged: on-checkpoint, on-emit, or no-ack")
	fs.StringVar(&s.sink, "sink", "out", "`name` of the topic to write")
	fs.IntVar(&s.sinkParts, "sink_partitions", 4, "`number` of partitions of the sink topic")
	fs.StringVar(&s.keyField, "key_field", "_key", "`name` of the entry field that holds the message key; empty: entries have no key")
	fs.StringVar(&s.idempotent, "idempotent", "", "write every entry once, also after a failure: `name` of this copy, the same at every start and for no other; "+
		"without it, entries can be written twice")
	fs.BoolVar(&s.exitWhenCaughtUp, "exit_when_caught_up", false, "end when every entry that was there at the start is written and acknowledged")
	fs.BoolVar(&s.check, "check", true, "look at Redis from this machine before the pipeline is submitted; --check=false where only the workers reach it")
}

// redisGiven tells --redis "" (an unset variable, perhaps) from no --redis.
func (s *settings) redisGiven() (given bool) {
	flag.Visit(func(f *flag.Flag) { given = given || f.Name == "redis" })
	return given
}

// job is what the flags ask for.
type job struct {
	conn         redisio.Conn
	source, sink redisio.Topic
	group        string
	read         []redisio.ReadOption
	write        []redisio.WriteOption
	check        bool
}

// job makes sense of the flags; the error, a usage error, tells all that is
// wrong with them.
func (s *settings) job() (job, error) {
	j := job{
		source: redisio.Topic{Name: s.source, Partitions: s.sourceParts},
		sink:   redisio.Topic{Name: s.sink, Partitions: s.sinkParts},
		group:  s.group, check: s.check,
	}
	var connErr, startErr, nameErr error
	j.conn, connErr = cli.ParseRedis(s.redis)
	start := redisio.StartLatest()
	if s.start != "" {
		start, startErr = redisio.ParseStart(s.start)
	}
	ack, ackErr := redisio.ParseAckStrategy(s.ack)
	keyField := redisio.WithKeyField(s.keyField)
	j.read = []redisio.ReadOption{redisio.WithStart(start), redisio.WithAckStrategy(ack), keyField}
	j.write = []redisio.WriteOption{keyField}
	if s.idempotent != "" {
		nameErr = redisio.CheckIdempotenceName(s.idempotent)
		j.write = append(j.write, redisio.WithIdempotence(s.idempotent))
	}
	if s.exitWhenCaughtUp {
		j.read = append(j.read, redisio.WithStopAtLatest())
	}
	return j, cli.Usage(errors.Join(
		connErr,
		cli.NotEmpty("--source", s.source, "the name of a topic"), cli.Positive("--source_partitions", s.sourceParts),
		cli.NotEmpty("--group", s.group, "the name of a consumer group"),
		cli.OfFlag("--start", startErr), cli.OfFlag("--ack", ackErr),
		cli.NotEmpty("--sink", s.sink, "the name of a topic"), cli.Positive("--sink_partitions", s.sinkParts),
		cli.OfFlag("--idempotent", nameErr),
		cli.OtherTopic(s.source, s.sink),
		beamrun.CheckRunner(),
	))
}
