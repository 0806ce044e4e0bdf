package integration_test

import (
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/apache/beam/sdks/v2/go/pkg/beam"
	"github.com/apache/beam/sdks/v2/go/pkg/beam/core/graph/mtime"
	"github.com/apache/beam/sdks/v2/go/pkg/beam/core/graph/window"
	"github.com/apache/beam/sdks/v2/go/pkg/beam/register"
	"github.com/google/go-cmp/cmp"
	"github.com/redis/go-redis/v9"

	"example.com/beamredis/redisio"
)

func init() {
	register.DoFn3x1[beam.Window, int, func(*redisio.Message) bool, error](&windowCount{})
}

// windowCount reports the number of messages in each window.
type windowCount struct{ Name string }

// tallies is what a windowCount reports: counts by the end of their window, in
// ms since the Unix epoch.
type tallies struct {
	mu     sync.Mutex
	counts map[int64]int
	fired  chan time.Time // when each window came
}

var windowTallies sync.Map // name -> *tallies

func (fn *windowCount) ProcessElement(w beam.Window, _ int, msgs func(*redisio.Message) bool) error {
	v, ok := windowTallies.Load(fn.Name)
	if !ok {
		return fmt.Errorf("nobody counts %q in this process", fn.Name)
	}
	t := v.(*tallies)
	n := 0
	for m := (redisio.Message{}); msgs(&m); n++ {
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.fired <- time.Now()
	t.counts[int64(w.MaxTimestamp())+1] += n
	return nil
}

// TestWindowsFireWhileAPartitionIsIdle: the watermark of a partition in which
// nothing happens follows the server's clock, so that it holds nothing up.
func TestWindowsFireWhileAPartitionIsIdle(t *testing.T) {
	s := start(t)
	// The test ends the job: with an entry of this ID in every partition.
	last := redisio.EntryID{Ms: uint64(time.Now().Add(time.Hour).UnixMilli())}
	got := &tallies{counts: map[int64]int{}, fired: make(chan time.Time, 100)}
	windowTallies.Store(t.Name(), got)

	p, scope := beam.NewPipelineWithRoot()
	msgs := redisio.Read(scope, s.Config(), in, group, redisio.WithStart(redisio.StartEarliest()), redisio.WithStopAt(last))
	windowed := beam.WindowInto(scope, window.NewFixedWindows(time.Second), msgs)
	beam.ParDo0(scope, &windowCount{Name: t.Name()}, beam.GroupByKey(scope, beam.AddFixedKey(scope, windowed)))
	ended := make(chan error, 1)
	ctx := t.Context()
	go func() { ended <- runPipeline(ctx, p) }()

	want := map[int64]int{}
	begun := time.Now()
	idle := in.Partitions - 1
	for fired := 0; fired < 3; {
		for i := range idle {
			want[s.addAt(i, "*")]++
		}
		select {
		case at := <-got.fired:
			t.Logf("a window fired %v after the first entry", at.Sub(begun).Round(time.Millisecond))
			fired++
		case err := <-ended:
			t.Fatalf("the job ended before three windows had fired: %v", err)
		case <-time.After(20 * time.Millisecond):
		}
		if time.Since(begun) > time.Minute {
			t.Fatal("three windows did not fire within a minute")
		}
	}
	if s.length(redisio.Topic{Keys: []string{in.Parts()[idle].Stream}}) != 0 {
		t.Fatal("the idle partition was not idle: this test proves nothing")
	}
	for i := range in.Partitions {
		want[s.addAt(i, last.String())]++
	}
	wantEnd(t, ended)
	if diff := cmp.Diff(want, got.counts); diff != "" {
		t.Errorf("entries by the end of their window (-want +got):\n%s", diff)
	}
}

// addAt adds an entry to partition i and returns the end of its window.
func (s *server) addAt(i int, id string) int64 {
	s.t.Helper()
	text, err := s.client.XAdd(s.t.Context(), &redis.XAddArgs{Stream: in.Parts()[i].Stream, ID: id, Values: entryOf(i)}).Result()
	if err != nil {
		s.t.Fatal(err)
	}
	at, err := redisio.ParseEntryID(text)
	if err != nil {
		s.t.Fatal(err)
	}
	return int64(mtime.FromTime(at.Time()))/1000*1000 + 1000
}
