package message

import (
	"errors"
	"math"
	"slices"
	"strings"
	"testing"
	"time"
)

const most = math.MaxUint64

// ascending holds IDs in order, with both sides of every carry.
var ascending = []EntryID{
	{}, {Seq: 1}, {Seq: most - 1}, {Seq: most},
	{Ms: 1}, {Ms: 1, Seq: 1}, {Ms: 1, Seq: most},
	{Ms: 1700000000000}, {Ms: 1700000000000, Seq: 7},
	{Ms: math.MaxInt64}, {Ms: math.MaxInt64 + 1},
	{Ms: most}, {Ms: most, Seq: most - 1}, {Ms: most, Seq: most},
}

func TestParseEntryID(t *testing.T) {
	tests := []struct {
		text string
		want EntryID
	}{
		{"0-0", EntryID{}},
		{"5", EntryID{Ms: 5}},
		{"5-0", EntryID{Ms: 5}},
		{"0-5", EntryID{Seq: 5}},
		{"1700000000000-7", EntryID{Ms: 1700000000000, Seq: 7}},
		{"007-01", EntryID{Ms: 7, Seq: 1}},
		{"18446744073709551615-18446744073709551615", MaxID},
	}
	for _, tt := range tests {
		got, err := ParseEntryID(tt.text)
		if err != nil || got != tt.want {
			t.Errorf("ParseEntryID(%q) = %v, %v; want %v", tt.text, got, err, tt.want)
		}
	}
}

func TestWhatIsNoEntryIDIsRefused(t *testing.T) {
	texts := []string{
		"", "-", "5-", "-5", "--", "1-2-3", "+1-0", "1-+1", "1--1", "-1-0", " 1-0", "1-0 ", "1_0-0", "0x1-0",
		"$", "*", ">", "1-*", "(1-0", "１-0", "18446744073709551616-0", "0-18446744073709551616", "1\n-0",
	}
	for _, text := range texts {
		id, err := ParseEntryID(text)
		if !errors.Is(err, ErrEntryID) {
			t.Errorf("ParseEntryID(%q) = %v, %v", text, id, err)
			continue
		}
		if strings.Contains(err.Error(), "\n") {
			t.Errorf("ParseEntryID(%q): the error takes more than a line: %v", text, err)
		}
	}
}

func TestEntryIDsAreTotallyOrdered(t *testing.T) {
	for i, a := range ascending {
		for j, b := range ascending {
			want := 0
			if i < j {
				want = -1
			} else if i > j {
				want = 1
			}
			if got := a.Compare(b); got != want {
				t.Errorf("%v.Compare(%v) = %d, want %d", a, b, got, want)
			}
			if got := a.Less(b); got != (want < 0) {
				t.Errorf("%v.Less(%v) = %t", a, b, got)
			}
		}
	}
	if !slices.IsSortedFunc(ascending, EntryID.Compare) {
		t.Error("Compare does not sort")
	}
}

func TestNextAndPrevStepByOne(t *testing.T) {
	tests := []struct{ id, next EntryID }{
		{EntryID{}, EntryID{Seq: 1}},
		{EntryID{Ms: 5, Seq: 7}, EntryID{Ms: 5, Seq: 8}},
		{EntryID{Seq: most}, EntryID{Ms: 1}},
		{EntryID{Ms: most - 1, Seq: most}, EntryID{Ms: most}},
		{EntryID{Ms: most, Seq: most - 1}, MaxID},
	}
	for _, tt := range tests {
		if got := tt.id.Next(); got != tt.next {
			t.Errorf("%v.Next() = %v, want %v", tt.id, got, tt.next)
		}
		if got := tt.next.Prev(); got != tt.id {
			t.Errorf("%v.Prev() = %v, want %v", tt.next, got, tt.id)
		}
	}
	if got := MaxID.Next(); got != MaxID {
		t.Errorf("MaxID.Next() = %v", got)
	}
	if got := (EntryID{}).Prev(); !got.IsZero() {
		t.Errorf("0-0's Prev() = %v", got)
	}
}

func TestNothingLiesBetweenAnIDAndItsNext(t *testing.T) {
	for _, id := range ascending {
		if next := id.Next(); id != MaxID && (!id.Less(next) || next.Prev() != id) {
			t.Errorf("%v: Next() %v, and back %v", id, next, next.Prev())
		}
		if prev := id.Prev(); !id.IsZero() && (!prev.Less(id) || prev.Next() != id) {
			t.Errorf("%v: Prev() %v, and back %v", id, prev, prev.Next())
		}
	}
}

func TestEntryIDPrintsAsItParses(t *testing.T) {
	for _, id := range ascending {
		got, err := ParseEntryID(id.String())
		if err != nil || got != id {
			t.Errorf("%v parses as %v, %v", id, got, err)
		}
		if got := string(id.Append([]byte("id="))); got != "id="+id.String() {
			t.Errorf("Append gives %q", got)
		}
	}
}

func TestFirstIDAtAndTime(t *testing.T) {
	tests := []struct {
		at   time.Time
		want EntryID
	}{
		{time.UnixMilli(1700000000000), EntryID{Ms: 1700000000000}},
		{time.Unix(1, 999_999), EntryID{Ms: 1000}},
		{time.Unix(0, 0), EntryID{}},
		{time.Unix(-1, 0), EntryID{}},
		{time.Time{}, EntryID{}},
	}
	for _, tt := range tests {
		if got := FirstIDAt(tt.at); got != tt.want {
			t.Errorf("FirstIDAt(%v) = %v, want %v", tt.at, got, tt.want)
		}
	}
	if got := (EntryID{Ms: 1500, Seq: 9}).Time(); !got.Equal(time.UnixMilli(1500)) {
		t.Errorf("Time() = %v", got)
	}
	if got := MaxID.Time(); !got.Equal(time.UnixMilli(math.MaxInt64)) {
		t.Errorf("MaxID.Time() = %v", got)
	}
}
