package main

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/redis/go-redis/v9"

	"example.com/beamredis/pipelines/internal/pipetest"
	"example.com/beamredis/redisio"
)

// struck lists which of n entries fail.
func struck(f faults, failures int64, n int) (list []int) {
	for i := range n {
		if f.strike(failures, mix(uint64(i))) {
			list = append(list, i)
		}
	}
	return list
}

func TestTheSeedPicksTheEntriesThatFail(t *testing.T) {
	f := faults{Rate: 0.01, Seed: 3, Max: 2}
	first := struck(f, 0, 100_000)
	if n := len(first); n < 850 || n > 1150 { // five standard deviations
		t.Errorf("%d of 100,000 entries fail at a rate of 0.01", n)
	}
	if diff := cmp.Diff(first, struck(f, 0, 100_000)); diff != "" {
		t.Errorf("the same seed picks others:\n%s", diff)
	}
	if cmp.Equal(first, struck(f, 1, 100_000)) {
		t.Error("after a failure the same entries fail again")
	}
	f.Seed = 4
	if cmp.Equal(first, struck(f, 0, 100_000)) {
		t.Error("another seed picks the same")
	}
	if n := len(struck(f, 2, 100_000)); n != 0 {
		t.Errorf("%d entries fail after the most failures", n)
	}
}

func TestAnEntryIsKnownAgainInTheSink(t *testing.T) {
	m := redisio.Message{Stream: "in:0", Key: "k", Fields: []redisio.Field{{Name: "a", Value: "1"}, {Name: "b", Value: "2"}}}
	for name, tc := range map[string]struct {
		values map[string]any
		same   bool
	}{
		"the same":      {map[string]any{"b": "2", "a": "1", "_key": "k"}, true},
		"without key":   {map[string]any{"b": "2", "a": "1"}, false},
		"other value":   {map[string]any{"b": "2", "a": "3", "_key": "k"}, false},
		"values change": {map[string]any{"b": "1", "a": "2", "_key": "k"}, false},
		"shifted":       {map[string]any{"a1": "", "b": "2", "_key": "k"}, false},
	} {
		if same := entryPrint(tc.values) == fingerprint(m); same != tc.same {
			t.Errorf("%s: taken for the same: %v", name, same)
		}
	}
}

func TestWhatIsAmissIsCountedAndFailsTheDemo(t *testing.T) {
	server := pipetest.StartRedis(t, "")
	add := func(stream string, values ...string) {
		t.Helper()
		for _, v := range values {
			if err := server.Client.XAdd(t.Context(), &redis.XAddArgs{Stream: stream, Values: []string{"n", v}}).Err(); err != nil {
				t.Fatal(err)
			}
		}
	}
	j := job{source: redisio.Topic{Name: "in", Partitions: 2}, sink: redisio.Topic{Name: "out", Partitions: 1}, group: "g"}
	add("in:0", "a", "b", "b", "c")
	add("in:1", "d", "e")
	add("out:0", "d", "a", "b", "a", "x", "a", "e")
	for _, p := range j.source.Parts() {
		if err := server.Client.XGroupCreate(t.Context(), p.Stream, "g", "0").Err(); err != nil {
			t.Fatal(err)
		}
	}
	read := &redis.XReadGroupArgs{Group: "g", Consumer: "c", Streams: []string{"in:1", ">"}, Count: 1}
	if err := server.Client.XReadGroup(t.Context(), read).Err(); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if err := j.tally().add(t.Context(), server.Client, map[string]int64{"in:0": 3, "in:1": 1}, 1); err != nil {
			t.Fatal(err)
		}
	}
	got, err := j.takeStock(t.Context(), server.Client)
	if err != nil {
		t.Fatal(err)
	}
	want := outcome{in: []int64{4, 2}, again: []int64{2, 0}, duplicated: []int64{2, 0}, lost: []int64{2, 0}, pending: []int64{0, 1}, unknown: 1, failures: 2}
	if diff := cmp.Diff(want, got, cmp.AllowUnexported(outcome{})); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	for stopped, text := range map[bool]string{
		false: "2 entries were lost\n1 entries are still pending, none should be\n1 entries of the sink are not in the source",
		true: "stopped before the end: what was not copied stays in the source\n1 entries are still pending, none should be\n" +
			"1 entries of the sink are not in the source",
	} {
		if err := got.verify(stopped); err == nil || err.Error() != text {
			t.Errorf("stopped %v: error %q, want %q", stopped, err, text)
		}
	}
}
