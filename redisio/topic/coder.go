package topic

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"reflect"

	"github.com/apache/beam/sdks/v2/go/pkg/beam"
	"github.com/apache/beam/sdks/v2/go/pkg/beam/core/graph/coder"
	"github.com/apache/beam/sdks/v2/go/pkg/beam/register"
)

// ErrDecode is wrapped by the errors of [DecodePartition]: the bytes are not
// what this package's coder writes.
var ErrDecode = errors.New("cannot decode")

// partitionVersion is the first byte of an encoding. It changes when the layout
// does, so that state written by another version is refused rather than misread.
const partitionVersion = 2

// The coder is deterministic because a runner keys the state of a reader by its
// encoded element: two encodings of one partition would be two readers.
func init() {
	register.Function1x1(encodePartition)
	register.Function1x2(DecodePartition)
	beam.RegisterType(reflect.TypeFor[Partition]())
	coder.RegisterDeterministicCoder(reflect.TypeFor[Partition](), encodePartition, DecodePartition)
}

// AppendPartition appends the binary form of p to dst. It is deterministic.
//
// Layout, version 2: version byte, Index and Count as zig-zag varints, Salt as a
// varint, then Stream up to the end. Version 1 had no Salt.
func AppendPartition(dst []byte, p Partition) []byte {
	dst = append(dst, partitionVersion)
	dst = binary.AppendVarint(dst, int64(p.Index))
	dst = binary.AppendVarint(dst, int64(p.Count))
	dst = binary.AppendUvarint(dst, uint64(p.Salt))
	return append(dst, p.Stream...)
}

func encodePartition(p Partition) []byte {
	return AppendPartition(make([]byte, 0, 1+2*binary.MaxVarintLen64+binary.MaxVarintLen32+len(p.Stream)), p)
}

// DecodePartition reads what [AppendPartition] wrote; b must hold nothing else.
// It shares no memory with b. Errors wrap [ErrDecode].
func DecodePartition(b []byte) (Partition, error) {
	if len(b) == 0 {
		return Partition{}, fmt.Errorf("partition: %w: no bytes", ErrDecode)
	}
	if b[0] != partitionVersion {
		return Partition{}, fmt.Errorf("partition: %w: version %d; this program reads version %d: run the pipeline with the library version that wrote it",
			ErrDecode, b[0], partitionVersion)
	}
	index, n := binary.Varint(b[1:])
	if n <= 0 {
		return Partition{}, fmt.Errorf("partition: %w: the index is cut off or too large", ErrDecode)
	}
	rest := b[1+n:]
	count, n := binary.Varint(rest)
	if n <= 0 {
		return Partition{}, fmt.Errorf("partition: %w: the count is cut off or too large", ErrDecode)
	}
	rest = rest[n:]
	salt, n := binary.Uvarint(rest)
	if n <= 0 || salt > math.MaxUint32 {
		return Partition{}, fmt.Errorf("partition: %w: the salt is cut off or too large", ErrDecode)
	}
	return Partition{Stream: string(rest[n:]), Index: int(index), Count: int(count), Salt: uint32(salt)}, nil
}
