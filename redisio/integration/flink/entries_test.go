package flink_test

import (
	"strconv"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"example.com/beamredis/redisio"
	"example.com/beamredis/redisio/internal/redistest"
)

// Entry n carries its number, and its key follows from it: entries of one key
// are n, n+keyCount, …, all in one partition.
const keyCount = 997

func keyOf(n int) string { return "key-" + strconv.Itoa(n%keyCount) }

// server is a redis-server with a plain client.
type server struct {
	*redistest.Server
	t      *testing.T
	client *redis.Client
}

func startRedis(t *testing.T) *server {
	t.Helper()
	s := &server{Server: redistest.Start(t), t: t}
	s.client = redis.NewClient(&redis.Options{Addr: s.Addr(), ReadTimeout: time.Minute})
	t.Cleanup(func() { _ = s.client.Close() })
	return s
}

// load adds entries from to to-1 to the topic.
func (s *server) load(topic redisio.Topic, from, to int) {
	s.t.Helper()
	parts := topic.Parts()
	for from < to {
		next := min(to, from+1000)
		_, err := s.client.Pipelined(s.t.Context(), func(pipe redis.Pipeliner) error {
			for ; from < next; from++ {
				stream := parts[from%keyCount%len(parts)].Stream
				pipe.XAdd(s.t.Context(), &redis.XAddArgs{Stream: stream, Values: []any{"_key", keyOf(from), "n", from, "filler", "0123456789abcdefghijklmnopqrstuvwxyz0123456789abcdefghijklmnopqrstuvwxyz"}})
			}
			return nil
		})
		if err != nil {
			s.t.Fatal(err)
		}
	}
}

func (s *server) length(topic redisio.Topic) int {
	s.t.Helper()
	total := 0
	for _, p := range topic.Parts() {
		n, err := s.client.XLen(s.t.Context(), p.Stream).Result()
		if err != nil {
			s.t.Fatal(err)
		}
		total += int(n)
	}
	return total
}

// pending is the number of pending entries of all partitions; -1 while a group
// is missing.
func (s *server) pending(topic redisio.Topic) int {
	s.t.Helper()
	total := 0
	for _, p := range topic.Parts() {
		pending, err := s.client.XPending(s.t.Context(), p.Stream, group).Result()
		if err != nil {
			return -1
		}
		total += int(pending.Count)
	}
	return total
}

// arrived returns the numbers of the entries in the sink, per partition in
// order.
func (s *server) arrived() [][]int {
	s.t.Helper()
	var all [][]int
	for _, p := range out.Parts() {
		var part []int
		for from := "-"; ; {
			page, err := s.client.XRangeN(s.t.Context(), p.Stream, from, "+", 5000).Result()
			if err != nil {
				s.t.Fatal(err)
			}
			for _, e := range page {
				n, err := strconv.Atoi(e.Values["n"].(string))
				if err != nil || e.Values["_key"] != keyOf(n) {
					s.t.Fatalf("entry %s of %s is not one that was sent: %v", e.ID, p.Stream, e.Values)
				}
				part = append(part, n)
				from = "(" + e.ID
			}
			if len(page) < 5000 {
				break
			}
		}
		all = append(all, part)
	}
	return all
}

// wantAtLeastOnce fails the test unless all entries from 0 to n-1 arrived, each
// key's first arrivals in order and without a gap. It returns how many arrived
// again: a copy that goes back repeats what follows.
func (s *server) wantAtLeastOnce(n int) (repeated int) {
	s.t.Helper()
	seen := make([]bool, n)
	next := map[int]int{}
	total := 0
	for _, part := range s.arrived() {
		for _, i := range part {
			total++
			k := i % keyCount
			want, known := next[k]
			if !known {
				want = k
			}
			if i > want {
				s.t.Fatalf("key %q: entry %d arrived before entry %d", keyOf(i), i, want)
			}
			if i == want {
				next[k] = i + keyCount
			}
			seen[i] = true
		}
	}
	missing := 0
	for _, ok := range seen {
		if !ok {
			missing++
		}
	}
	if missing > 0 {
		s.t.Errorf("%d of %d entries never arrived", missing, n)
	}
	return total - n
}

func (s *server) wantExactlyOnce(n int) {
	s.t.Helper()
	if repeated := s.wantAtLeastOnce(n); repeated != 0 {
		s.t.Errorf("%d entries arrived more than once", repeated)
	}
}

func (s *server) wantNothingPending(topic redisio.Topic) {
	s.t.Helper()
	if n := s.pending(topic); n != 0 {
		s.t.Errorf("%d entries are pending, want none", n)
	}
}
