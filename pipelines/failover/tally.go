package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/redis/go-redis/v9"

	"example.com/beamredis/redisio"
)

// tallyKey is the key of the hash in which the workers count: the failures, and
// for each stream of the source the entries that were given to the function.
type tallyKey string

const failuresField = "failures"

func givenField(stream string) string { return "given:" + stream }

func (k tallyKey) failures(ctx context.Context, client *redis.Client) (int64, error) {
	n, err := client.HGet(ctx, string(k), failuresField).Int64()
	if err != nil && !errors.Is(err, redis.Nil) {
		return 0, fmt.Errorf("read the tally %s: %w", k, err)
	}
	return n, nil
}

// add adds to the counts, in one transaction.
func (k tallyKey) add(ctx context.Context, client *redis.Client, given map[string]int64, failures int64) error {
	if len(given) == 0 && failures == 0 {
		return nil
	}
	_, err := client.TxPipelined(ctx, func(pipe redis.Pipeliner) error {
		for stream, n := range given {
			pipe.HIncrBy(ctx, string(k), givenField(stream), n)
		}
		if failures > 0 {
			pipe.HIncrBy(ctx, string(k), failuresField, failures)
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("add to the tally %s: %w", k, err)
	}
	return nil
}

// given returns how many entries of each partition of t were counted.
func (k tallyKey) given(ctx context.Context, client *redis.Client, t redisio.Topic) ([]int64, error) {
	counts := make([]int64, t.Len())
	for i, p := range t.Parts() {
		n, err := client.HGet(ctx, string(k), givenField(p.Stream)).Int64()
		if err != nil && !errors.Is(err, redis.Nil) {
			return nil, fmt.Errorf("read the tally %s: %w", k, err)
		}
		counts[i] = n
	}
	return counts, nil
}
