package sdf

import (
	"errors"
	"fmt"
	"sync"

	"github.com/apache/beam/sdks/v2/go/pkg/beam/core/sdf"

	"example.com/beamredis/redisio/message"
)

// RangeTracker tracks what is read of a range. It is safe for concurrent use:
// the runner asks for splits while entries are claimed.
type RangeTracker struct {
	mu   sync.Mutex
	rest RangeRestriction
	pos  message.EntryID // the last entry that was claimed, or After
	// unsplit refuses to give away a part of what is left; all of it may go.
	unsplit bool
	whole   bool // gives nothing away at all
	done    bool // nothing will be claimed any more
	err     error
}

var _ sdf.BoundableRTracker = (*RangeTracker)(nil)

// NewRangeTracker tracks r. Where ordered, splits hand over all that is left, or
// nothing: two parts would be read side by side.
func NewRangeTracker(r RangeRestriction, ordered bool) *RangeTracker {
	return &RangeTracker{rest: r, pos: r.After, unsplit: ordered, done: r.empty()}
}

// TryClaim claims the entry with the given [message.EntryID].
func (t *RangeTracker) TryClaim(pos any) bool {
	id, ok := pos.(message.EntryID)
	if !ok {
		t.mu.Lock()
		defer t.mu.Unlock()
		t.err = errors.Join(t.err, fmt.Errorf("claim of a %T, want an entry ID", pos))
		return false
	}
	return t.Claim(id)
}

// Claim is TryClaim without the boxing of the ID. It is false, and the range
// done, where the entry lies beyond it.
func (t *RangeTracker) Claim(id message.EntryID) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	switch {
	case t.done || t.err != nil:
		return false
	case !t.pos.Less(id):
		t.err = fmt.Errorf("entry %s claimed after %s: the order within the range is broken", id, t.pos)
		return false
	case t.rest.To.Less(id):
		t.done = true
		return false
	}
	t.pos = id
	return true
}

// End says that no more entries are to come: everything up to To was claimed.
func (t *RangeTracker) End() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.done = true
}

// left is what may still be claimed.
func (t *RangeTracker) left() RangeRestriction {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.done {
		return RangeRestriction{After: t.rest.To, To: t.rest.To}
	}
	return RangeRestriction{After: t.pos, To: t.rest.To}
}

// TrySplit gives away what lies behind a fraction of what is left. A range of
// which nothing is left cannot be split, nor can one that stays whole, nor an
// ordered one, except at 0, where all that is left goes.
func (t *RangeTracker) TrySplit(fraction float64) (primary, residual any, err error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	left := RangeRestriction{After: t.pos, To: t.rest.To}
	if t.done || t.err != nil || left.empty() || fraction >= 1 || fraction > 0 && t.unsplit || t.whole {
		return nil, nil, nil
	}
	at := left.at(fraction)
	residual = RangeRestriction{After: at, To: t.rest.To}
	t.rest.To = at
	t.done = !t.pos.Less(at)
	return t.rest, residual, nil
}

// GetProgress returns how much of the range was read and how much is left, as
// milliseconds of entry IDs: of entries it is an estimate, exact where they come
// at an even rate.
func (t *RangeTracker) GetProgress() (done, remaining float64) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.done {
		return idDistance(t.rest.After, t.rest.To), 0
	}
	return idDistance(t.rest.After, t.pos), idDistance(t.pos, t.rest.To)
}

// IsDone reports whether nothing is left.
func (t *RangeTracker) IsDone() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.done
}

// GetRestriction returns the restriction that is left after splits.
func (t *RangeTracker) GetRestriction() any {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.rest
}

// GetError returns the first misuse of the tracker.
func (t *RangeTracker) GetError() error {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.err
}

// IsBounded is true: a range ends.
func (t *RangeTracker) IsBounded() bool { return true }
