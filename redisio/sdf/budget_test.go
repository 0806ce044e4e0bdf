package sdf

import (
	"runtime"
	"testing"
	"time"
)

func TestFetchSizeFollowsTheMeanEntry(t *testing.T) {
	for name, tc := range map[string]struct {
		ends    int      // bytes of the stream's first or last entry
		batches [][2]int // bytes, entries
		want    int
	}{
		"unknown":                     {0, nil, firstFetch},
		"an empty reply":              {0, [][2]int{{300, 0}}, firstFetch},
		"tiny entries":                {100, [][2]int{{100_000, 1000}}, fetchEntries},
		"kilobyte entries":            {1 << 10, [][2]int{{1000 << 10, 1000}}, fetchTarget >> 10},
		"larger than the fetch":       {5 << 20, [][2]int{{10 << 20, 2}}, 1},
		"known by the stream's ends":  {2 << 20, nil, 1},
		"small by the stream's ends":  {100, nil, firstFetch},
		"grows step by step":          {100, [][2]int{{5000, 50}}, 50 * fetchGrowth},
		"large one behind small ones": {2 << 20, [][2]int{{100_000, 1000}}, fetchMost / (2 << 20)},
		"huge one behind small ones":  {400 << 20, [][2]int{{100_000, 1000}}, 1},
	} {
		s := entrySize{}
		s.look(tc.ends)
		for _, b := range tc.batches {
			s.observe(b[0], b[1])
		}
		if got := s.count(); got != tc.want {
			t.Errorf("%s: asks for %d entries, want %d", name, got, tc.want)
		}
	}
}

func TestOneOddEntryBarelyMovesTheMean(t *testing.T) {
	s := entrySize{}
	s.observe(1000*200, 200)
	s.observe(100_000, 1)
	if s.mean > 2000 {
		t.Errorf("one large entry moved the mean from 1000 to %.0f", s.mean)
	}
	s.observe(100*2000, 2000)
	if s.mean > 500 {
		t.Errorf("a full batch of small entries left the mean at %.0f", s.mean)
	}
}

func TestFetchingAheadStopsAtTheBudget(t *testing.T) {
	r := &reader{}
	r.held = newHolding(r)
	free := int(fetchBudget - fetchedBytes.Load())
	r.held.add(free - fetchTarget)
	if !mayFetchAhead(fetchTarget) || mayFetchAhead(fetchTarget+1) {
		t.Error("the last fetch that fits was refused, or one too many allowed")
	}
	r.held.add(fetchTarget - free)
	if !mayFetchAhead(free) {
		t.Error("what was given back is not free")
	}
}

func TestBudgetComesBackFromReadersThatAreGarbage(t *testing.T) {
	before := fetchedBytes.Load()
	func() {
		r := &reader{}
		r.held = newHolding(r)
		r.held.add(12345)
	}()
	for deadline := time.Now().Add(time.Minute); fetchedBytes.Load() != before; runtime.GC() {
		if time.Now().After(deadline) {
			t.Fatalf("%d bytes are still held", fetchedBytes.Load()-before)
		}
	}
}
