package integration_test

import (
	"context"
	"errors"
	"sync"
	"testing"

	"github.com/redis/go-redis/v9"

	"example.com/beamredis/redisio"
	"example.com/beamredis/redisio/internal/telemetry"
)

// TestSecondReaderOfTheGroupTakesNothingAway: somebody reads as the same group
// at the same time, and acknowledges. The job gets every entry all the same.
func TestSecondReaderOfTheGroupTakesNothingAway(t *testing.T) {
	n := sized(40_000, 300_000)
	s := start(t)
	job := s.steady(n)
	healed := telemetry.GapsHealed.Process()
	ended := job.begin(t)
	s.copied(n / 20) // the group is there
	stop, cancel := context.WithCancel(t.Context())
	taken := make(chan int, 1)
	failed := make(chan error, 1)
	go func() {
		got, err := s.takeAll(stop)
		taken <- got
		failed <- err
	}()
	err := <-ended
	cancel()
	if err != nil {
		t.Fatal(err)
	}
	got := <-taken
	if err := <-failed; err != nil {
		t.Fatal(err)
	}
	if healed = telemetry.GapsHealed.Process() - healed; got == 0 || healed == 0 {
		t.Fatalf("the other reader took %d entries, of which the job had to fetch %d: this test proves nothing", got, healed)
	}
	t.Logf("the other reader took %d entries", got)
	s.wantExactlyOnce(s.arrived(out), n)
	s.wantCaughtUp(in, group)
}

// takeAll reads and acknowledges new entries as the group, until stop ends.
func (s *server) takeAll(stop context.Context) (taken int, err error) {
	for stop.Err() == nil {
		for _, p := range in.Parts() {
			n, err := s.take(p.Stream)
			if err != nil {
				return taken, err
			}
			taken += n
		}
	}
	return taken, nil
}

func (s *server) take(stream string) (int, error) {
	ctx := context.Background()
	streams, err := s.client.XReadGroup(ctx, &redis.XReadGroupArgs{
		Group: group, Consumer: "other", Streams: []string{stream, ">"}, Count: 20, Block: -1}).Result()
	if errors.Is(err, redis.Nil) {
		return 0, nil
	}
	if err != nil {
		return 0, err
	}
	var ids []string
	for _, m := range streams[0].Messages {
		ids = append(ids, m.ID)
	}
	return len(ids), s.client.XAck(ctx, stream, group, ids...).Err()
}

// TestExitWhenCaughtUp: a job that ends with what was there at its start takes
// nothing of what came later, and the next goes on exactly there.
func TestExitWhenCaughtUp(t *testing.T) {
	for _, ack := range strategies {
		t.Run(string(ack), func(t *testing.T) {
			n := sized(10_000, 100_000)
			s := start(t)
			s.load(in, 0, n, entryOf)
			producer := s.produce(n, 20_000+n)
			var first sync.Once
			var there int
			var err error
			job := untilCaughtUp(s, redisio.WithAckStrategy(ack))
			job.watch = &watch{see: func(ctx context.Context, _ redisio.Message) error {
				first.Do(func() { there, err = s.tryLength(ctx, in) })
				return err
			}}
			job.mustRun(t)
			copied := s.length(out)
			s.wantNothingPending(in, group)
			all := producer.end()
			t.Logf("%d entries were there before the job, %d when it had begun, %d at the end; it copied %d", n, there, all, copied)
			if copied < n || copied > there || copied >= all {
				t.Errorf("%d entries were copied, want at least the %d from before the job and at most the %d that were there when it had begun, not all %d",
					copied, n, there, all)
			}
			s.wantGroupAt(copied)

			untilCaughtUp(s, redisio.WithAckStrategy(ack)).mustRun(t)
			s.wantExactlyOnce(s.arrived(out), all)
			s.wantCaughtUp(in, group)
		})
	}
}

// wantGroupAt fails the test unless the entries up to where the group stands
// are n.
func (s *server) wantGroupAt(n int) {
	s.t.Helper()
	read := 0
	for _, p := range in.Parts() {
		at := s.group(p.Stream, group).LastDeliveredID
		entries, err := s.client.XRange(s.t.Context(), p.Stream, "-", at).Result()
		if err != nil {
			s.t.Fatal(err)
		}
		read += len(entries)
	}
	if read != n {
		s.t.Errorf("the group has read %d entries, want %d", read, n)
	}
}
