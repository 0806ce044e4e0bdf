package main

import (
	"errors"
	"flag"
	"fmt"

	"example.com/beamredis/pipelines/internal/cli"
	"example.com/beamredis/redisio/conn"
	"example.com/beamredis/redisio/topic"
)

// settings are the program's flags.
type settings struct {
	redis  cli.Redis
	conn   conn.Config
	topic  topic.Topic
	count  int64
	rate   float64 // messages per second; 0: as fast as it goes
	fields int
	size   int // bytes of a field's value
	keys   int
	seed   uint64
}

func (s *settings) flags() *flag.FlagSet {
	fs := flag.NewFlagSet("generate", flag.ContinueOnError)
	s.redis.Register(fs, "redis://localhost:6379", "that is to hold it")
	fs.StringVar(&s.topic.Name, "topic", "in", "`name` of the topic")
	fs.IntVar(&s.topic.Partitions, "partitions", 4, "`number` of partitions of the topic")
	fs.Int64Var(&s.count, "count", 100_000, "`number` of messages")
	fs.Float64Var(&s.rate, "rate", 0, "messages per `second`; 0: as fast as it goes")
	fs.IntVar(&s.fields, "fields", 3, "`number` of random fields of a message")
	fs.IntVar(&s.size, "size", 20, "`bytes` of the value of a random field")
	fs.IntVar(&s.keys, "keys", 1000, "`number` of different keys")
	fs.Uint64Var(&s.seed, "seed", 1, "`seed` of the random numbers")
	return fs
}

// check makes sense of the flags; the error, a usage error, tells all that is
// wrong with them.
func (s *settings) check() error {
	var err error
	s.conn, err = s.redis.Conn()
	return cli.Usage(errors.Join(err, s.validate()))
}

// validate reports every flag that is out of range.
func (s *settings) validate() error {
	var errs []error
	if s.topic.Name == "" {
		errs = append(errs, errors.New("--topic is empty: it is the name of the topic to fill"))
	}
	least := func(name string, got, least int64) {
		if got < least {
			errs = append(errs, fmt.Errorf("--%s is %d: it must be at least %d", name, got, least))
		}
	}
	least("partitions", int64(s.topic.Partitions), 1)
	least("count", s.count, 1)
	least("fields", int64(s.fields), 0)
	least("size", int64(s.size), 0)
	least("keys", int64(s.keys), 1)
	if !(s.rate >= 0) { // NaN is not
		errs = append(errs, fmt.Errorf("--rate is %v: it must be 0 or more", s.rate))
	}
	return errors.Join(errs...)
}
