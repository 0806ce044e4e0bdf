package sdf

import (
	"errors"
	"fmt"
	"time"

	"example.com/beamredis/redisio/message"
)

// Bound is one end of a range of a topic's history. The zero value bounds
// nothing: it is the earliest entry as a range's from, the latest as its to.
type Bound struct {
	Kind BoundKind       `json:"kind,omitempty"`
	ID   message.EntryID `json:"id,omitzero"`
}

// BoundKind says what a Bound is about.
type BoundKind string

// The kinds of bounds.
const (
	BoundOpen     BoundKind = ""
	BoundEarliest BoundKind = "earliest"
	BoundLatest   BoundKind = "latest"
	BoundID       BoundKind = "id"
	BoundTime     BoundKind = "time" // ID is the first one that an entry added then can have
)

// TimeBound is the bound at t, to the millisecond.
func TimeBound(t time.Time) Bound { return Bound{BoundTime, message.FirstIDAt(t)} }

// String is the bound as a person would write it.
func (b Bound) String() string {
	switch b.Kind {
	case BoundID:
		return b.ID.String()
	case BoundTime:
		return b.ID.Time().UTC().Format(time.RFC3339Nano)
	case BoundOpen:
		return "open"
	}
	return string(b.Kind)
}

// first is the smallest ID within a range that begins here.
func (b Bound) first() message.EntryID {
	return b.ID
}

// last is the largest ID within a range that ends here: an ID is within, a time
// is not.
func (b Bound) last() message.EntryID {
	switch b.Kind {
	case BoundID:
		return b.ID
	case BoundTime:
		return b.ID.Prev()
	}
	return message.MaxID
}

// ErrBounds says that the bounds of a range exclude each other.
var ErrBounds = errors.New("bounds of the range")

// CheckBounds refuses ranges that could never hold an entry, by mistake.
func CheckBounds(from, to Bound) error {
	known := func(b Bound) error {
		switch b.Kind {
		case BoundOpen, BoundEarliest, BoundLatest, BoundID, BoundTime:
			return nil
		}
		return fmt.Errorf("%w: %q is no kind of bound", ErrBounds, b.Kind)
	}
	if err := errors.Join(known(from), known(to)); err != nil {
		return err
	}
	switch {
	case from.Kind == BoundLatest:
		return fmt.Errorf("%w: from is latest: there is nothing after it; Read reads what comes", ErrBounds)
	case to.Kind == BoundEarliest:
		return fmt.Errorf("%w: to is earliest: there is nothing before it", ErrBounds)
	case to.last().Less(from.first()):
		return fmt.Errorf("%w: from %v is after to %v", ErrBounds, from, to)
	}
	return nil
}
