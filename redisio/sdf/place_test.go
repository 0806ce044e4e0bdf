package sdf

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"example.com/beamredis/redisio/topic"
)

// perSubtask is how many of the partitions each of p subtasks gets.
func perSubtask(parts []topic.Partition, groups, p int) []int {
	counts := make([]int, p)
	for _, part := range parts {
		counts[keyGroup(flinkKey(part), groups)*p/groups]++
	}
	return counts
}

func TestPartitionsSpreadEvenlyAtEveryParallelism(t *testing.T) {
	for _, tt := range []struct{ groups, partitions, apart int }{
		{KeyGroups, 22, 1},
		{KeyGroups, 128, 2},
		{1024, 130, 1},
	} {
		for n := 1; n <= tt.partitions; n++ {
			for p := 1; p <= 32; p++ {
				counts := make([]int, p)
				for i := range n {
					counts[wantedGroup(i, n, tt.groups)*p/tt.groups]++
				}
				if slices.Max(counts)-slices.Min(counts) > tt.apart {
					t.Errorf("%d partitions on %d subtasks with %d key groups come out %v", n, p, tt.groups, counts)
				}
			}
		}
	}
}

func TestSaltsBringPartitionsToTheWantedGroups(t *testing.T) {
	for _, groups := range []int{KeyGroups, 1000} {
		for _, n := range []int{1, 2, 7, 64, 130} {
			for i, p := range Place(topic.Topic{Name: "orders", Partitions: n}.Parts(), groups) {
				if got, want := keyGroup(flinkKey(p), groups), wantedGroup(i, n, groups); got != want {
					t.Errorf("partition %d of %d is in group %d of %d, want %d", i, n, got, groups, want)
				}
			}
		}
	}
}

// TestWithoutSaltsPartitionsCrowd shows what the salts are for; with even
// luck of the hash they could go.
func TestWithoutSaltsPartitionsCrowd(t *testing.T) {
	uneven := 0
	for n := 2; n <= 16; n++ {
		counts := perSubtask(topic.Topic{Name: "orders", Partitions: n}.Parts(), KeyGroups, n)
		if slices.Max(counts) > 1 {
			uneven++
		}
	}
	if uneven < 10 {
		t.Errorf("only %d of 15 topics are spread unevenly without salts", uneven)
	}
}

func TestPlaceChangesNothingButTheSalt(t *testing.T) {
	topics := []topic.Topic{{Name: "orders", Partitions: 7}, {Keys: []string{"eu", "us", strings.Repeat("long", 100)}}}
	for _, tp := range topics {
		placed := Place(tp.Parts(), KeyGroups)
		if diff := cmp.Diff(placed, Place(tp.Parts(), KeyGroups)); diff != "" {
			t.Errorf("placing twice differs:\n%s", diff)
		}
		for i := range placed {
			placed[i].Salt = 0
		}
		if diff := cmp.Diff(tp.Parts(), placed); diff != "" {
			t.Errorf("partitions (-want +got):\n%s", diff)
		}
	}
}

// The expected values are from a JVM: ByteBuffer.wrap(bytes).hashCode(), and
// Flink 1.19's MathUtils.murmurHash of that.
func TestHashesAreFlinks(t *testing.T) {
	for _, tt := range hashVectors {
		t.Run(fmt.Sprintf("%q", tt.bytes), func(t *testing.T) {
			if got := byteBufferHash([]byte(tt.bytes)); got != tt.hash {
				t.Errorf("hash %d, Java's is %d", got, tt.hash)
			}
			if got := murmur(tt.hash); got != tt.murmur {
				t.Errorf("murmur hash %d, Flink's is %d", got, tt.murmur)
			}
		})
	}
}

var hashVectors = []struct {
	bytes        string
	hash, murmur int32
}{
	{"", 1, 68075478},
	{"\x61", 128, 132521001},
	{"\x02\x06\x08\x00\x00", 28637027, 564319210},
	{"\xff\x80\x00\x7f", 4703009, 1893062552},
	{"\x6f\x72\x64\x65\x72\x73\x3a\x30", -715555962, 1274303680},
	{"\x02\x06\x08\x6f\x72\x64\x65\x72\x73\x3a\x33", 1994114497, 874791961},
}
