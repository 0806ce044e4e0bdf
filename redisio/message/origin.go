package message

import "sync/atomic"

// Order says what is known of the order in which a message came.
type Order uint8

const (
	// Unordered says that the message was encoded on its way, by a shuffle for example, or
	// its reader promises nothing.
	Unordered Order = iota
	// Redelivered says that the message came straight from the reader, which delivers again what was
	// pending before its job began. Such messages come at any time.
	Redelivered
	// Ordered says that the message came straight from the reader, after everything of its stream with a
	// smaller ID that this job reads.
	Ordered
)

// Origin is what a sink that writes every entry once has to know of how a
// message was read, beside its Stream and ID. It never changes, and messages
// share it; the zero pointer stands for a message that was not read.
//
// A coder keeps the incarnation, or that it is not known, and drops the rest on
// purpose: what has been encoded may have been shuffled, and its order means
// nothing any more.
type Origin struct {
	incarnation uint64
	start       EntryID
	order       Order
	// unknown says why there is no incarnation where there should be one.
	unknown string
}

// NewOrigin returns the origin of messages that a reader emits. incarnation,
// which is not 0, tells apart streams that had the same key one after another;
// start is where the consumer group stood when the job began.
func NewOrigin(incarnation uint64, start EntryID, order Order) *Origin {
	return &Origin{incarnation: incarnation, start: start, order: order}
}

// UnknownOrigin returns the origin of messages of a consumer group of which it
// cannot be told which stream its entries are of: IDs could be those of one that
// had the same key before. reason says why.
func UnknownOrigin(reason string) *Origin { return &Origin{unknown: reason} }

// Unknown returns why a message that came from a consumer group has no
// incarnation; empty: it has one, or there was no group.
func (o *Origin) Unknown() (reason string) {
	if o == nil {
		return ""
	}
	return o.unknown
}

// Incarnation tells apart streams that had the same key one after another. It
// is 0 where it is not known.
func (o *Origin) Incarnation() uint64 {
	if o == nil {
		return 0
	}
	return o.incarnation
}

// Start is where the consumer group stood when the job began: what comes in
// order is after it, what is redelivered is at or before it.
func (o *Origin) Start() EntryID {
	if o == nil {
		return EntryID{}
	}
	return o.start
}

// Order says what is known of the message's place.
func (o *Origin) Order() Order {
	if o == nil {
		return Unordered
	}
	return o.order
}

// Equal reports whether both say the same.
func (o *Origin) Equal(other *Origin) bool {
	if o == nil || other == nil {
		return o == other
	}
	return *o == *other
}

// decoded keeps the origins that were decoded last, so that a run of messages
// from a few streams shares them.
var decoded [64]atomic.Pointer[Origin]

// decodedUnknown is the origin of a message that was encoded without an
// incarnation that it should have had. Why is not known any more.
var decodedUnknown = UnknownOrigin("the user that read it lacks a right on the stream")

// decodedOrigin is the origin of a message that was encoded.
func decodedOrigin(incarnation uint64) *Origin {
	if incarnation == 0 {
		return nil
	}
	slot := &decoded[incarnation%uint64(len(decoded))]
	if o := slot.Load(); o != nil && o.incarnation == incarnation {
		return o
	}
	o := &Origin{incarnation: incarnation}
	slot.Store(o)
	return o
}
