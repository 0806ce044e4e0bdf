package integration_test

import (
	"context"
	"errors"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"example.com/beamredis/redisio"
	"example.com/beamredis/redisio/internal/finalize"
	"example.com/beamredis/redisio/internal/telemetry"
)

// sightings notes where messages came from: "stream id".
type sightings struct {
	mu      sync.Mutex
	times   map[string]int // how often each passed
	bundles map[*finalize.Bundle][]string
}

func newSightings() *sightings {
	return &sightings{times: map[string]int{}, bundles: map[*finalize.Bundle][]string{}}
}

// note notes m, and returns how many have passed and what has in this bundle.
func (s *sightings) note(ctx context.Context, m redisio.Message) (passed int, bundle []string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	place := m.Stream + " " + m.ID.String()
	s.times[place]++
	b := finalize.FromContext(ctx)
	s.bundles[b] = append(s.bundles[b], place)
	return len(s.times), s.bundles[b]
}

func (s *sightings) see(ctx context.Context, m redisio.Message) error {
	s.note(ctx, m)
	return nil
}

// wantOnce fails the test unless each of places passed once.
func (s *sightings) wantOnce(t *testing.T, places map[string]bool) {
	t.Helper()
	for place := range places {
		if s.times[place] != 1 {
			t.Fatalf("%s was delivered %d times, want once", place, s.times[place])
		}
	}
}

// pendingPlaces lists what is pending, as sightings name it.
func (s *server) pendingPlaces(t redisio.Topic, group string) map[string]bool {
	s.t.Helper()
	places := map[string]bool{}
	for _, p := range t.Parts() {
		rows, err := s.client.XPendingExt(s.t.Context(), &redis.XPendingExtArgs{
			Stream: p.Stream, Group: group, Start: "-", End: "+", Count: 1 << 20}).Result()
		if err != nil {
			s.t.Fatal(err)
		}
		for _, row := range rows {
			places[p.Stream+" "+row.ID] = true
		}
	}
	return places
}

func TestOfNBundlesNAreAcknowledged(t *testing.T) {
	n := sized(20_000, 500_000)
	s := start(t)
	s.load(in, 0, n, entryOf)
	job := untilCaughtUp(s, redisio.WithBundleBounds(100, 8<<20, 500*time.Millisecond))
	job.watch = &watch{}
	bundles, entries := finalize.ProcessStats(), telemetry.Acknowledged.Process()
	job.mustRun(t)

	after, ran := finalize.ProcessStats(), uint64(job.watch.bundles.Load())
	if least := uint64(n / 100 / in.Partitions); ran < least {
		t.Fatalf("%d bundles had entries, want at least %d: more would prove more", ran, least)
	}
	if requested, finalized := after.Requested-bundles.Requested, after.Finalized-bundles.Finalized; requested != ran || finalized != ran {
		t.Errorf("of %d bundles %d asked for finalization, and %d were finalized", ran, requested, finalized)
	}
	if got := telemetry.Acknowledged.Process() - entries; got != int64(n) {
		t.Errorf("%d entries were acknowledged, want %d", got, n)
	}
	s.wantExactlyOnce(s.arrived(out), n)
	s.wantCaughtUp(in, group)
}

var errOnPurpose = errors.New("fails as the test wants it")

func TestFailedBundleStaysPendingForTheNextJob(t *testing.T) {
	n := sized(5_000, 100_000)
	s := start(t)
	s.load(in, 0, n, entryOf)
	seen := newSightings()
	var lost []string // what was in the failed bundle
	failing := untilCaughtUp(s, redisio.WithBundleBounds(100, 8<<20, 500*time.Millisecond))
	failing.watch = &watch{see: func(ctx context.Context, m redisio.Message) error {
		passed, bundle := seen.note(ctx, m)
		if passed >= n/2 && len(bundle) > 250 { // where some partitions have had their turn
			lost = bundle
			return errOnPurpose
		}
		return nil
	}}
	if err := failing.run(t.Context()); err == nil || !strings.Contains(err.Error(), errOnPurpose.Error()) {
		t.Fatalf("the job ended with %v, want the error of its failing bundle", err)
	}
	if first, _, _ := strings.Cut(lost[0], " "); strings.HasPrefix(lost[len(lost)-1], first+" ") {
		t.Fatal("the failed bundle had one partition only: this test proves little")
	}
	pending := s.pendingPlaces(in, group)
	for _, place := range lost {
		if !pending[place] {
			t.Fatalf("%s is not pending, although its bundle failed", place)
		}
	}
	if !slices.ContainsFunc(slices.Collect(maps.Keys(seen.times)), func(place string) bool { return !pending[place] }) {
		t.Errorf("none of the %d entries of bundles that did not fail is acknowledged", len(seen.times)-len(lost))
	}

	next, again := untilCaughtUp(s), newSightings()
	next.watch = &watch{see: again.see}
	next.mustRun(t)
	again.wantOnce(t, pending)
	s.wantAtLeastOnce(s.arrived(out), n)
	s.wantCaughtUp(in, group)
}

// killedAt kills a copy in a bundle that it holds open, and returns what is
// pending then.
func (s *server) killedAt(spec childSpec) map[string]bool {
	s.t.Helper()
	job := s.spawn(spec)
	job.waitHeld()
	job.kill()
	s.waitGone()
	return s.pendingPlaces(in, group)
}

func TestPendingOfDeadJobsReachesTheThirdJob(t *testing.T) {
	const n = 4_000
	s := start(t)
	s.load(in, 0, n, entryOf)
	first := s.killedAt(childSpec{HoldAt: 1_000, BundleEntries: 100}) // after some bundles
	if len(first) == 0 || len(first) == n {
		t.Fatalf("the first job left %d of %d entries pending: this test proves nothing", len(first), n)
	}
	pending := s.killedAt(childSpec{HoldAt: 1_300, BundleEntries: 1_000}) // in the first bundle, in its second partition
	for place := range first {
		if !pending[place] {
			t.Fatalf("%s is not pending any more, although no bundle of the second job was final", place)
		}
	}
	third, seen := untilCaughtUp(s), newSightings()
	third.watch = &watch{see: seen.see}
	third.mustRun(t)
	seen.wantOnce(t, pending)
	s.wantAtLeastOnce(s.arrived(out), n)
	s.wantCaughtUp(in, group)
}

func TestPendingOfOtherConsumersIsTakenOver(t *testing.T) {
	const n = 4_000
	s := start(t)
	s.load(in, 0, n, entryOf)
	for _, p := range in.Parts() {
		if err := s.client.XGroupCreate(t.Context(), p.Stream, group, "0").Err(); err != nil {
			t.Fatal(err)
		}
		args := &redis.XReadGroupArgs{Group: group, Consumer: "somebody", Streams: []string{p.Stream, ">"}, Count: 500}
		if err := s.client.XReadGroup(t.Context(), args).Err(); err != nil {
			t.Fatal(err)
		}
	}
	untilCaughtUp(s, redisio.WithClaimIdle(200*time.Millisecond)).mustRun(t)
	s.wantEachOnce(s.arrived(out), n) // those that were taken over come later than their successors
	s.wantCaughtUp(in, group)
}
