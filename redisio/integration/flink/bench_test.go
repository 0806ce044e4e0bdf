package flink_test

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"example.com/beamredis/redisio"
)

// benched skips a measurement unless one is asked for: its figures mean
// something on a quiet machine only.
func benched(t *testing.T) {
	t.Helper()
	if os.Getenv("BEAMREDIS_BENCH") == "" {
		t.Skip("a measurement: set BEAMREDIS_BENCH=1")
	}
}

// TestThroughput prints the rate of the copy on Flink beside that of a plain
// client loop on the same server. The start of the job does not count.
func TestThroughput(t *testing.T) {
	benched(t)
	c := flink(t)
	s := startRedis(t)
	in := redisio.Topic{Name: "in", Partitions: 4}
	n := sized(400_000, 2_000_000)
	s.load(in, 0, n)
	for round := range sized(1, 3) {
		raw := float64(n) / s.copyRaw(in, fmt.Sprint("raw-", round)).Seconds()
		t.Logf("round %d: raw %.0f entries/s", round+1, raw)
		rate := s.copyOnFlink(t, c, in, n)
		t.Logf("round %d: copy %.0f entries/s, ratio %.2f", round+1, rate, rate/raw)
	}
}

// copyOnFlink returns the rate from the first entry in the sink to the last.
func (s *server) copyOnFlink(t *testing.T, c *cluster, in redisio.Topic, n int) float64 {
	t.Helper()
	j := newJob(c, s.Config(), in, 4, redisio.WithStopAtLatest())
	j.flags["max_bundle_time"], j.flags["checkpointing_interval"] = "10ms", "5s" // the defaults
	ended := j.begin(t)
	var first, last time.Time
	seen := 0
	eventually(t, "everything is copied", func() bool {
		got := s.length(out)
		if got > 0 && first.IsZero() {
			first, seen = time.Now(), got
		}
		last = time.Now()
		return got >= n
	})
	if err := <-ended; err != nil {
		t.Fatal(err)
	}
	s.wantNothingPending(in)
	s.forget(in)
	return float64(n-seen) / last.Sub(first).Seconds()
}

// forget removes the group and the sink.
func (s *server) forget(in redisio.Topic) {
	s.t.Helper()
	for _, p := range in.Parts() {
		s.client.XGroupDestroy(s.t.Context(), p.Stream, group)
	}
	for _, p := range out.Parts() {
		s.client.Unlink(s.t.Context(), p.Stream)
	}
}

// copyRaw is what a plain client can do: for each partition XREADGROUP, a
// pipeline of XADDs, XACK.
func (s *server) copyRaw(in redisio.Topic, group string) time.Duration {
	s.t.Helper()
	begun := time.Now()
	var wg sync.WaitGroup
	for _, p := range in.Parts() {
		wg.Go(func() {
			if err := s.copyPartition(p.Stream, group); err != nil {
				s.t.Error(err)
			}
		})
	}
	wg.Wait()
	took := time.Since(begun)
	for _, p := range in.Parts() {
		s.client.XGroupDestroy(s.t.Context(), p.Stream, group)
		s.client.Unlink(s.t.Context(), group+p.Stream)
	}
	return took
}

func (s *server) copyPartition(stream, group string) error {
	ctx := s.t.Context()
	if err := s.client.XGroupCreate(ctx, stream, group, "0").Err(); err != nil {
		return err
	}
	for {
		got, err := s.client.XReadGroup(ctx, &redis.XReadGroupArgs{Group: group, Consumer: "raw", Streams: []string{stream, ">"}, Count: 1000, Block: -1}).Result()
		if errors.Is(err, redis.Nil) {
			return nil
		}
		if err != nil {
			return err
		}
		var ids []string
		pipe := s.client.Pipeline()
		for _, m := range got[0].Messages {
			pipe.XAdd(ctx, &redis.XAddArgs{Stream: group + stream, Values: m.Values})
			ids = append(ids, m.ID)
		}
		if _, err := pipe.Exec(ctx); err != nil {
			return err
		}
		if err := s.client.XAck(ctx, stream, group, ids...).Err(); err != nil {
			return err
		}
	}
}

// TestLatency prints how long entries take from the program that adds them to
// one that waits at the sink, at 200 a second over 4 partitions.
func TestLatency(t *testing.T) {
	benched(t)
	c := flink(t)
	for _, bundle := range []string{"1ms", "10ms", "100ms"} {
		t.Run(bundle, func(t *testing.T) {
			s := startRedis(t)
			in := redisio.Topic{Name: "in", Partitions: 4}
			s.load(in, 0, 400) // the first ones start the workers
			j := newJob(c, s.Config(), in, 4)
			j.flags["max_bundle_time"], j.flags["checkpointing_interval"] = bundle, "5s"
			j.begin(t)
			eventually(t, "the copy runs", func() bool { return s.length(out) == 400 })
			took := s.latencies(in, 400, 400+10*200)
			at := func(q float64) time.Duration {
				return took[int(q*float64(len(took)-1))].Round(10 * time.Microsecond)
			}
			t.Logf("max_bundle_time %s: p50 %v, p90 %v, p99 %v, most %v", bundle, at(0.5), at(0.9), at(0.99), at(1))
		})
	}
}

// latencies adds entries from to to-1 every 5 ms, and returns their latencies in
// order.
func (s *server) latencies(in redisio.Topic, from, to int) []time.Duration {
	s.t.Helper()
	sent := make([]time.Time, to)
	arrived := make(chan []time.Duration, 1)
	positions := []string{"out:0", "out:1", "out:2", "$", "$", "$"}
	for i := range 3 {
		tail, err := s.client.XRevRangeN(s.t.Context(), positions[i], "+", "-", 1).Result()
		if err != nil || len(tail) == 0 {
			s.t.Fatalf("%s is empty: %v", positions[i], err)
		}
		positions[3+i] = tail[0].ID
	}
	var mu sync.Mutex
	go func() { arrived <- s.watch(positions, to-from, &mu, sent) }()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for i := from; i < to; i++ {
		<-tick.C
		mu.Lock()
		sent[i] = time.Now()
		mu.Unlock()
		s.load(in, i, i+1)
	}
	took := <-arrived
	if len(took) != to-from {
		s.t.Fatalf("%d of %d entries arrived", len(took), to-from)
	}
	slices.Sort(took)
	return took
}

// watch waits at the sink for n entries.
func (s *server) watch(positions []string, n int, mu *sync.Mutex, sent []time.Time) (took []time.Duration) {
	for len(took) < n {
		got, err := s.client.XRead(s.t.Context(), &redis.XReadArgs{Streams: positions, Block: 20 * time.Second}).Result()
		if err != nil {
			return took
		}
		now := time.Now()
		mu.Lock()
		for _, stream := range got {
			for _, m := range stream.Messages {
				i, err := strconv.Atoi(m.Values["n"].(string))
				if err != nil || i >= len(sent) {
					continue
				}
				took = append(took, now.Sub(sent[i]))
				positions[3+slices.Index(positions, stream.Stream)] = m.ID
			}
		}
		mu.Unlock()
	}
	return took
}
