// The program hash-sink writes the messages of a topic as hashes: each at the
// key that its message has, acknowledged when the runner has made that durable.
// Without --redis it demonstrates itself.
package main

import (
	"context"
	"os"

	"github.com/redis/go-redis/v9"

	"example.com/beamredis/pipelines/internal/demo"
	"example.com/beamredis/pipelines/internal/docsink"
	"example.com/beamredis/redisio"
)

const summary = `
hash-sink writes each message of the Redis Streams topic --source as a hash:

  hash-sink --redis redis://localhost:6379 --source in --key_prefix order:

The hash's key is --key_prefix and the message's key. Its fields are the members
of the JSON object in the message's field "data", or, without one, the message's
fields. Fields that the hash has beside those stay.

The topic "in" with 4 partitions is the streams in:0 to in:3. A password is not
given but referred to: --redis 'redis://user@host?password_env=REDIS_PASSWORD',
or password_file=PATH.

It runs until SIGINT or SIGTERM, on which it stops in order; a second signal
stops it at once. Without --redis it is a demo on a Redis of its own.`

func main() {
	os.Exit(docsink.Sink{
		Name:        "hash-sink",
		Summary:     summary,
		Documents:   "hashes",
		Options:     func() ([]redisio.WriteOption, error) { return nil, nil },
		Write:       redisio.TryWriteHash,
		StartServer: demo.StartServer,
		Order: func(ctx context.Context, client *redis.Client, key string) (string, error) {
			return client.HGet(ctx, key, "order").Result()
		},
	}.Main())
}
