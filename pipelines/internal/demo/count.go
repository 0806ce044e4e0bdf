package demo

import (
	"context"
	"crypto/tls"

	"github.com/redis/go-redis/v9"

	"example.com/beamredis/redisio"
)

// Open returns a client of the Redis that c refers to, for what a demo looks up
// itself. It does not connect yet.
func Open(c redisio.Conn) *redis.Client {
	c = c.WithDefaults()
	opts := &redis.Options{
		Addr: c.Addr, DB: c.DB, CredentialsProviderContext: c.Resolve, ContextTimeoutEnabled: true,
		DialTimeout: c.DialTimeout, ReadTimeout: c.ReadTimeout, WriteTimeout: c.WriteTimeout,
	}
	if c.TLS {
		opts.TLSConfig = &tls.Config{MinVersion: tls.VersionTLS12}
	}
	return redis.NewClient(opts)
}

// Lengths returns the number of entries of each partition of t.
func Lengths(ctx context.Context, client *redis.Client, t redisio.Topic) ([]int64, error) {
	counts := make([]int64, t.Len())
	for i, p := range t.Parts() {
		var err error
		if counts[i], err = client.XLen(ctx, p.Stream).Result(); err != nil {
			return nil, err
		}
	}
	return counts, nil
}

// Pending returns the number of entries of each partition of t that are pending
// in group.
func Pending(ctx context.Context, client *redis.Client, t redisio.Topic, group string) ([]int64, error) {
	counts := make([]int64, t.Len())
	for i, p := range t.Parts() {
		summary, err := client.XPending(ctx, p.Stream, group).Result()
		if err != nil {
			return nil, err
		}
		counts[i] = summary.Count
	}
	return counts, nil
}

// Sum adds counts up.
func Sum(counts []int64) (n int64) {
	for _, c := range counts {
		n += c
	}
	return n
}
