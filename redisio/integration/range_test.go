package integration_test

import (
	"context"
	"sync"
	"testing"
	"time"

	"github.com/apache/beam/sdks/v2/go/pkg/beam"

	"example.com/beamredis/redisio"
)

// seen counts messages by stream and ID.
type seen struct {
	mu     sync.Mutex
	counts map[string]int
}

func newSeen() *seen { return &seen{counts: map[string]int{}} }

func (s *seen) watch() *watch {
	return &watch{see: func(_ context.Context, m redisio.Message) error {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.counts[m.Stream+" "+m.ID.String()]++
		return nil
	}}
}

func (s *seen) len() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.counts)
}

// wantOnce wants every entry of the topic that within says, once, and no other.
func (s *seen) wantOnce(srv *server, t redisio.Topic, within func(redisio.EntryID) bool) (n int) {
	srv.t.Helper()
	missing := 0
	for _, p := range t.Parts() {
		srv.scan(p.Stream, func(e entry) {
			id, err := redisio.ParseEntryID(e.id)
			if err != nil {
				srv.t.Fatal(err)
			}
			key := p.Stream + " " + e.id
			switch times := s.counts[key]; {
			case !within(id):
				if times != 0 {
					srv.t.Errorf("entry %s is outside and was read", key)
				}
			case times == 0:
				missing++
			case times > 1:
				srv.t.Errorf("entry %s was read %d times", key, times)
			default:
				n++
			}
			delete(s.counts, key)
		})
	}
	if missing > 0 || len(s.counts) > 0 {
		srv.t.Errorf("%d entries were not read, and %d were that the topic does not have", missing, len(s.counts))
	}
	return n
}

func everything(redisio.EntryID) bool { return true }

func TestRangeIsReadOnceOnPrismWhileTheTopicGrows(t *testing.T) {
	s := start(t)
	n := sized(20_000, 500_000)
	s.load(in, 0, n, entryOf)
	ends := map[string]string{}
	for _, p := range in.Parts() {
		ends[p.Stream] = s.client.XInfoStream(t.Context(), p.Stream).Val().LastGeneratedID
	}
	got := newSeen()
	begun := make(chan struct{})
	w := got.watch()
	see, once := w.see, sync.Once{}
	w.see = func(ctx context.Context, m redisio.Message) error {
		once.Do(func() { close(begun) })
		return see(ctx, m)
	}
	p, scope := beam.NewPipelineWithRoot()
	msgs := redisio.ReadRange(scope, s.Config(), in, redisio.Earliest(), redisio.Latest(), redisio.WithRangeEntries(1000))
	redisio.Write(scope, s.Config(), out, watched(scope, w, msgs))
	ended := make(chan error, 1)
	ctx := t.Context()
	go func() { ended <- runPipeline(ctx, p) }()
	select {
	case <-begun:
	case err := <-ended:
		t.Fatalf("the job ended before anything was read: %v", err)
	}
	s.load(in, n, n+1000, entryOf) // beyond the end, which is fixed by now
	wantEnd(t, ended)
	if got := s.length(out); got != n {
		t.Errorf("%d entries were written, want %d", got, n)
	}
	for _, p := range in.Parts() {
		end, err := redisio.ParseEntryID(ends[p.Stream])
		if err != nil {
			t.Fatal(err)
		}
		got := &seen{counts: got.of(p.Stream)}
		got.wantOnce(s, redisio.Topic{Keys: []string{p.Stream}}, func(id redisio.EntryID) bool { return id.Compare(end) <= 0 })
	}
}

// of is what was seen of one stream.
func (s *seen) of(stream string) map[string]int {
	counts := map[string]int{}
	for key, n := range s.counts {
		if len(key) > len(stream) && key[:len(stream)+1] == stream+" " {
			counts[key] = n
		}
	}
	return counts
}

func TestOrderedRangeKeepsTheOrderOfEachPartition(t *testing.T) {
	s := start(t)
	n := sized(20_000, 500_000)
	s.load(in, 0, n, entryOf)
	p, scope := beam.NewPipelineWithRoot()
	msgs := redisio.ReadRange(scope, s.Config(), in, redisio.Earliest(), redisio.Latest(), redisio.WithOrder())
	redisio.Write(scope, s.Config(), out, msgs)
	if err := runPipeline(t.Context(), p); err != nil {
		t.Fatal(err)
	}
	next, total := map[int]int{}, 0
	for _, p := range out.Parts() {
		s.scan(p.Stream, func(e entry) {
			total++
			i := numberOf(e)
			k := i % keyCount
			if want, known := next[k]; known && i != want || !known && i != k {
				t.Fatalf("entry %d of its key came where %d was due", i, want)
			}
			next[k] = i + keyCount
		})
	}
	if total != n {
		t.Errorf("%d entries, want %d", total, n)
	}
}

// TestHistoryAndLiveMeetOnPrismWhileEntriesCome is the recipe of docs/replay.md
// in one pipeline: P is a time during which entries are added.
func TestHistoryAndLiveMeetOnPrismWhileEntriesCome(t *testing.T) {
	s := start(t)
	s.load(in, 0, 5000, entryOf)
	ctx, stop := context.WithCancel(t.Context())
	var writer sync.WaitGroup
	added := make(chan int, 1)
	writer.Go(func() {
		n := 5000
		for ; ctx.Err() == nil && n < 100_000; n += 20 {
			if err := s.tryLoad(t.Context(), in, n, n+20, entryOf); err != nil {
				t.Error(err)
				break
			}
		}
		added <- n
	})
	defer writer.Wait()
	defer stop()
	eventually(t, "entries are added", func() bool { return s.length(in) > 6000 })
	now, err := s.client.Time(t.Context()).Result()
	if err != nil {
		t.Fatal(err)
	}
	eventually(t, "entries are added after the seam", func() bool { return s.length(in) > 8000 })

	got := newSeen()
	p, scope := beam.NewPipelineWithRoot()
	history := redisio.ReadRange(scope, s.Config(), in, redisio.Earliest(), redisio.AtTime(now), redisio.WithRangeEntries(500))
	live := redisio.Read(scope, s.Config(), in, group, redisio.WithStart(redisio.StartAt(now)), redisio.WithStopAtTime(now.Add(time.Hour)))
	redisio.Write(scope, s.Config(), out, watched(scope, got.watch(), beam.Flatten(scope, history, live)))
	ended := make(chan error, 1)
	jobCtx := t.Context()
	go func() { ended <- runPipeline(jobCtx, p) }()
	eventually(t, "the job reads", func() bool { return got.len() > 6000 })
	stop()
	writer.Wait()
	total := <-added
	eventually(t, "everything was read", func() bool { return got.len() >= total })
	last := redisio.EntryID{Ms: uint64(now.Add(2 * time.Hour).UnixMilli())}
	for i := range in.Partitions {
		s.addAt(i, last.String()) // the read ends before it
	}
	wantEnd(t, ended)
	if n := got.wantOnce(s, in, func(id redisio.EntryID) bool { return id.Less(last) }); n != total {
		t.Errorf("%d entries once, want %d", n, total)
	}
}

// TestGroupGoesOnWhereTheRangeEnded: what a range has read, the group's next
// Read does not read again.
func TestGroupGoesOnWhereTheRangeEnded(t *testing.T) {
	s := start(t)
	const n = 5000
	s.load(in, 0, n, entryOf)
	got := newSeen()
	p, scope := beam.NewPipelineWithRoot()
	msgs := redisio.ReadRange(scope, s.Config(), in, redisio.Earliest(), redisio.Latest(), redisio.WithRangeEntries(300), redisio.WithGroupAtEnd(group))
	redisio.Write(scope, s.Config(), out, watched(scope, got.watch(), msgs))
	if err := runPipeline(t.Context(), p); err != nil {
		t.Fatal(err)
	}
	s.load(in, n, n+700, entryOf)
	copyJob{conn: s.Config(), watch: got.watch(), opts: []redisio.ReadOption{redisio.WithStopAtLatest()}}.mustRun(t)
	if total := got.wantOnce(s, in, everything); total != n+700 {
		t.Errorf("%d entries once, want %d", total, n+700)
	}
}
