package sdf

import (
	"encoding/binary"
	"errors"
	"fmt"
	"reflect"

	"github.com/apache/beam/sdks/v2/go/pkg/beam"

	"example.com/beamredis/redisio/message"
)

func init() {
	beam.RegisterType(reflect.TypeOf((*Restriction)(nil)).Elem())
	beam.RegisterCoder(reflect.TypeOf((*Restriction)(nil)).Elem(), encodeRestriction, decodeRestriction)
}

// NoLimit stands for a Remaining or a Deadline that does not bound the read.
const NoLimit int64 = -1

// Restriction is what a reader still has to read of a partition: everything
// after Position, up to Stop. Entries at or before Start belong to the group's
// pending entries list instead: they are delivered again if they are pending.
//
// The runner persists restrictions with its own state, so the entries after
// Start that it has not seen committed are exactly those after Position.
type Restriction struct {
	// Start is where the group stood when the job first saw the partition. It is
	// fixed once.
	Start message.EntryID
	// Position is the last claimed entry.
	Position message.EntryID
	// Stop is the last entry to read, inclusive; [message.MaxID] for a read
	// without end.
	Stop message.EntryID
	// Deadline is the worker's time in ms since the Unix epoch at which the read
	// ends, or NoLimit.
	Deadline int64
	// Remaining is how many entries may still be claimed, or NoLimit.
	Remaining int64
	// Epoch counts the times at which the stream was found replaced by another
	// one of the same key. IDs are comparable only within an epoch.
	Epoch uint32
	// Turn counts the bundles that this restriction has been through. A reader's
	// memory is only good for the turn right after the one it was left in, so
	// that a runner which goes back to an earlier state never meets it.
	Turn uint64
	// Ahead says that Position is a start that the stream had not come to yet, and
	// no entry was claimed since: it says nothing about what was read.
	Ahead bool
	// Ended says that nothing is left to read: the read is truncated or done.
	Ended bool
}

// Bounded reports whether the read ends by itself.
func (r Restriction) Bounded() bool {
	return r.Ended || r.Stop != message.MaxID || r.Deadline != NoLimit || r.Remaining != NoLimit
}

const restrictionVersion = 1

var errRestriction = errors.New("not a restriction of this version")

// encodeRestriction has a fixed width, so that checkpoints do not grow with
// time.
func encodeRestriction(r Restriction) []byte {
	b := make([]byte, 0, restrictionSize)
	b = append(b, restrictionVersion)
	for _, id := range []message.EntryID{r.Start, r.Position, r.Stop} {
		b = binary.BigEndian.AppendUint64(b, id.Ms)
		b = binary.BigEndian.AppendUint64(b, id.Seq)
	}
	b = binary.BigEndian.AppendUint64(b, uint64(r.Deadline))
	b = binary.BigEndian.AppendUint64(b, uint64(r.Remaining))
	b = binary.BigEndian.AppendUint64(b, r.Turn)
	b = binary.BigEndian.AppendUint32(b, r.Epoch)
	return append(b, flag(r.Ended, flagEnded)|flag(r.Ahead, flagAhead))
}

// Bits of a restriction's last byte.
const (
	flagEnded = 1 << iota
	flagAhead
)

func flag(set bool, bit byte) byte {
	if set {
		return bit
	}
	return 0
}

const restrictionSize = 1 + 3*16 + 3*8 + 4 + 1

func decodeRestriction(b []byte) (Restriction, error) {
	if len(b) != restrictionSize || b[0] != restrictionVersion || b[restrictionSize-1] > flagEnded|flagAhead {
		return Restriction{}, fmt.Errorf("%w: %d bytes (want %d of version %d); was the job restored from another release's state?",
			errRestriction, len(b), restrictionSize, restrictionVersion)
	}
	next := func() uint64 {
		v := binary.BigEndian.Uint64(b[1:])
		b = b[8:]
		return v
	}
	r := Restriction{}
	for _, id := range []*message.EntryID{&r.Start, &r.Position, &r.Stop} {
		id.Ms, id.Seq = next(), next()
	}
	r.Deadline, r.Remaining, r.Turn = int64(next()), int64(next()), next()
	r.Epoch = binary.BigEndian.Uint32(b[1:])
	r.Ended, r.Ahead = b[5]&flagEnded != 0, b[5]&flagAhead != 0
	return r, nil
}
