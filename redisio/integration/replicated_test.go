package integration_test

import (
	"context"
	"fmt"
	"slices"
	"sort"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
)

// replicated is a deployment whose primaries have replicas.
type replicated struct {
	*server
	replicas int // that a write waits for: all
	// primary returns a client of the primary that has a key, which sends
	// nothing twice.
	primary func(ctx context.Context, key string) (*redis.Client, error)
}

// replicaTimeout is how long a copy waits for replicas: a primary that has just
// been one has none until the old one is back.
const replicaTimeout = time.Minute

// faultyCopy is a copy with producers that go on meanwhile.
type faultyCopy struct {
	*replicated
	job       *child
	producers []*replicatedProducer
	stop      chan struct{}
	all       sync.WaitGroup
	copied    atomic.Int64 // entries in the sink, as far as could be asked
	progress  []progress   // guarded by all
}

// progress is how many entries were in the sink at a moment.
type progress struct {
	at     time.Time
	copied int64
}

// copyBeside begins a copy and its producers.
func (r *replicated) copyBeside(spec childSpec) *faultyCopy {
	r.t.Helper()
	ctx, cancel := context.WithCancel(r.t.Context())
	c := &faultyCopy{replicated: r, stop: make(chan struct{})}
	for i := range in.Parts() {
		p := &replicatedProducer{copy: c, partition: i}
		c.producers = append(c.producers, p)
		c.all.Go(func() { p.run(ctx) })
	}
	spec.Replicas, spec.Forever = r.replicas, true
	c.job = r.spawn(spec)
	c.all.Go(func() { c.follow(ctx) })
	r.t.Cleanup(func() { cancel(); c.all.Wait() })
	return c
}

// follow notes the progress of the copy.
func (c *faultyCopy) follow(ctx context.Context) {
	for {
		if n, err := c.tryLength(ctx, out); err == nil {
			c.copied.Store(int64(n))
			c.progress = append(c.progress, progress{time.Now(), int64(n)})
		}
		select {
		case <-c.stop:
			return
		case <-ctx.Done():
			return
		case <-time.After(50 * time.Millisecond):
		}
	}
}

// reach waits until n more entries are copied.
func (c *faultyCopy) reach(n int) {
	c.t.Helper()
	for want := c.copied.Load() + int64(n); c.copied.Load() < want; {
		before := c.copied.Load()
		eventually(c.t, fmt.Sprint("the copy goes on after ", before, " entries"), func() bool {
			c.job.mustRunOn()
			return c.copied.Load() > before
		})
	}
}

// finish ends the producers, waits until the copy has caught up and
// acknowledged everything, and ends it in order. It returns the numbers of the entries
// that replicas had.
func (c *faultyCopy) finish() (acked []int) {
	c.t.Helper()
	close(c.stop)
	c.all.Wait()
	for _, p := range in.Parts() {
		eventually(c.t, "the copy of "+p.Stream+" catches up", func() bool { c.job.mustRunOn(); return c.caughtUp(p.Stream) })
	}
	c.job.stop()
	c.wantNothingPending(in, group)
	for _, p := range c.producers {
		acked = append(acked, p.acked...)
	}
	return acked
}

// caughtUp reports whether the group has read and acknowledged all of a stream.
func (s *server) caughtUp(stream string) bool {
	s.t.Helper()
	info, err := s.client.XInfoStream(s.t.Context(), stream).Result()
	if err != nil {
		s.t.Fatal(err)
	}
	g := s.group(stream, group)
	return g.Pending == 0 && g.LastDeliveredID == info.LastGeneratedID
}

// standstill is longer than a copy that has recovered stands still on a machine
// with a lot to do.
const standstill = time.Minute

// wantRecovery fails the test unless the copy went on steadily from when all was
// well again, and in a long run at least half as fast as before the faults.
func (c *faultyCopy) wantRecovery(faults, well time.Time) {
	c.t.Helper()
	n := len(c.progress)
	first := sort.Search(n, func(i int) bool { return c.progress[i].at.After(faults) })
	last := sort.Search(n, func(i int) bool { return c.progress[i].at.After(well) })
	before, during, after := c.progress[:first], c.progress[first:last], c.progress[last:]
	c.t.Logf("%.0f entries a second before, %.0f in the %.1f s of the faults, %.0f after", rate(before), rate(during), well.Sub(faults).Seconds(), rate(after))
	c.t.Logf("the longest time without progress was %.1f s, and %.1f s afterwards", longestStill(c.progress).Seconds(), longestStill(after).Seconds())
	if rate(after) == 0 {
		c.t.Error("the copy does not go on after the faults")
	}
	if still := longestStill(after); still > standstill {
		c.t.Errorf("when all was well the copy stood still for %v, want at most %v", still, standstill)
	}
	if long && rate(after) < rate(before)/2 {
		c.t.Errorf("%.0f entries a second after the faults, want at least half of the %.0f before", rate(after), rate(before))
	}
}

// longestStill is the longest time from one progress to the next.
func longestStill(during []progress) (still time.Duration) {
	if len(during) == 0 {
		return 0
	}
	moved := during[0]
	for _, p := range during {
		still = max(still, p.at.Sub(moved.at))
		if p.copied > moved.copied {
			moved = p
		}
	}
	return still
}

// rate is in entries a second.
func rate(during []progress) float64 {
	if len(during) < 2 {
		return 0
	}
	first, last := during[0], during[len(during)-1]
	return float64(last.copied-first.copied) / max(last.at.Sub(first.at).Seconds(), 0.001)
}

// replicatedProducer writes the entries of one partition, each once, and takes
// for written what all replicas have.
type replicatedProducer struct {
	copy      *faultyCopy
	partition int
	next      int
	written   int // as far as is known
	acked     []int
}

const (
	producerBatch = 50
	producerAhead = 5_000
)

// producerPause keeps a short run short, whatever time its faults take.
var producerPause = time.Duration(sized(int(60*time.Millisecond), int(2*time.Millisecond)))

func (p *replicatedProducer) run(ctx context.Context) {
	var on *redis.Conn
	defer func() { closeConn(on) }()
	for {
		select {
		case <-p.copy.stop:
			return
		case <-ctx.Done():
			return
		case <-time.After(producerPause):
		}
		if int64(p.written*len(in.Parts())) > p.copy.copied.Load()+producerAhead {
			continue
		}
		if on == nil {
			primary, err := p.copy.primary(ctx, p.stream())
			if err != nil {
				continue
			}
			on = primary.Conn()
		}
		if err := p.write(ctx, on); err != nil {
			closeConn(on)
			on = nil
		}
	}
}

func closeConn(c *redis.Conn) {
	if c != nil {
		_ = c.Close()
	}
}

func (p *replicatedProducer) stream() string { return in.Parts()[p.partition].Stream }

// write sends a batch of numbers that were never sent. What becomes of those
// without an acknowledgement is not known.
func (p *replicatedProducer) write(ctx context.Context, on *redis.Conn) error {
	batch := make([]int, 0, producerBatch)
	for ; len(batch) < producerBatch; p.next++ {
		if partitionOf(p.next, len(in.Parts())) == p.partition {
			batch = append(batch, p.next)
		}
	}
	_, err := on.Pipelined(ctx, func(pipe redis.Pipeliner) error {
		for _, n := range batch {
			pipe.XAdd(ctx, &redis.XAddArgs{Stream: p.stream(), Values: entryOf(n)})
		}
		return nil
	})
	if err != nil {
		return err
	}
	p.written += len(batch)
	got, err := on.Wait(ctx, p.copy.replicas, time.Second).Result()
	if err == nil && int(got) >= p.copy.replicas {
		p.acked = append(p.acked, batch...)
	}
	return err
}

// wantAll fails the test unless all of the numbers arrived, and the first
// arrivals of each key are in order.
func (a arrivals) wantAll(t *testing.T, acked []int) {
	t.Helper()
	times := a.counts(slices.Max(acked) + 1)
	missing := 0
	for _, n := range acked {
		if times[n] == 0 {
			if missing++; missing < 5 {
				t.Errorf("entry %d (key %q), which replicas had, did not arrive", n, keyOf(n))
			}
		}
	}
	seen := map[int]bool{}
	last := map[int]int{}
	for _, part := range a {
		for _, n := range part {
			if !seen[n] && n < last[n%keyCount] {
				t.Fatalf("key %q: entry %d arrived before entry %d", keyOf(n), last[n%keyCount], n)
			}
			seen[n], last[n%keyCount] = true, max(n, last[n%keyCount])
		}
	}
	t.Logf("%d entries arrived, %d of them again; replicas had %d, of which %d are missing", a.total(), a.total()-len(seen), len(acked), missing)
}

// wantNoneTwice fails the test if a number arrived more than once.
func (a arrivals) wantNoneTwice(t *testing.T) {
	t.Helper()
	seen := map[int]bool{}
	for _, part := range a {
		for _, n := range part {
			if seen[n] {
				t.Fatalf("entry %d arrived again", n)
			}
			seen[n] = true
		}
	}
}
