package integration_test

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"time"

	"github.com/apache/beam/sdks/v2/go/pkg/beam"
	"github.com/apache/beam/sdks/v2/go/pkg/beam/core/graph/window"
	"github.com/google/go-cmp/cmp"
	"github.com/redis/go-redis/v9"

	"example.com/beamredis/redisio"
)

// TestPrismSplitsARangeWhileItIsRead: what is behind the read holds the first
// entry until another one comes. There is one range, and a bundle is one thread:
// that other one is of a part that was split off.
func TestPrismSplitsARangeWhileItIsRead(t *testing.T) {
	s := start(t)
	one := redisio.Topic{Name: "one", Partitions: 1}
	s.load(one, 0, 20_000, entryOf)
	got := newSeen()
	w := got.watch()
	see, calls, split := w.see, atomic.Int64{}, make(chan struct{})
	w.see = func(ctx context.Context, m redisio.Message) error {
		switch calls.Add(1) {
		case 1:
			select {
			case <-split:
			case <-time.After(time.Minute):
				return errors.New("the range was not split within a minute")
			}
		case 2:
			close(split)
		}
		return see(ctx, m)
	}
	p, scope := beam.NewPipelineWithRoot()
	msgs := redisio.ReadRange(scope, s.Config(), one, redisio.Earliest(), redisio.Latest())
	redisio.Write(scope, s.Config(), out, watched(scope, w, msgs))
	if err := runPipeline(t.Context(), p); err != nil {
		t.Fatal(err)
	}
	if n := got.wantOnce(s, one, everything); n != 20_000 {
		t.Errorf("%d entries were read once", n)
	}
}

// TestNoEntryOfARangeIsLateForItsWindow: ranges come in any order, and every
// window has all of its entries.
func TestNoEntryOfARangeIsLateForItsWindow(t *testing.T) {
	s := start(t)
	const n, began = 20_000, 1_767_225_600_000
	want := map[int64]int{}
	for i := range n {
		id := redisio.EntryID{Ms: uint64(began + i)}
		if err := s.client.XAdd(t.Context(), &redis.XAddArgs{Stream: in.Parts()[i%in.Partitions].Stream, ID: id.String(), Values: entryOf(i)}).Err(); err != nil {
			t.Fatal(err)
		}
		want[(int64(id.Ms)/1000+1)*1000]++
	}
	for name, read := range map[string]func(beam.Scope) beam.PCollection{
		"ReadRange": func(scope beam.Scope) beam.PCollection {
			return redisio.ReadRange(scope, s.Config(), in, redisio.Earliest(), redisio.Latest(), redisio.WithRangeEntries(500))
		},
		"ReadRanges": func(scope beam.Scope) beam.PCollection {
			middle := redisio.AtTime(time.UnixMilli(began + n/2))
			return redisio.ReadRanges(scope, s.Config(), beam.Create(scope,
				redisio.RangeRequest{Topic: in, From: middle}, redisio.RangeRequest{Topic: in, To: middle}), redisio.WithRangeEntries(500))
		},
	} {
		t.Run(name, func(t *testing.T) {
			got := &tallies{counts: map[int64]int{}, fired: make(chan time.Time, n)}
			windowTallies.Store(t.Name(), got)
			p, scope := beam.NewPipelineWithRoot()
			windowed := beam.WindowInto(scope, window.NewFixedWindows(time.Second), read(scope))
			beam.ParDo0(scope, &windowCount{Name: t.Name()}, beam.GroupByKey(scope, beam.AddFixedKey(scope, windowed)))
			if err := runPipeline(t.Context(), p); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(want, got.counts); diff != "" {
				t.Errorf("entries by the end of their window (-want +got):\n%s", diff)
			}
			if fired := len(got.fired); fired != len(want) {
				t.Errorf("%d panes of %d windows: some entries were late", fired, len(want))
			}
		})
	}
}
