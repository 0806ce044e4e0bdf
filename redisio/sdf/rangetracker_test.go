package sdf

import (
	"math/rand/v2"
	"slices"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"example.com/beamredis/redisio/message"
)

// randomStream is the IDs of a stream's entries, in order: bursts within a
// millisecond, pauses, and a few of any ID at all.
func randomStream(rnd *rand.Rand, n int) []message.EntryID {
	ids := make([]message.EntryID, 0, n)
	id := message.EntryID{Ms: 1_700_000_000_000}
	for range n {
		switch rnd.IntN(4) {
		case 0:
			id = message.EntryID{Ms: id.Ms + 1 + rnd.Uint64N(1000)}
		case 1:
			id.Seq += 1 + rnd.Uint64N(1<<40)
		default:
			id = id.Next()
		}
		ids = append(ids, id)
	}
	return ids
}

// TestRandomSplitsReadEachEntryOnceAndNoneOutside: whatever is split where and
// when, parts and rests together claim what one reader would have.
func TestRandomSplitsReadEachEntryOnceAndNoneOutside(t *testing.T) {
	for seed := range uint64(300) {
		rnd := rand.New(rand.NewPCG(seed, 5))
		ids := randomStream(rnd, 1+rnd.IntN(200))
		from, to := rnd.IntN(len(ids)), rnd.IntN(len(ids))
		whole := RangeRestriction{ids[min(from, to)].Prev(), ids[max(from, to)]}
		todo := []RangeRestriction{whole}
		var got []message.EntryID
		splits := 0
		for len(todo) > 0 {
			i := rnd.IntN(len(todo))
			rest := todo[i]
			todo = slices.Delete(todo, i, i+1)
			tr := NewRangeTracker(rest, false)
			split := func() {
				before := tr.left()
				primary, residual, err := tr.TrySplit(randomFraction(rnd))
				if err != nil {
					t.Fatal(err)
				}
				if residual == nil {
					return
				}
				p, r := primary.(RangeRestriction), residual.(RangeRestriction)
				if p.To != r.After || r.To != before.To || r.empty() || r.After.Less(before.After) {
					t.Fatalf("seed %d: split of %v into %v and %v", seed, before, p, r)
				}
				todo = append(todo, r)
				splits++
			}
			start, _ := slices.BinarySearchFunc(ids, rest.After.Next(), message.EntryID.Compare)
			for _, id := range ids[start:] {
				if splits < 400 && rnd.IntN(8) == 0 {
					split()
				}
				if !tr.Claim(id) {
					break
				}
				got = append(got, id)
			}
			if tr.End(); !tr.IsDone() || tr.GetError() != nil {
				t.Fatalf("seed %d: done %v, %v", seed, tr.IsDone(), tr.GetError())
			}
		}
		slices.SortFunc(got, message.EntryID.Compare)
		if diff := cmp.Diff(ids[min(from, to):max(from, to)+1], got); diff != "" {
			t.Fatalf("seed %d, %d splits (-want +got):\n%s", seed, splits, diff)
		}
	}
}

func randomFraction(rnd *rand.Rand) float64 {
	switch rnd.IntN(6) {
	case 0:
		return 0
	case 1:
		return 1
	}
	return rnd.Float64()
}

// TestSplitsBesideClaimsLoseNothing is for the race detector as well.
func TestSplitsBesideClaimsLoseNothing(t *testing.T) {
	ids := randomStream(rand.New(rand.NewPCG(6, 7)), 20_000)
	rest := RangeRestriction{ids[0].Prev(), ids[len(ids)-1]}
	total := 0
	for !rest.empty() {
		tr := NewRangeTracker(rest, false)
		next := RangeRestriction{}
		var splitter sync.WaitGroup
		splitter.Go(func() {
			for next.empty() && !tr.IsDone() {
				if done, left := tr.GetProgress(); done > 0 && left > 0 {
					if _, residual, _ := tr.TrySplit(0.9); residual != nil {
						next = residual.(RangeRestriction)
					}
				}
			}
		})
		start, _ := slices.BinarySearchFunc(ids, rest.After.Next(), message.EntryID.Compare)
		for _, id := range ids[start:] {
			if !tr.Claim(id) {
				break
			}
			total++
		}
		tr.End()
		splitter.Wait()
		rest = next
	}
	if total != len(ids) {
		t.Errorf("%d of %d entries were claimed", total, len(ids))
	}
}

func TestRangeProgressIsExactInIDs(t *testing.T) {
	ms := func(n uint64) message.EntryID { return message.EntryID{Ms: n} }
	tr := NewRangeTracker(RangeRestriction{ms(1000), ms(2000)}, false)
	want := func(done, remaining float64) {
		t.Helper()
		if d, r := tr.GetProgress(); d != done || r != remaining {
			t.Errorf("progress %v of %v left, want %v and %v", d, r, done, remaining)
		}
	}
	want(0, 1000)
	tr.Claim(ms(1100))
	want(100, 900)
	if p, r, err := tr.TrySplit(0.5); p != (RangeRestriction{ms(1000), ms(1550)}) || r != (RangeRestriction{ms(1550), ms(2000)}) || err != nil {
		t.Errorf("split into %v and %v, %v", p, r, err)
	}
	want(100, 450)
	if tr.Claim(ms(1551)) || !tr.IsDone() {
		t.Error("an entry of the residual was claimed")
	}
	want(550, 0)
	if _, r, _ := tr.TrySplit(0); r != nil {
		t.Errorf("a range that is done gave away %v", r)
	}
}

func TestOrderedRangeIsSplitAtZeroOnly(t *testing.T) {
	tr := NewRangeTracker(RangeRestriction{message.EntryID{}, message.EntryID{Ms: 9}}, true)
	tr.Claim(message.EntryID{Ms: 3})
	if _, r, err := tr.TrySplit(0.5); r != nil || err != nil {
		t.Errorf("split into %v, %v", r, err)
	}
	if _, r, _ := tr.TrySplit(0); r != (RangeRestriction{message.EntryID{Ms: 3}, message.EntryID{Ms: 9}}) || !tr.IsDone() {
		t.Errorf("a checkpoint leaves %v, done: %v", r, tr.IsDone())
	}
}

func TestClaimsOfARangeOutOfOrderAreAnError(t *testing.T) {
	tr := NewRangeTracker(RangeRestriction{message.EntryID{}, message.EntryID{Ms: 9}}, false)
	if !tr.TryClaim(message.EntryID{Ms: 3}) || tr.TryClaim(message.EntryID{Ms: 3}) || tr.GetError() == nil {
		t.Error("an entry was claimed twice")
	}
	tr = NewRangeTracker(RangeRestriction{message.EntryID{}, message.EntryID{Ms: 9}}, false)
	if tr.TryClaim("3-0") || tr.GetError() == nil {
		t.Error("a text was claimed")
	}
	if !tr.IsBounded() {
		t.Error("a range has no end")
	}
}
