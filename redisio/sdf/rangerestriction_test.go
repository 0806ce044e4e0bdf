package sdf

import (
	"bytes"
	"math"
	"math/rand/v2"
	"reflect"
	"strings"
	"testing"

	"github.com/apache/beam/sdks/v2/go/pkg/beam"
	"github.com/google/go-cmp/cmp"

	"example.com/beamredis/redisio/message"
)

// randomID is any ID; half of them are like those that a server gives.
func randomID(rnd *rand.Rand) message.EntryID {
	if rnd.IntN(2) == 0 {
		return message.EntryID{Ms: 1_700_000_000_000 + rnd.Uint64N(100_000), Seq: rnd.Uint64N(300)}
	}
	return message.EntryID{Ms: rnd.Uint64() >> rnd.IntN(64), Seq: rnd.Uint64() >> rnd.IntN(64)}
}

func randomRestriction(rnd *rand.Rand) RangeRestriction {
	for {
		r := RangeRestriction{randomID(rnd), randomID(rnd)}
		switch rnd.IntN(4) {
		case 0:
			r.To = message.EntryID{Ms: r.After.Ms, Seq: rnd.Uint64()}
		case 1:
			r.To = r.After.Next()
		}
		if !r.empty() {
			return r
		}
	}
}

func TestPlaceInARangeLeavesSomethingBehindIt(t *testing.T) {
	rnd := rand.New(rand.NewPCG(1, 2))
	for range 200_000 {
		r := randomRestriction(rnd)
		f := rnd.Float64()
		switch rnd.IntN(8) {
		case 0:
			f = 0
		case 1:
			f = math.Nextafter(1, 0)
		}
		at := r.at(f)
		if at.Less(r.After) || !at.Less(r.To) || f == 0 && at != r.After {
			t.Fatalf("%v at %v is %v", r, f, at)
		}
		if further := r.at(f + (1-f)/2); further.Less(at) {
			t.Fatalf("%v at %v is %v, and further on %v", r, f, at, further)
		}
	}
}

func TestPlaceInARangeIsWhereTheFractionSays(t *testing.T) {
	for name, tc := range map[string]struct {
		r    RangeRestriction
		f    float64
		want message.EntryID
	}{
		"over milliseconds":         {RangeRestriction{message.EntryID{Ms: 1000}, message.EntryID{Ms: 2000}}, 0.25, message.EntryID{Ms: 1250}},
		"within a millisecond":      {RangeRestriction{message.EntryID{Ms: 7}, message.EntryID{Ms: 7, Seq: 1000}}, 0.5, message.EntryID{Ms: 7, Seq: 500}},
		"to the next millisecond":   {RangeRestriction{message.EntryID{Ms: 7}, message.EntryID{Ms: 8}}, 0.5, message.EntryID{Ms: 7, Seq: 1 << 63}},
		"over a sequence's end":     {RangeRestriction{message.EntryID{Ms: 7, Seq: 1 << 63}, message.EntryID{Ms: 9, Seq: 1 << 63}}, 0.5, message.EntryID{Ms: 8, Seq: 1 << 63}},
		"all there is":              {RangeRestriction{message.EntryID{}, message.MaxID}, 0.5, message.EntryID{Ms: 1 << 63}},
		"a fraction that is no one": {RangeRestriction{message.EntryID{Ms: 1}, message.EntryID{Ms: 2}}, 1, message.EntryID{Ms: 2}},
	} {
		if got := tc.r.at(tc.f); got != tc.want {
			t.Errorf("%s: %v, want %v", name, got, tc.want)
		}
	}
}

func TestRangeRestrictionIsEncodedAndBack(t *testing.T) {
	rnd := rand.New(rand.NewPCG(3, 4))
	typ := reflect.TypeFor[RangeRestriction]()
	for range 1000 {
		want := randomRestriction(rnd)
		var buf bytes.Buffer
		if err := beam.NewElementEncoder(typ).Encode(want, &buf); err != nil {
			t.Fatal(err)
		}
		got, err := beam.NewElementDecoder(typ).Decode(&buf)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Fatalf("(-want +got):\n%s", diff)
		}
	}
	for _, b := range [][]byte{nil, make([]byte, rangeRestrictionSize), append([]byte{restrictionVersion}, make([]byte, 10)...)} {
		if _, err := decodeRangeRestriction(b); err == nil || !strings.Contains(err.Error(), "another release") {
			t.Errorf("%d bytes: %v", len(b), err)
		}
	}
}
