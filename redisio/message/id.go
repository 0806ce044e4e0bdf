package message

import (
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"
)

// EntryID is the ID of an entry in a Redis stream: milliseconds, then a
// sequence number within the millisecond. IDs of one stream are totally
// ordered. The zero value, "0-0", stands before every entry.
type EntryID struct {
	Ms  uint64 // milliseconds since the Unix epoch for IDs that Redis assigns
	Seq uint64 // sequence number within Ms
}

// MaxID is the largest ID that a Redis stream can hold.
var MaxID = EntryID{Ms: math.MaxUint64, Seq: math.MaxUint64}

// ErrEntryID is wrapped by the errors of [ParseEntryID].
var ErrEntryID = errors.New("not an entry ID")

// ParseEntryID reads "ms-seq", or "ms" alone, which stands for "ms-0" as it
// does in Redis. The error names the text and wraps [ErrEntryID].
func ParseEntryID(s string) (EntryID, error) {
	ms, seq, found := strings.Cut(s, "-")
	id := EntryID{}
	var err error
	if id.Ms, err = parseDecimal(ms); err != nil {
		return EntryID{}, fmt.Errorf("%w: %q (want milliseconds-sequence, such as 1700000000000-0)", ErrEntryID, s)
	}
	if !found {
		return id, nil
	}
	if id.Seq, err = parseDecimal(seq); err != nil {
		return EntryID{}, fmt.Errorf("%w: %q (want milliseconds-sequence, such as 1700000000000-0)", ErrEntryID, s)
	}
	return id, nil
}

// parseDecimal refuses the signs and underscores that package strconv allows.
func parseDecimal(s string) (uint64, error) {
	if s == "" || s[0] < '0' || s[0] > '9' {
		return 0, strconv.ErrSyntax
	}
	return strconv.ParseUint(s, 10, 64)
}

// FirstIDAt returns the smallest ID that an entry added at t can have. Times
// before the Unix epoch give 0-0.
func FirstIDAt(t time.Time) EntryID {
	ms := t.UnixMilli()
	if ms < 0 {
		return EntryID{}
	}
	return EntryID{Ms: uint64(ms)}
}

// String formats the ID as Redis does: "ms-seq".
func (id EntryID) String() string { return string(id.Append(nil)) }

// Append appends the text form of the ID to dst.
func (id EntryID) Append(dst []byte) []byte {
	dst = strconv.AppendUint(dst, id.Ms, 10)
	dst = append(dst, '-')
	return strconv.AppendUint(dst, id.Seq, 10)
}

// Compare returns -1, 0 or +1 as id is before, equal to or after other.
func (id EntryID) Compare(other EntryID) int {
	switch {
	case id.Ms < other.Ms || id.Ms == other.Ms && id.Seq < other.Seq:
		return -1
	case id == other:
		return 0
	}
	return 1
}

// Less reports whether id is before other.
func (id EntryID) Less(other EntryID) bool {
	return id.Ms < other.Ms || id.Ms == other.Ms && id.Seq < other.Seq
}

// IsZero reports whether id is 0-0, the position before every entry.
func (id EntryID) IsZero() bool { return id == EntryID{} }

// Next returns the ID right after id, or [MaxID] for MaxID.
func (id EntryID) Next() EntryID {
	switch {
	case id == MaxID:
		return id
	case id.Seq == math.MaxUint64:
		return EntryID{Ms: id.Ms + 1}
	}
	return EntryID{Ms: id.Ms, Seq: id.Seq + 1}
}

// Prev returns the ID right before id, or 0-0 for 0-0.
func (id EntryID) Prev() EntryID {
	switch {
	case id.IsZero():
		return id
	case id.Seq == 0:
		return EntryID{Ms: id.Ms - 1, Seq: math.MaxUint64}
	}
	return EntryID{Ms: id.Ms, Seq: id.Seq - 1}
}

// Time returns the ID's milliseconds as a time, saturating where a
// [time.Time] could not be compared any more.
func (id EntryID) Time() time.Time {
	return time.UnixMilli(int64(min(id.Ms, math.MaxInt64)))
}
