// The program json-sink writes the messages of a topic as JSON documents: each
// at the key that its message has, acknowledged when the runner has made that
// durable. Without --redis it demonstrates itself.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"strings"

	"github.com/redis/go-redis/v9"

	"example.com/beamredis/pipelines/internal/demo"
	"example.com/beamredis/pipelines/internal/docsink"
	"example.com/beamredis/redisio"
)

const summary = `
json-sink writes each message of the Redis Streams topic --source as a JSON
document, on a Redis that has them (Redis 8, Redis Stack, or the module
RedisJSON):

  json-sink --redis redis://localhost:6379 --source in --key_prefix order:

The document's key is --key_prefix and the message's key. It is the message's
field "data" if that is JSON, else an object of the message's fields.

The topic "in" with 4 partitions is the streams in:0 to in:3. A password is not
given but referred to: --redis 'redis://user@host?password_env=REDIS_PASSWORD',
or password_file=PATH.

It runs until SIGINT or SIGTERM, on which it stops in order; a second signal
stops it at once. Without --redis it is a demo on a Redis of its own.`

func main() {
	flags := flag.NewFlagSet("json-sink", flag.ContinueOnError)
	path := flags.String("path", "$", "`path` in the document that is written, such as $.status; all of it but its last part must exist")
	os.Exit(docsink.Sink{
		Name:        "json-sink",
		Summary:     summary,
		Documents:   "JSON documents",
		Flags:       flags,
		Options:     func() ([]redisio.WriteOption, error) { return pathOption(*path) },
		Write:       redisio.TryWriteJSON,
		Check:       redisio.CheckJSON,
		StartServer: demo.StartJSONServer,
		Order: func(ctx context.Context, client *redis.Client, key string) (string, error) {
			order, err := client.Do(ctx, "JSON.GET", key, ".order").Text()
			return strings.Trim(order, `"`), err
		},
	}.Main())
}

func pathOption(path string) ([]redisio.WriteOption, error) {
	if !strings.HasPrefix(path, "$") && !strings.HasPrefix(path, ".") {
		return nil, fmt.Errorf("--path is %q: want one that begins with $ or with a dot", path)
	}
	return []redisio.WriteOption{redisio.WithPath(path)}, nil
}
