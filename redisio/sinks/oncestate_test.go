package sinks

import (
	"strings"
	"testing"

	"example.com/beamredis/redisio/internal/redistest"
	"example.com/beamredis/redisio/message"
)

func TestOnceStateHasATTLAndStandsBesideItsStream(t *testing.T) {
	server := redistest.Start(t)
	s := newOnceSink(t, server, "a", nil)
	if err := s.bundle(t.Context(), join(jobFrom(9).reads(10), jobFrom(9).isGiven(1))...); err != nil {
		t.Fatal(err)
	}
	keys, err := server.Client().Keys(t.Context(), "beamredis:*").Result()
	if err != nil || len(keys) != 2 {
		t.Fatalf("keys %q, error %v; want a mark and a window", keys, err)
	}
	for _, key := range keys {
		ttl, err := server.Client().TTL(t.Context(), key).Result()
		if err != nil || ttl < DefaultOnceTTL-DefaultOnceTTL/100 || ttl > DefaultOnceTTL {
			t.Errorf("TTL of %q is %v, error %v; want about %v", key, ttl, err, DefaultOnceTTL)
		}
	}
}

func TestAWindowHoldsTheLatestAndIsBounded(t *testing.T) {
	server := redistest.Start(t)
	const size = 10
	for id := range uint64(100) {
		s := newOnceSink(t, server, "a", func(w *WriteFn) { w.Once.Window = size })
		// With itself among the latest, the oldest that is remembered for sure,
		// wherever a batch ends.
		oldest := max(id, size-1) - (size - 1)
		if err := s.bundle(t.Context(), jobFrom(0).shuffled(id, oldest)...); err != nil {
			t.Fatal(err)
		}
	}
	if n := len(texts(t, server)); n != 100 {
		t.Errorf("%d entries, want 100", n)
	}
	members := 0
	keys, err := server.Client().Keys(t.Context(), "beamredis:*").Result()
	if err != nil {
		t.Fatal(err)
	}
	for _, key := range keys {
		n, err := server.Client().SCard(t.Context(), key).Result()
		if err != nil {
			t.Fatal(err)
		}
		members += int(n)
	}
	if members < size || members > 2*size {
		t.Errorf("%d members are remembered, want %d to %d", members, size, 2*size)
	}
}

func TestAnEntryHasAsManyFieldsAsAScriptTakes(t *testing.T) {
	server := redistest.Start(t)
	m := jobFrom(0).reads(1)[0]
	m.Fields = make([]message.Field, 3499)
	s := newOnceSink(t, server, "a", func(w *WriteFn) { w.CollectFailed = true })
	tooMany := jobFrom(0).reads(2)[0]
	tooMany.Fields = make([]message.Field, 3500)
	if err := s.bundle(t.Context(), m, tooMany); err != nil {
		t.Fatal(err)
	}
	if got := stored(t, server, "single"); len(got) != 1 || len(got[0]) != 2*3499 {
		t.Errorf("%d entries are there, want one of 3499 fields", len(got))
	}
	if len(s.dead) != 1 || !strings.Contains(s.dead[0].Reason, "takes 3499") {
		t.Errorf("dead letters %+v", s.dead)
	}
}

func TestProgressKeepsTheLatestJobs(t *testing.T) {
	var p progress
	for start := range uint64(mostSpans + 10) {
		id := message.EntryID{Ms: 10 * start}
		surplus, full := p.surplus()
		if want := start >= mostSpans; full != want || full && surplus != (message.EntryID{Ms: 10 * (start - mostSpans)}) {
			t.Fatalf("job %d: surplus %v, %v", start, surplus, full)
		}
		p.advance(id, sequence{id: message.EntryID{Ms: id.Ms + 5}}, nil)
	}
	for ms, want := range map[uint64]bool{95: false, 101: true, 105: true, 106: false, 735: true, 730: false} {
		if got := p.covers(sequence{id: message.EntryID{Ms: ms}}); got != want {
			t.Errorf("entry %d is covered: %v, want %v", ms, got, want)
		}
	}
}

func TestAMarkOfAnotherReleaseIsRefused(t *testing.T) {
	for _, fields := range []map[string]string{{"v": "1", "x": "1-0:0"}, {"v": "1", "1-0": "x"}, {"v": "1", "1-0": "1-0:x"}, {"v": "1", "1-0": "1-0:1 x"}, {"v": "1", "1-0": "1-0:1 1-0:0~"}} {
		if _, err := parseProgress(fields, "v"); err == nil || !strings.Contains(err.Error(), "another release") {
			t.Errorf("%v: error %v", fields, err)
		}
	}
}
