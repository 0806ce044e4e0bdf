package integration_test

import (
	"context"
	"math/rand/v2"
	"sync/atomic"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"example.com/beamredis/redisio"
)

// producer goes on writing to in, some thousands of entries ahead of the copy.
type producer struct {
	s       *server
	written atomic.Int64
	stop    chan struct{}
	ended   chan error
}

func (s *server) produce(from, ahead int) *producer {
	p := &producer{s: s, stop: make(chan struct{}), ended: make(chan error, 1)}
	p.written.Store(int64(from))
	ctx := s.t.Context()
	go func() { p.ended <- p.run(ctx, ahead) }()
	return p
}

func (p *producer) run(ctx context.Context, ahead int) error {
	for {
		select {
		case <-p.stop:
			return nil
		case <-time.After(time.Millisecond):
		}
		n := int(p.written.Load())
		copied, err := p.s.tryLength(ctx, out)
		if err != nil {
			return err
		}
		if n > copied+ahead {
			continue
		}
		if err := p.s.tryLoad(ctx, in, n, n+500, entryOf); err != nil {
			return err
		}
		p.written.Add(500)
	}
}

// end stops the producer and returns how many entries there are.
func (p *producer) end() int {
	p.s.t.Helper()
	close(p.stop)
	if err := <-p.ended; err != nil {
		p.s.t.Fatal(err)
	}
	return int(p.written.Load())
}

// crashes is what happened to a copy that was killed again and again.
type crashes struct {
	kills    int
	clean    int // runs that had caught up before they were killed
	inFlight int // entries that were pending after the kills, summed up
	// deliveries is the most that a pending entry had.
	deliveries int64
}

// killRepeatedly runs copies and kills each at a random moment while it writes,
// until that has happened often enough.
func (s *server) killRepeatedly(spec childSpec, rng *rand.Rand, kills, within int) crashes {
	s.t.Helper()
	var c crashes
	for c.kills < kills {
		job := s.spawn(spec)
		target := s.length(out) + rng.IntN(within)
		eventually(s.t, "the copy comes to the moment of its end", func() bool { return job.exited() || s.length(out) >= target })
		pause(time.Duration(rng.IntN(30_000)) * time.Microsecond)
		if job.exited() {
			job.wantSuccess()
			s.wantNothingPending(in, group)
			c.clean++
			continue
		}
		job.kill()
		s.waitGone()
		c.kills++
		c.inFlight += s.pending(in, group)
		c.deliveries = max(c.deliveries, s.mostDeliveries(in, group))
	}
	return c
}

// mostDeliveries looks at the oldest pending entries, which come first when
// they are delivered again.
func (s *server) mostDeliveries(t redisio.Topic, group string) (most int64) {
	s.t.Helper()
	for _, p := range t.Parts() {
		rows, err := s.client.XPendingExt(s.t.Context(), &redis.XPendingExtArgs{
			Stream: p.Stream, Group: group, Start: "-", End: "+", Count: 100}).Result()
		if err != nil {
			s.t.Fatal(err)
		}
		for _, row := range rows {
			most = max(most, row.RetryCount)
		}
	}
	return most
}

// goBacks counts, for every way from a partition of the source to one of the
// sink, how often an entry comes after a later one, and returns the most.
func (a arrivals) goBacks(sources int) int {
	most := 0
	for _, part := range a {
		last, count := make([]int, sources), make([]int, sources)
		for _, n := range part {
			from := partitionOf(n, sources)
			if n < last[from] {
				count[from]++
				most = max(most, count[from])
			}
			last[from] = n
		}
	}
	return most
}

// TestCopyThatIsKilledAndRestartedLosesNothing: what a killed copy had read and
// not acknowledged is pending, and the next one begins with it. So every kill
// lets each partition go back once, by no more than was pending; between kills
// nothing comes twice or out of order.
func TestCopyThatIsKilledAndRestartedLosesNothing(t *testing.T) {
	rng := random(t)
	s := start(t)
	s.load(in, 0, 20_000, entryOf)
	producer := s.produce(20_000, 40_000)
	got := s.killRepeatedly(childSpec{}, rng, sized(10, 40), 12_000)
	n := producer.end()
	s.spawn(childSpec{}).wantSuccess()

	all := s.arrived(out)
	s.wantAtLeastOnce(all, n)
	s.wantCaughtUp(in, group)
	twice := all.total() - n
	t.Logf("%d entries; %+v; %d arrived twice", n, got, twice)
	if twice > got.inFlight {
		t.Errorf("%d entries arrived again, but only %d were in flight at the kills", twice, got.inFlight)
	}
	if back := all.goBacks(in.Partitions); back > got.kills {
		t.Errorf("a partition went back %d times, more than the %d kills", back, got.kills)
	}
}
