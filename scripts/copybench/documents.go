package main

import (
	"context"
	"encoding/json"
	"fmt"

	"github.com/apache/beam/sdks/v2/go/pkg/beam/register"
	"github.com/redis/go-redis/v9"

	"example.com/beamredis/internal/redisserver"
	"example.com/beamredis/redisio"
)

func init() { register.Function1x1(sequence) }

// serverArgs loads RedisJSON where documents need it.
func serverArgs() ([]string, error) {
	if *to != "json" {
		return nil, nil
	}
	module, err := redisserver.JSONModule()
	return []string{"--loadmodule", module}, err
}

// sequence is the key of a message's document: its number, so that every
// message has a document of its own.
func sequence(m redisio.Message) string {
	if seq, ok := m.Get("seq"); ok {
		return seq
	}
	data, _ := m.Get("data")
	return sequenceIn(data)
}

// sequenceIn takes the number out of `{"seq":N,`.
func sequenceIn(data string) string {
	var n int
	if _, err := fmt.Sscanf(data, `{"seq":%d,`, &n); err != nil {
		return ""
	}
	return fmt.Sprint(n)
}

// prefix begins the documents' keys.
func prefix() string { return sink() + "/" }

func documentOptions() []redisio.WriteOption {
	opts := []redisio.WriteOption{redisio.WithKey(sequence), redisio.WithKeyPrefix(prefix())}
	if *ttl > 0 {
		opts = append(opts, redisio.WithTTL(*ttl))
	}
	return opts
}

// setDocument is what the plain client sends for a message: the command with
// the document's key put in, and PEXPIRE if there is a time to live.
func setDocument(ctx context.Context, pipe redis.Pipeliner, m redis.XMessage, command string, args ...any) {
	seq, ok := m.Values["seq"].(string)
	if !ok {
		seq = sequenceIn(m.Values["data"].(string))
	}
	key := prefix() + seq
	pipe.Do(ctx, append([]any{command, key}, args...)...)
	if *ttl > 0 {
		pipe.PExpire(ctx, key, *ttl)
	}
}

// removeDocuments counts the documents of this round that hold what they
// should, and removes them.
func removeDocuments(ctx context.Context, c *redis.Client) (n int64, err error) {
	scan := c.Scan(ctx, 0, prefix()+"*", 10_000).Iterator()
	var keys []string
	for scan.Next(ctx) {
		keys = append(keys, scan.Val())
	}
	if err := scan.Err(); err != nil {
		return 0, err
	}
	for len(keys) > 0 {
		some := keys[:min(batch, len(keys))]
		keys = keys[len(some):]
		if err := checkDocuments(ctx, c, some); err != nil {
			return n, err
		}
		n += c.Unlink(ctx, some...).Val()
	}
	return n, nil
}

// checkDocuments compares each document's number with its key, and looks for
// the time to live.
func checkDocuments(ctx context.Context, c *redis.Client, keys []string) error {
	pipe := c.Pipeline()
	values := make([]*redis.Cmd, len(keys))
	ttls := make([]*redis.DurationCmd, len(keys))
	for i, key := range keys {
		values[i] = pipe.Do(ctx, map[string][]any{"json": {"json.get", key, "$.seq"}, "hash": {"hget", key, "seq"}}[*to]...)
		ttls[i] = pipe.PTTL(ctx, key)
	}
	if _, err := pipe.Exec(ctx); err != nil {
		return err
	}
	for i, key := range keys {
		value, _ := values[i].Text()
		var seq []json.Number
		if *to == "json" && json.Unmarshal([]byte(value), &seq) == nil && len(seq) == 1 {
			value = seq[0].String()
		}
		if key != prefix()+value || (ttls[i].Val() > 0) != (*ttl > 0) {
			return fmt.Errorf("document %s has number %q and %v to live", key, value, ttls[i].Val())
		}
	}
	return nil
}
