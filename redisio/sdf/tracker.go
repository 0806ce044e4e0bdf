package sdf

import (
	"errors"
	"fmt"
	"sync"

	"github.com/apache/beam/sdks/v2/go/pkg/beam/core/sdf"

	"example.com/beamredis/redisio/message"
)

// Tracker tracks the restriction of one partition. It is safe for concurrent
// use: the runner asks for splits while entries are claimed.
type Tracker struct {
	mu   sync.Mutex
	rest Restriction
	// done: nothing will be claimed any more, because the read has ended or
	// because the rest was split off.
	done    bool
	split   bool // done because the rest was split off: a residual goes on
	err     error
	claimed float64
	backlog float64
}

var _ sdf.BoundableRTracker = (*Tracker)(nil)

// NewTracker tracks r.
func NewTracker(r Restriction) *Tracker { return &Tracker{rest: r, done: r.Ended} }

// TryClaim claims the entry with the given [message.EntryID]. It is false, and
// the read has ended, when the entry lies beyond what may be read.
func (t *Tracker) TryClaim(pos any) bool {
	id, ok := pos.(message.EntryID)
	if !ok {
		t.fail(fmt.Errorf("claim of a %T, want an entry ID", pos))
		return false
	}
	return t.Claim(id)
}

// Claim is TryClaim without the boxing of the ID.
func (t *Tracker) Claim(id message.EntryID) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	switch {
	case t.done || t.err != nil:
		return false
	case !t.rest.Position.Less(id):
		t.err = fmt.Errorf("entry %s claimed after %s: order within the partition is broken", id, t.rest.Position)
		return false
	case t.rest.Stop.Less(id) || t.rest.Remaining == 0:
		return false
	}
	t.rest.Position, t.rest.Ahead = id, false
	t.claimed++
	if t.rest.Remaining > 0 {
		t.rest.Remaining--
	}
	return true
}

// Pass moves the position to id without reading: what lies between is read by
// nobody.
func (t *Tracker) Pass(id message.EntryID) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if !t.done && t.rest.Position.Less(id) {
		t.rest.Position, t.rest.Ahead = id, false
	}
}

// Replace starts a new epoch of the stream, in which everything after pos is
// new.
func (t *Tracker) Replace(start, pos message.EntryID) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if !t.done {
		t.rest.Epoch++
		t.rest.Start, t.rest.Position, t.rest.Ahead = start, pos, false
	}
}

// End says that everything has been read that ever will be.
func (t *Tracker) End() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.done, t.rest.Ended = true, true
}

// Restriction returns the current restriction.
func (t *Tracker) Restriction() Restriction {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.rest
}

// GetRestriction returns the current restriction.
func (t *Tracker) GetRestriction() any { return t.Restriction() }

// TrySplit splits off all that is left at fraction 0, a checkpoint. Every
// other split is refused: the residual of one would run beside its primary and
// break the order of the partition.
func (t *Tracker) TrySplit(fraction float64) (primary, residual any, err error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if fraction > 0 || t.done {
		return nil, nil, nil
	}
	rest := t.rest
	rest.Turn++
	t.done, t.split, t.rest.Ended = true, true, true
	return t.rest, rest, nil
}

// splitOff reports whether the runner has taken what is left, so that the end
// of this restriction is not the end of the read.
func (t *Tracker) splitOff() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.split
}

// GetError returns the first misuse of the tracker.
func (t *Tracker) GetError() error {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.err
}

// Fail makes the bundle fail with err.
func (t *Tracker) fail(err error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.err = errors.Join(t.err, err)
}

// SetBacklog tells how many bytes are still to be read, for progress reports.
func (t *Tracker) SetBacklog(entries float64) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.backlog = entries
}

// GetProgress returns the number of entries claimed in this bundle and the
// number of entries known to be left.
func (t *Tracker) GetProgress() (done, remaining float64) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.done {
		return t.claimed, 0
	}
	return t.claimed, t.backlog
}

// IsDone reports whether nothing is left: the read has ended, or the rest was
// split off.
func (t *Tracker) IsDone() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.done
}

// IsBounded reports whether the read ends by itself.
func (t *Tracker) IsBounded() bool { return t.Restriction().Bounded() }
