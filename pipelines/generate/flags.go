package main

import (
	"errors"
	"flag"
	"fmt"
	"io"

	"example.com/beamredis/pipelines/internal/cli"
	"example.com/beamredis/redisio/conn"
	"example.com/beamredis/redisio/topic"
)

// settings are the flags, checked.
type settings struct {
	conn   conn.Config
	topic  topic.Topic
	count  int64
	rate   float64 // messages per second; 0: as fast as it goes
	fields int
	size   int // bytes of a field's value
	keys   int
	seed   uint64
}

func flagSet(s *settings, r *cli.Redis) *flag.FlagSet {
	fs := flag.NewFlagSet("generate", flag.ContinueOnError)
	r.Register(fs, "redis://localhost:6379", "that is to hold it")
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

// parseFlags reads and checks the arguments. The error names the flag, or is
// [flag.ErrHelp].
func parseFlags(args []string) (settings, error) {
	var s settings
	var r cli.Redis
	fs := flagSet(&s, &r)
	if err := cli.Parse(fs, args); err != nil {
		return settings{}, err
	}
	if err := cli.NoArguments(fs); err != nil {
		return settings{}, err
	}
	c, err := r.Conn()
	if err != nil {
		return settings{}, cli.Usage(err)
	}
	s.conn = c
	return s, cli.Usage(s.validate())
}

// validate reports every flag that is out of range.
func (s settings) validate() error {
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

func printUsage(w io.Writer) {
	var s settings
	cli.Help(w, "generate fills a topic with random keyed messages.", flagSet(&s, &cli.Redis{}))
}
