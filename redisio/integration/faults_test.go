package integration_test

import (
	"context"
	"sync/atomic"
	"testing"
	"time"

	"example.com/beamredis/redisio"
	"example.com/beamredis/redisio/internal/redistest"
)

// steady is a copy of n entries that is slow enough for a fault to hit it.
func (s *server) steady(n int) copyJob {
	s.t.Helper()
	s.load(in, 0, n, entryOf)
	job := untilCaughtUp(s, redisio.WithBundleBounds(500, 8<<20, 500*time.Millisecond))
	var seen atomic.Int64
	job.watch = &watch{see: func(context.Context, redisio.Message) error {
		if seen.Add(1)%500 == 0 {
			pause(10 * time.Millisecond)
		}
		return nil
	}}
	return job
}

// copied waits until so many entries are in the sink topic.
func (s *server) copied(n int) {
	s.t.Helper()
	eventually(s.t, "the copy comes to where the fault is", func() bool { return s.length(out) >= n })
}

// wantUnhurt checks what may be expected of a job that went on by itself: a
// batch whose reply was lost is written again.
func (s *server) wantUnhurt(n int, ended <-chan error) {
	s.t.Helper()
	wantEnd(s.t, ended)
	got := s.arrived(out)
	s.t.Logf("%d of %d entries arrived twice", got.total()-n, n)
	s.wantAtLeastOnce(got, n)
	s.wantNothingPending(in, group)
	s.wantReadToTheEnd(in, group)
}

// wantReadToTheEnd looks at IDs and not at the lag: Redis 7.0 keeps the count
// that the lag comes from only in a rewritten append-only file, and takes an
// old one for current after a crash.
func (s *server) wantReadToTheEnd(t redisio.Topic, group string) {
	s.t.Helper()
	for _, p := range t.Parts() {
		info, err := s.client.XInfoStream(s.t.Context(), p.Stream).Result()
		if err != nil {
			s.t.Fatal(err)
		}
		if at := s.group(p.Stream, group).LastDeliveredID; at != info.LastGeneratedID {
			s.t.Errorf("the group has read %s up to %s, want %s, its last ID", p.Stream, at, info.LastGeneratedID)
		}
	}
}

func TestCopyGoesOnWhenRedisIsKilledAndRestarted(t *testing.T) {
	n := sized(40_000, 300_000)
	s := start(t, redistest.Durable())
	job := s.steady(n)
	ended := job.begin(t)
	for _, at := range []int{n / 4, n / 2} {
		s.copied(at)
		s.Kill()
		s.Restart()
		if got := s.length(out); got >= n {
			t.Fatal("everything was copied before Redis was killed: this test proves nothing")
		}
	}
	s.wantUnhurt(n, ended)
}

func TestCopyGoesOnWhenRedisHangs(t *testing.T) {
	n := sized(40_000, 300_000)
	s := start(t)
	job := s.steady(n)
	ended := job.begin(t)
	s.copied(n / 3)
	s.Pause()
	pause(7 * time.Second) // longer than every time limit of one command
	s.Resume()
	if got := s.length(out); got >= n {
		t.Fatal("everything was copied before Redis hung: this test proves nothing")
	}
	s.wantUnhurt(n, ended)
}

func TestCopyGoesOnWhenConnectionsAreCut(t *testing.T) {
	n := sized(40_000, 300_000)
	s := start(t)
	job := s.steady(n)
	ended := job.begin(t)
	const cuts = 20
	for i := range cuts {
		s.copied(n * (i + 1) / (cuts + 2))
		killed, err := s.client.ClientKillByFilter(t.Context(), "TYPE", "normal", "SKIPME", "yes").Result()
		if err != nil {
			t.Fatal(err)
		}
		if killed == 0 {
			t.Fatalf("there was no connection to cut at %d entries: this test proves nothing", s.length(out))
		}
	}
	s.wantUnhurt(n, ended)
}
