// The program redis-to-redis copies a topic: it reads the topic's streams
// through a consumer group, writes every entry to another topic, to the
// partition of its key, and acknowledges it when the runner has made that
// durable. Without --redis it demonstrates itself.
package main

import (
	"flag"
	"os"

	"example.com/beamredis/pipelines/internal/cli"
)

const summary = `
redis-to-redis copies the Redis Streams topic --source to the topic --sink:

  redis-to-redis --redis redis://localhost:6379 --source in --sink out

The topic "in" with 4 partitions is the streams in:0 to in:3. A password is not
given but referred to: --redis 'redis://user@host?password_env=REDIS_PASSWORD',
or password_file=PATH.

It runs until SIGINT or SIGTERM, on which it stops in order; a second signal
stops it at once. Without --redis it is a demo on a Redis of its own.`

func main() {
	flags := flag.NewFlagSet("redis-to-redis", flag.ContinueOnError)
	var s settings
	s.register(flags)
	os.Exit(cli.Main(cli.Program{
		Name:    "redis-to-redis",
		Summary: summary,
		Flags:   flags,
		Run: func(sig *cli.Signals) error {
			if s.Redis.URL == "" {
				return demonstrate(sig, os.Stdout, &s)
			}
			return copyTopic(sig, os.Stdout, &s)
		},
	}))
}
