package sdf

import (
	"bytes"
	"errors"
	"math"
	"testing"

	"github.com/google/go-cmp/cmp"

	"example.com/beamredis/redisio/message"
)

// id is an entry ID of one digit each, for tables.
func id(ms, seq uint64) message.EntryID { return message.EntryID{Ms: ms, Seq: seq} }

// endless is a restriction without end that stands at pos.
func endless(pos message.EntryID) Restriction {
	return Restriction{Start: pos, Position: pos, Stop: message.MaxID, Deadline: NoLimit, Remaining: NoLimit}
}

var restrictions = map[string]Restriction{
	"zero":    {},
	"endless": endless(id(5, 1)),
	"all set": {Start: id(1, 2), Position: id(3, 4), Stop: id(5, 6), Deadline: 7, Remaining: 8, Epoch: 9, Turn: 10, Ended: true, Ahead: true},
	"largest": {Start: message.MaxID, Position: message.MaxID, Stop: message.MaxID, Deadline: math.MaxInt64, Remaining: math.MaxInt64,
		Epoch: math.MaxUint32, Turn: math.MaxUint64, Ended: true},
	"ahead":    {Ahead: true},
	"negative": {Deadline: math.MinInt64, Remaining: -1},
}

func TestRestrictionSurvivesItsCoderAtAFixedWidth(t *testing.T) {
	for name, want := range restrictions {
		t.Run(name, func(t *testing.T) {
			b := encodeRestriction(want)
			if len(b) != restrictionSize {
				t.Errorf("%d bytes, want %d whatever is in it", len(b), restrictionSize)
			}
			got, err := decodeRestriction(b)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

func TestRestrictionOfAnotherLayoutIsRefused(t *testing.T) {
	good := encodeRestriction(restrictions["all set"])
	changed := func(at int, to byte) []byte {
		b := bytes.Clone(good)
		b[at] = to
		return b
	}
	for name, b := range map[string][]byte{
		"empty": nil, "short": good[1:], "long": append(bytes.Clone(good), 0),
		"version": changed(0, restrictionVersion+1), "flag that is not known": changed(restrictionSize-1, 4),
	} {
		if r, err := decodeRestriction(b); !errors.Is(err, errRestriction) {
			t.Errorf("%s: decoded to %+v, %v; want errRestriction", name, r, err)
		}
	}
}

func TestRestrictionIsBoundedByAnyOfItsBounds(t *testing.T) {
	for name, tc := range map[string]struct {
		bound func(*Restriction)
		want  bool
	}{
		"none":      {func(*Restriction) {}, false},
		"position":  {func(r *Restriction) { r.Position, r.Turn, r.Epoch = id(9, 9), 3, 2 }, false},
		"stop":      {func(r *Restriction) { r.Stop = id(9, 0) }, true},
		"deadline":  {func(r *Restriction) { r.Deadline = 0 }, true},
		"remaining": {func(r *Restriction) { r.Remaining = 0 }, true},
		"ended":     {func(r *Restriction) { r.Ended = true }, true},
	} {
		r := endless(id(1, 0))
		tc.bound(&r)
		if got := r.Bounded(); got != tc.want {
			t.Errorf("%s: Bounded = %v, want %v", name, got, tc.want)
		}
		if got := NewTracker(r).IsBounded(); got != tc.want {
			t.Errorf("%s: the tracker's IsBounded = %v, want %v", name, got, tc.want)
		}
	}
}

// FuzzDecodeRestriction: whatever a runner hands back, decoding does not panic,
// and what it accepts is encoded to the same bytes.
func FuzzDecodeRestriction(f *testing.F) {
	f.Add([]byte(nil))
	f.Add(bytes.Repeat([]byte{1}, restrictionSize))
	for _, r := range restrictions {
		f.Add(encodeRestriction(r))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		r, err := decodeRestriction(b)
		if err != nil {
			if !errors.Is(err, errRestriction) {
				t.Errorf("error %v, want errRestriction", err)
			}
			return
		}
		if again := encodeRestriction(r); !bytes.Equal(again, b) {
			t.Errorf("%x decodes to %+v, which encodes to %x", b, r, again)
		}
	})
}
