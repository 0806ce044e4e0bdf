package integration_test

import (
	"slices"
	"strconv"

	"github.com/google/go-cmp/cmp"
	"github.com/redis/go-redis/v9"

	"example.com/beamredis/redisio"
)

// arrivals is what a sink topic holds: the numbers of the entries, in order,
// per partition.
type arrivals [][]int

// arrived reads the sink topic, and checks of every entry that it is one that
// was sent, with its key first, and in the partition of its key.
func (s *server) arrived(sink redisio.Topic) arrivals {
	s.t.Helper()
	parts := sink.Parts()
	all := make(arrivals, len(parts))
	wrong := 0
	for i, p := range parts {
		s.scan(p.Stream, func(e entry) {
			n := numberOf(e)
			all[i] = append(all[i], n)
			want := append([]string{"_key", keyOf(n)}, fieldsOf(n)...)
			if wrong > 5 || slices.Equal(want, e.fields) && sinkPartition(keyOf(n), len(parts)) == i {
				return
			}
			wrong++
			s.t.Errorf("entry %d came to partition %d of %d, key %q, fields (-want +got):\n%s", n, i, len(parts), keyOf(n), cmp.Diff(want, e.fields))
		})
	}
	return all
}

// numberOf returns the number in field "n", or 0.
func numberOf(e entry) int {
	for i := 0; i+1 < len(e.fields); i += 2 {
		if e.fields[i] == "n" {
			n, _ := strconv.Atoi(e.fields[i+1]) // the comparison of all fields follows
			return n
		}
	}
	return 0
}

func (a arrivals) total() int {
	n := 0
	for _, part := range a {
		n += len(part)
	}
	return n
}

// counts returns how often each of n entries arrived.
func (a arrivals) counts(n int) []int {
	times := make([]int, n)
	for _, part := range a {
		for _, i := range part {
			if i < n {
				times[i]++
			}
		}
	}
	return times
}

// wantExactlyOnce fails the test unless entries 0 to n-1 arrived once each,
// in order per key, and nothing else did.
func (s *server) wantExactlyOnce(a arrivals, n int) {
	s.t.Helper()
	s.wantEachOnce(a, n)
	s.wantAtLeastOnce(a, n)
}

// wantEachOnce is wantExactlyOnce without the order.
func (s *server) wantEachOnce(a arrivals, n int) {
	s.t.Helper()
	if a.total() != n {
		s.t.Errorf("%d entries arrived, want %d", a.total(), n)
	}
	for i, times := range a.counts(n) {
		if times != 1 {
			s.t.Errorf("entry %d arrived %d times, want once", i, times)
			return
		}
	}
}

// wantAtLeastOnce fails the test unless entries 0 to n-1 arrived, and each key's
// first arrivals are in order, without a gap.
//
// That is all the order that at-least-once gives: a copy that was interrupted
// goes back to an entry that it wrote already, and repeats what follows. It may
// go back at any time, but it never leaves out what it has not written.
//
// The entries in without must not arrive.
func (s *server) wantAtLeastOnce(a arrivals, n int, without ...int) {
	s.t.Helper()
	wrong := 0
	for i, times := range a.counts(n) {
		if (times == 0) != slices.Contains(without, i) && wrong < 5 {
			wrong++
			s.t.Errorf("entry %d (key %q) arrived %d times", i, keyOf(i), times)
		}
	}
	var next [keyCount]int // by key: the entry that has to come first
	for k := range next {
		next[k] = k
	}
	for _, part := range a {
		for _, i := range part {
			want := &next[i%keyCount]
			for slices.Contains(without, *want) {
				*want += keyCount
			}
			switch {
			case i == *want:
				*want += keyCount
			case i > *want:
				s.t.Errorf("key %q: entry %d arrived before entry %d", keyOf(i), i, *want)
				return
			}
		}
	}
}

// wantNothingPending fails the test unless every partition's group has nothing
// pending.
func (s *server) wantNothingPending(t redisio.Topic, group string) {
	s.t.Helper()
	for _, p := range t.Parts() {
		if n := s.pendingOf(p.Stream, group); n != 0 {
			s.t.Errorf("%d entries of %s are pending, want none", n, p.Stream)
		}
	}
}

func (s *server) pendingOf(stream, group string) int {
	s.t.Helper()
	pending, err := s.client.XPending(s.t.Context(), stream, group).Result()
	if err != nil {
		s.t.Fatal(err)
	}
	return int(pending.Count)
}

// pending is the number of pending entries of all partitions.
func (s *server) pending(t redisio.Topic, group string) int {
	s.t.Helper()
	total := 0
	for _, p := range t.Parts() {
		total += s.pendingOf(p.Stream, group)
	}
	return total
}

// group is what XINFO GROUPS tells; a lag that the server cannot tell is -1.
func (s *server) group(stream, name string) redis.XInfoGroup {
	s.t.Helper()
	rows, err := s.client.Do(s.t.Context(), "xinfo", "groups", stream).Slice()
	if err != nil {
		s.t.Fatal(err)
	}
	for _, row := range rows {
		m := row.(map[any]any)
		if m["name"] != name {
			continue
		}
		g := redis.XInfoGroup{Name: name, Pending: m["pending"].(int64), LastDeliveredID: m["last-delivered-id"].(string), Lag: -1}
		if lag, ok := m["lag"].(int64); ok {
			g.Lag = lag
		}
		return g
	}
	s.t.Fatalf("stream %s has no group %s", stream, name)
	return redis.XInfoGroup{}
}

// wantCaughtUp fails the test unless the group has read and acknowledged
// everything.
func (s *server) wantCaughtUp(t redisio.Topic, group string) {
	s.t.Helper()
	s.wantNothingPending(t, group)
	for _, p := range t.Parts() {
		if lag := s.group(p.Stream, group).Lag; lag != 0 {
			s.t.Errorf("the lag of %s is %d, want 0", p.Stream, lag)
		}
	}
}
