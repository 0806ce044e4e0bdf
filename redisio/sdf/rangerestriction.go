package sdf

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"math/bits"
	"reflect"

	"github.com/apache/beam/sdks/v2/go/pkg/beam"

	"example.com/beamredis/redisio/message"
)

func init() {
	beam.RegisterType(reflect.TypeFor[RangeRestriction]())
	beam.RegisterCoder(reflect.TypeFor[RangeRestriction](), encodeRangeRestriction, decodeRangeRestriction)
}

// RangeRestriction is what is still to be read of a [Range]: the entries after
// After, up to To. It is empty where the two are equal.
type RangeRestriction struct {
	After, To message.EntryID
}

func (r RangeRestriction) empty() bool { return !r.After.Less(r.To) }

// idDistance is how far it is from a to b, which is not before it, in
// milliseconds. The sequence numbers of a millisecond fill it evenly, all
// 2^64 of them, which tells apart where everything lies within one.
func idDistance(a, b message.EntryID) float64 {
	ms, seq := idDifference(a, b)
	return float64(ms) + float64(seq)/two64
}

const two64 = 1 << 64

// idDifference is b − a, IDs being numbers of 128 bits.
func idDifference(a, b message.EntryID) (ms, seq uint64) {
	seq, borrow := bits.Sub64(b.Seq, a.Seq, 0)
	ms, _ = bits.Sub64(b.Ms, a.Ms, borrow)
	return ms, seq
}

// at returns the ID at a fraction of the way from After to To; never To itself
// for a fraction below 1, so that something is left behind it.
func (r RangeRestriction) at(fraction float64) message.EntryID {
	ms, seq := idDifference(r.After, r.To)
	if fraction >= 1 || r.empty() {
		return r.To
	}
	way := max(0, fraction) * (float64(ms) + float64(seq)/two64)
	whole := math.Floor(way)
	partMs, partSeq := uint64(whole), uint64(math.MaxUint64)
	if part := (way - whole) * two64; part < math.MaxUint64 {
		partSeq = uint64(part)
	}
	sum, carry := bits.Add64(r.After.Seq, partSeq, 0)
	id := message.EntryID{Ms: r.After.Ms + partMs + carry, Seq: sum}
	if !id.Less(r.To) { // rounded up
		id = r.To.Prev()
	}
	return id
}

const rangeRestrictionSize = 1 + 2*16

var errRangeRestriction = errors.New("not the restriction of a range of this version")

func encodeRangeRestriction(r RangeRestriction) []byte {
	b := append(make([]byte, 0, rangeRestrictionSize), restrictionVersion)
	for _, n := range []uint64{r.After.Ms, r.After.Seq, r.To.Ms, r.To.Seq} {
		b = binary.BigEndian.AppendUint64(b, n)
	}
	return b
}

func decodeRangeRestriction(b []byte) (RangeRestriction, error) {
	if len(b) != rangeRestrictionSize || b[0] != restrictionVersion {
		return RangeRestriction{}, fmt.Errorf("%w: %d bytes (want %d of version %d); was the job restored from another release's state?",
			errRangeRestriction, len(b), rangeRestrictionSize, restrictionVersion)
	}
	n := func(i int) uint64 { return binary.BigEndian.Uint64(b[1+8*i:]) }
	return RangeRestriction{message.EntryID{Ms: n(0), Seq: n(1)}, message.EntryID{Ms: n(2), Seq: n(3)}}, nil
}
