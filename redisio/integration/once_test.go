package integration_test

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/apache/beam/sdks/v2/go/pkg/beam"
	"github.com/apache/beam/sdks/v2/go/pkg/beam/register"

	"example.com/beamredis/redisio"
	"example.com/beamredis/redisio/internal/redistest"
)

func init() { register.Function2x0(threefold) }

// threefold makes three messages of one, the third like the second.
func threefold(m redisio.Message, emit func(redisio.Message)) {
	emit(m)
	emit(m.With("copy of "+m.Key, m.Fields...))
	emit(m.With("copy of "+m.Key, m.Fields...))
}

// TestIdempotentCopyThatIsKilledWritesEveryEntryOnce: each run is a new job,
// which is given again what the one before had read and not acknowledged.
func TestIdempotentCopyThatIsKilledWritesEveryEntryOnce(t *testing.T) {
	rng := random(t)
	s := start(t)
	s.load(in, 0, 20_000, entryOf)
	producer := s.produce(20_000, 40_000)
	spec := childSpec{Once: "copy"}
	got := s.killRepeatedly(spec, rng, sized(8, 40), 12_000)
	n := producer.end()
	s.spawn(spec).wantSuccess()
	t.Logf("%d entries; %+v", n, got)
	if got.inFlight == 0 {
		t.Fatal("nothing was in flight at any kill: this test proves nothing")
	}
	s.wantEachOnce(s.arrived(out), n)
	s.wantCaughtUp(in, group)
}

func TestIdempotentCopyWritesOnceWhateverHappensToConnections(t *testing.T) {
	n := sized(20_000, 300_000)
	for name, f := range map[string]redistest.Fault{
		"cut before": redistest.CutBefore, "cut within": redistest.CutWithin, "cut after": redistest.CutAfter,
		"late replies": redistest.DelayReply, "late requests": redistest.DelayRequest,
	} {
		t.Run(name, func(t *testing.T) {
			s := start(t)
			s.load(in, 0, n, entryOf)
			proxy := s.Through(5, 300*time.Millisecond, f)
			job := untilCaughtUp(s, redisio.WithBundleBounds(500, 8<<20, 500*time.Millisecond))
			job.conn.Addr, job.conn.ReadTimeout, job.conn.WriteTimeout = proxy.Addr(), 150*time.Millisecond, 150*time.Millisecond
			job.write = []redisio.WriteOption{redisio.WithIdempotence("copy")}
			job.mustRun(t)
			if proxy.Done(f) == 0 {
				t.Fatal("there was no fault: this test proves nothing")
			}
			eventually(t, "late requests have arrived", proxy.Idle)
			s.wantEachOnce(s.arrived(out), n)
		})
	}
}

// TestIdempotentJobsOfAllShapesWriteOnce runs each job twice, the second time
// for a group that was set back, as an operator does to have entries again.
func TestIdempotentJobsOfAllShapesWriteOnce(t *testing.T) {
	n := sized(3_000, 50_000)
	for _, tt := range []struct {
		name    string
		between func(beam.Scope, beam.PCollection) beam.PCollection
		times   int
	}{
		{"fused", nil, 1},
		{"fused, three messages of one", func(s beam.Scope, msgs beam.PCollection) beam.PCollection { return beam.ParDo(s, threefold, msgs) }, 3},
		{"shuffled", beam.Reshuffle, 1},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := start(t)
			s.load(in, 0, n, entryOf)
			job := untilCaughtUp(s)
			job.between = tt.between
			job.write = []redisio.WriteOption{redisio.WithIdempotence("copy"), redisio.WithFlushConcurrency(3)}
			job.mustRun(t)
			for _, p := range in.Parts() {
				if err := s.client.XGroupSetID(t.Context(), p.Stream, group, "0").Err(); err != nil {
					t.Fatal(err)
				}
			}
			job.mustRun(t)
			if got := s.length(out); got != tt.times*n {
				t.Errorf("%d entries arrived, want %d", got, tt.times*n)
			}
		})
	}
}

func TestASourceMadeAnewIsCopiedThoughItsIDsAreTheSame(t *testing.T) {
	s := start(t)
	add := func() {
		for _, id := range []string{"1-0", "2-0", "3-0"} {
			if err := s.client.Do(t.Context(), "XADD", "in:0", id, "n", "0").Err(); err != nil {
				t.Fatal(err)
			}
		}
	}
	job := untilCaughtUp(s)
	job.source = redisio.Topic{Name: "in", Partitions: 1}
	job.write = []redisio.WriteOption{redisio.WithIdempotence("copy")}
	for range 2 {
		if err := s.client.Del(t.Context(), "in:0").Err(); err != nil {
			t.Fatal(err)
		}
		add()
		job.mustRun(t)
	}
	if got := s.length(out); got != 6 {
		t.Errorf("%d entries arrived, want 6: three of either stream", got)
	}
}

func TestTwoSinksOfOneIdempotenceNameAreRefused(t *testing.T) {
	s := start(t)
	s.load(in, 0, 100, entryOf)
	p, scope := beam.NewPipelineWithRoot()
	msgs := redisio.Read(scope, s.Config(), in, group, redisio.WithStart(redisio.StartEarliest()), redisio.WithStopAtLatest())
	for range 2 {
		redisio.Write(scope, s.Config(), out, msgs, redisio.WithIdempotence("same"))
	}
	ctx, cancel := context.WithTimeout(t.Context(), jobTimeout)
	defer cancel()
	if err := runPipeline(ctx, p); err == nil || !strings.Contains(err.Error(), `idempotence name "same"`) {
		t.Errorf("error %v, want that the name is taken", err)
	}
}
