package sdf

import (
	"encoding/binary"
	"math/bits"

	"example.com/beamredis/redisio/topic"
)

// KeyGroups is the number of key groups (Flink: max parallelism) that
// partitions are placed for unless something else is asked for.
const KeyGroups = 128

// Place returns parts with salts that spread them evenly over the subtasks of a
// Flink job that has so many key groups. At every parallelism up to 32, also
// after a restore at another one, two subtasks differ by at most one partition:
// with 128 groups for up to 22 partitions, with 1024 for up to 130. With 128
// groups and up to 128 partitions they differ by at most two. (All of them were
// tried.) Other runners do not care.
//
// Flink keys the state of a read by the encoded element, hashes that to a key
// group, and gives subtask s of p the groups g with g·p/groups = s. Left to the
// hash alone, 4 partitions on 2 subtasks may come out 4 and 0. A salt in the
// element moves it to the group that is wanted: the middle of the i-th of n
// equal ranges, rounded up, because Flink rounds the subtask down.
//
// Place is deterministic, because a restored job finds its state by the element.
func Place(parts []topic.Partition, groups int) []topic.Partition {
	placed := make([]topic.Partition, len(parts))
	for i, p := range parts {
		placed[i] = salted(p, groups, wantedGroup(i, len(parts), groups))
	}
	return placed
}

// wantedGroup is the key group for the i-th of n partitions.
func wantedGroup(i, n, groups int) int {
	return min(groups-1, ((2*i+1)*groups+2*n-1)/(2*n))
}

// salted gives p the smallest salt that brings it to the group; about one in
// groups does.
func salted(p topic.Partition, groups, group int) topic.Partition {
	for p.Salt = 0; ; p.Salt++ {
		if keyGroup(flinkKey(p), groups) == group {
			return p
		}
	}
}

// flinkKey is the key under which Flink keeps the state of a partition: the
// element as the runner sees it, its length in front of the bytes of our coder.
func flinkKey(p topic.Partition) []byte {
	element := topic.AppendPartition(nil, p)
	return append(binary.AppendUvarint(nil, uint64(len(element))), element...)
}

// keyGroup is the group to which Flink assigns a key:
// KeyGroupRangeAssignment.assignToKeyGroup of a ByteBuffer.
func keyGroup(key []byte, groups int) int {
	return int(murmur(byteBufferHash(key)) % int32(groups))
}

// byteBufferHash is java.nio.ByteBuffer.hashCode.
func byteBufferHash(b []byte) int32 {
	h := int32(1)
	for i := len(b) - 1; i >= 0; i-- {
		h = 31*h + int32(int8(b[i]))
	}
	return h
}

// murmur is org.apache.flink.util.MathUtils.murmurHash, which is MurmurHash3 of
// one word, made non-negative.
func murmur(code int32) int32 {
	h := uint32(code)
	h *= 0xcc9e2d51
	h = bits.RotateLeft32(h, 15)
	h *= 0x1b873593
	h = bits.RotateLeft32(h, 13)
	h = h*5 + 0xe6546b64
	h ^= 4 // the length in bytes
	h ^= h >> 16
	h *= 0x85ebca6b
	h ^= h >> 13
	h *= 0xc2b2ae35
	h ^= h >> 16
	switch n := int32(h); {
	case n >= 0:
		return n
	case n == -1<<31:
		return 0
	default:
		return -n
	}
}
