package main

import (
	"errors"
	"flag"
	"fmt"
	"time"

	"example.com/beamredis/pipelines/internal/cli"
	"example.com/beamredis/redisio/conn"
	"example.com/beamredis/redisio/topic"
)

const summary = `
inspect shows how a Redis Streams topic stands: for each partition the entries,
the first and the last of them, and of a consumer group the entries that wait,
those that are pending, and since when the oldest of these.

  inspect --topic in --partitions 4 --group copy --watch

A partition is stuck, which a row of its own says, if entries have been pending
for too long, or wait and nobody reads. The status is 1 if the topic or the
group does not exist, or Redis cannot be reached.`

// settings are the program's flags.
type settings struct {
	redis       cli.Redis
	conn        conn.Config
	topic       topic.Topic
	group       string
	watch, json bool
	every       time.Duration
	stuckAfter  time.Duration
}

func (s *settings) flags() *flag.FlagSet {
	fs := flag.NewFlagSet("inspect", flag.ContinueOnError)
	s.redis.Register(fs, "redis://localhost:6379", "that holds the topic")
	fs.StringVar(&s.topic.Name, "topic", "", "`name` of the topic")
	fs.IntVar(&s.topic.Partitions, "partitions", 0, "`number` of partitions of the topic")
	fs.StringVar(&s.group, "group", "", "`name` of the consumer group; without it, that of the topic if it has one only")
	fs.BoolVar(&s.watch, "watch", false, "show it again and again until SIGINT or SIGTERM")
	fs.DurationVar(&s.every, "every", 2*time.Second, "`time` between two looks of --watch")
	fs.BoolVar(&s.json, "json", false, "write a JSON object, with --watch one a line")
	fs.DurationVar(&s.stuckAfter, "stuck_after", time.Minute, "`time` after which entries that are pending, or wait and are not read, count as stuck")
	return fs
}

// check makes sense of the flags; the error, a usage error, tells all that is
// wrong with them.
func (s *settings) check() error {
	var err error
	s.conn, err = s.redis.Conn()
	return cli.Usage(errors.Join(err,
		cli.NotEmpty("--topic", s.topic.Name, "the name of a topic"), cli.Positive("--partitions", s.topic.Partitions),
		positive("--every", s.every), positive("--stuck_after", s.stuckAfter)))
}

func positive(flag string, d time.Duration) error {
	if d <= 0 {
		return fmt.Errorf("%s is %v: want more than 0", flag, d)
	}
	return nil
}
