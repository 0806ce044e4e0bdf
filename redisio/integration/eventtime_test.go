package integration_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/apache/beam/sdks/v2/go/pkg/beam"
	"github.com/apache/beam/sdks/v2/go/pkg/beam/core/graph/window"
	"github.com/google/go-cmp/cmp"
	"github.com/redis/go-redis/v9"

	"example.com/beamredis/redisio"
)

// TestLateDataIsLeftOutOfItsWindow: event times come out of order. What is
// within the allowance counts in its window; what comes after the window has
// fired is late, and dropped.
func TestLateDataIsLeftOutOfItsWindow(t *testing.T) {
	s := start(t)
	source := redisio.Topic{Name: "events", Partitions: 1}
	base := time.Now().Add(-time.Hour).Truncate(time.Minute)
	end := func(n int) int64 { return base.Add(time.Duration(n) * time.Minute).UnixMilli() }
	last := redisio.EntryID{Ms: uint64(time.Now().Add(time.Hour).UnixMilli())}
	add := func(id string, seconds int, format func(time.Time) string) {
		t.Helper()
		at := base.Add(time.Duration(seconds) * time.Second)
		args := &redis.XAddArgs{Stream: "events:0", ID: id, Values: []string{"at", format(at)}}
		if err := s.client.XAdd(t.Context(), args).Err(); err != nil {
			t.Fatal(err)
		}
	}
	unixMs := func(at time.Time) string { return fmt.Sprint(at.UnixMilli()) }
	rfc3339 := func(at time.Time) string { return at.Format(time.RFC3339) }
	for _, seconds := range []int{5, 58, 52, 65, 56} { // in disorder by 9 s at most
		add("*", seconds, unixMs)
	}

	got := &tallies{counts: map[int64]int{}, fired: make(chan time.Time, 100)}
	windowTallies.Store(t.Name(), got)
	p, scope := beam.NewPipelineWithRoot()
	msgs := redisio.Read(scope, s.Config(), source, group, redisio.WithStart(redisio.StartEarliest()), redisio.WithStopAt(last),
		redisio.WithEventTimeField("at"), redisio.WithOutOfOrderness(10*time.Second), redisio.WithIdleAdvance(10*time.Hour))
	windowed := beam.WindowInto(scope, window.NewFixedWindows(time.Minute), msgs)
	beam.ParDo0(scope, &windowCount{Name: t.Name()}, beam.GroupByKey(scope, beam.AddFixedKey(scope, windowed)))
	ended := make(chan error, 1)
	ctx := t.Context()
	go func() { ended <- runPipeline(ctx, p) }()

	add("*", 75, rfc3339) // 10 s after the window's end, and more
	select {
	case <-got.fired:
	case err := <-ended:
		t.Fatalf("the job ended before the first window had fired: %v", err)
	case <-time.After(time.Minute):
		t.Fatal("the first window did not fire within a minute")
	}
	add("*", 1, rfc3339) // late
	add("*", 80, rfc3339)
	add(last.String(), 200, unixMs)
	wantEnd(t, ended)
	if diff := cmp.Diff(map[int64]int{end(1): 4, end(2): 3, end(4): 1}, got.counts); diff != "" {
		t.Errorf("entries by the end of their window (-want +got):\n%s", diff)
	}
}
