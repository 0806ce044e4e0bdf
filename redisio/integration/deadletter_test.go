package integration_test

import (
	"slices"
	"strconv"
	"testing"
)

func TestTwentyKillsGiveNoDeadLetter(t *testing.T) {
	rng := random(t)
	s := start(t)
	s.load(in, 0, 10_000, entryOf)
	producer := s.produce(10_000, 10_000)
	got := s.killRepeatedly(childSpec{Limit: 5}, rng, sized(20, 60), 600)
	n := producer.end()
	s.spawn(childSpec{Limit: 5}).wantSuccess()

	t.Logf("%d entries; %+v", n, got)
	if got.deliveries < 3 {
		t.Error("no entry came near the limit: this test proves nothing")
	}
	if letters := s.length(dead); letters != 0 {
		t.Errorf("%d entries became dead letters, want none: nothing is wrong with any", letters)
	}
	s.wantAtLeastOnce(s.arrived(out), n)
	s.wantCaughtUp(in, group)
}

// TestPoisonEntryBecomesADeadLetter: one entry ends the process whenever it is
// met. It becomes a dead letter when it has done so alone; its neighbours do
// not.
func TestPoisonEntryBecomesADeadLetter(t *testing.T) {
	const n, poison, limit = 2_000, 777, 5
	s := start(t)
	s.load(in, 0, n, entryOf)
	spec := childSpec{Limit: limit, Poison: poison}
	crashes := 0
	job := s.spawn(spec)
	for ; job.status() == childPoisoned && crashes < 2*limit; crashes++ {
		s.waitGone()
		job = s.spawn(spec)
	}
	job.wantSuccess()
	if crashes != limit {
		t.Errorf("the poison ended %d jobs, want %d", crashes, limit)
	}
	var letters []entry
	s.scan(dead.Keys[0], func(e entry) { letters = append(letters, e) })
	if len(letters) != 1 {
		t.Fatalf("%d dead letters, want 1: %v", len(letters), letters)
	}
	got := letters[0].fields
	for name, want := range map[string]string{"attempts": strconv.Itoa(limit), "key": keyOf(poison), "field:n": strconv.Itoa(poison)} {
		at := slices.Index(got, name)
		if at < 0 || got[at+1] != want {
			t.Errorf("the dead letter's %s is not %q: %q", name, want, got)
		}
	}
	s.wantAtLeastOnce(s.arrived(out), n, poison)
	s.wantCaughtUp(in, group)
}
