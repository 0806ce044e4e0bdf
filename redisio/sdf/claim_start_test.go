package sdf

import (
	"bytes"
	"log/slog"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"example.com/beamredis/redisio/message"
)

func startAt(s Start) func(*Config) { return func(cfg *Config) { cfg.Start = s } }

func TestNewGroupBeginsWhereTheStartSays(t *testing.T) {
	for name, tc := range map[string]struct {
		start Start
		want  []int
	}{
		"latest":   {Start{Latest: true}, []int{4, 5}},
		"earliest": {Start{}, upTo(1, 5)},
		"after ID": {Start{After: message.EntryID{Ms: 2000}}, []int{3, 4, 5}},
		"at time":  {Start{After: message.EntryID{Ms: 2000}.Prev()}, []int{2, 3, 4, 5}},
		"ahead":    {Start{After: message.EntryID{Ms: 4500}}, []int{5}},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRunner(t, startAt(tc.start))
			for n := 1; n <= 3; n++ {
				r.addAt(n*1000, n)
			}
			r.open(stream)
			saved := r.checkpoint()
			r.bundle()
			r.restore(saved)
			r.newWorker()
			r.addAt(4000, 4)
			r.addAt(5000, 5)
			wantNumbers(t, r.read(len(tc.want)), tc.want...)
		})
	}
}

func TestExistingGroupContinuesWhereItStands(t *testing.T) {
	for name, start := range map[string]Start{"latest": {Latest: true}, "earliest": {}, "after ID": {After: message.EntryID{Ms: 9}}} {
		t.Run(name, func(t *testing.T) {
			r := newRunner(t, startAt(start))
			r.createGroup("0")
			ids := r.add(stream, 4)
			r.setGroup(ids[1])
			r.open(stream)
			r.bundle().want(3, 4)
		})
	}
}

func TestReadOfAStreamThatDoesNotExistYetWaitsForIt(t *testing.T) {
	r := newRunner(t, startAt(Start{Latest: true}))
	r.open(stream)
	r.bundle().want()
	r.add(stream, 2)
	wantNumbers(t, r.read(2), 1, 2)
}

// logged collects what is logged during a test.
type logged struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func logOf(t *testing.T) *logged {
	t.Helper()
	l, before := new(logged), slog.Default()
	t.Cleanup(func() { slog.SetDefault(before) })
	slog.SetDefault(slog.New(slog.NewTextHandler(l, nil)))
	return l
}

func (l *logged) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(p)
}

func (l *logged) count(part string) int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return strings.Count(l.text.String(), part)
}

func TestAStartWithoutEffectIsWarnedOfOnce(t *testing.T) {
	for name, tc := range map[string]struct {
		start   Start
		given   bool
		warning string
	}{
		"earliest":        {Start{}, true, "partition=" + stream + " group="},
		"latest":          {Start{Latest: true}, true, " stands_at=2000-0 start=latest"},
		"after ID":        {Start{After: message.EntryID{Ms: 9}}, true, "after 9-0"},
		"where it stands": {Start{After: message.EntryID{Ms: 2000}}, true, ""},
		"nobody asked":    {Start{Latest: true}, false, ""},
	} {
		t.Run(name, func(t *testing.T) {
			log := logOf(t)
			r := newRunner(t, func(cfg *Config) { cfg.Start, cfg.StartGiven = tc.start, tc.given })
			r.createGroup("0")
			for n := 1; n <= 3; n++ {
				r.addAt(n*1000, n)
			}
			r.setGroup(message.EntryID{Ms: 2000})
			for range 3 {
				if _, err := r.worker.fn.CreateInitialRestriction(t.Context(), partition(stream)); err != nil {
					t.Fatal(err)
				}
			}
			if tc.warning == "" && log.count("has no effect") != 0 || tc.warning != "" && (log.count(tc.warning) != 1 || log.count("has no effect") != 1) {
				t.Errorf("log %q, want once: %q", log.text.String(), tc.warning)
			}
		})
	}
}

func TestANewGroupsStartIsNotWarnedOf(t *testing.T) {
	log := logOf(t)
	r := newRunner(t, func(cfg *Config) { cfg.Start, cfg.StartGiven = Start{}, true })
	r.addAt(1000, 1)
	r.open(stream)
	r.bundle().want(1)
	r.addAt(2000, 2)
	r.open(stream) // as the pipeline is submitted again when it has failed
	if n := log.count("has no effect"); n != 0 {
		t.Errorf("%d warnings", n)
	}
}

func TestAFullServerThatRefusesTheGroupIsWarnedOf(t *testing.T) {
	log := logOf(t)
	r := newRunner(t)
	memory := func(limit string) {
		if err := r.server.Client().ConfigSet(t.Context(), "maxmemory", limit).Err(); err != nil {
			t.Fatal(err)
		}
	}
	memory("1")
	done := make(chan error, 1)
	go func() {
		_, err := r.worker.fn.CreateInitialRestriction(t.Context(), partition(stream))
		done <- err
	}()
	const warning = "reading does not begin yet, will try again"
	for deadline := time.Now().Add(time.Minute); log.count(warning) == 0; runtime.Gosched() {
		if time.Now().After(deadline) {
			t.Fatal("no warning within a minute")
		}
	}
	memory("0")
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	if n := log.count(warning); n != 1 || log.count("OOM") == 0 {
		t.Errorf("%d warnings, want one that tells the reason: %s", n, log.text.String())
	}
}
