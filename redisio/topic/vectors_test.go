package topic

import (
	"encoding/hex"
	"encoding/json"
	"math"
	"os"
	"testing"

	"example.com/beamredis/redisio/message"
)

// hexBytes is a string of bytes that JSON holds as hexadecimal digits.
type hexBytes string

func (h *hexBytes) UnmarshalText(text []byte) error {
	b, err := hex.DecodeString(string(text))
	*h = hexBytes(b)
	return err
}

// javaResult is what a JVM gave: the hash, and Math.abs(hash) % n for each of
// the partition counts.
type javaResult struct {
	Name       string `json:"name"`
	Hash       int32  `json:"hash"`
	Partitions []int  `json:"partitions"`
}

// javaVectors is testdata/javahash/vectors.json, written by scripts/javahash.
type javaVectors struct {
	PartitionCounts []int    `json:"partition_counts"`
	BoundaryBytes   hexBytes `json:"boundary_bytes"`
	Sweeps          []struct {
		Length int      `json:"length"`
		Suffix hexBytes `json:"suffix"`
		Digest int32    `json:"digest"`
	} `json:"sweeps"`
	Texts []struct {
		javaResult
		Bytes hexBytes `json:"bytes"`
	} `json:"texts"`
	Payloads []struct {
		javaResult
		Fields [][2]hexBytes `json:"fields"`
		JSON   hexBytes      `json:"json"`
	} `json:"payloads"`
}

func readJavaVectors(t *testing.T) javaVectors {
	t.Helper()
	text, err := os.ReadFile("../../testdata/javahash/vectors.json")
	if err != nil {
		t.Fatal(err)
	}
	var v javaVectors
	if err := json.Unmarshal(text, &v); err != nil {
		t.Fatal(err)
	}
	if len(v.Texts) < 250 || len(v.Payloads) < 20 || len(v.Sweeps) < 12 || len(v.PartitionCounts) < 5 {
		t.Fatalf("%d texts, %d payloads, %d sweeps, %d partition counts: some vectors are missing",
			len(v.Texts), len(v.Payloads), len(v.Sweeps), len(v.PartitionCounts))
	}
	return v
}

// checkPlaces compares the partitions of m with Java's, and where Java's own
// result is negative checks that ours is a partition.
func checkPlaces(t *testing.T, counts []int, want javaResult, m message.Message) {
	t.Helper()
	if len(want.Partitions) != len(counts) {
		t.Fatalf("%d partitions for %d counts", len(want.Partitions), len(counts))
	}
	for i, n := range counts {
		got := Topic{Name: "orders", Partitions: n}.PartitionOf(&m)
		java := want.Partitions[i]
		switch {
		case java < 0 && want.Hash != math.MinInt32:
			t.Errorf("Java's partition of %d is %d for hash %d", n, java, want.Hash)
		case java < 0 && (got < 0 || got >= n):
			t.Errorf("partition of %d is %d, want one in [0, %d)", n, got, n)
		case java >= 0 && got != java:
			t.Errorf("partition of %d is %d, Java's is %d", n, got, java)
		}
	}
}

func TestHashOfKeysIsJavas(t *testing.T) {
	v := readJavaVectors(t)
	for _, text := range v.Texts {
		t.Run(text.Name, func(t *testing.T) {
			if got := JavaHash(string(text.Bytes)); got != text.Hash {
				t.Errorf("JavaHash(%x) = %d, Java's is %d", string(text.Bytes), got, text.Hash)
			}
			key := string(text.Bytes)
			checkPlaces(t, v.PartitionCounts, text.javaResult, message.Message{Key: key, EmptyKey: key == ""})
		})
	}
}

func TestHashOfPayloadsIsJavas(t *testing.T) {
	v := readJavaVectors(t)
	for _, p := range v.Payloads {
		t.Run(p.Name, func(t *testing.T) {
			if got := JavaHash(string(p.JSON)); got != p.Hash {
				t.Errorf("JavaHash(%s) = %d, Java's is %d", p.JSON, got, p.Hash)
			}
			var m message.Message
			for _, f := range p.Fields {
				m.Fields = append(m.Fields, message.Field{Name: string(f[0]), Value: string(f[1])})
			}
			checkPlaces(t, v.PartitionCounts, p.javaResult, m)
			if got := hashOf(&m); got != p.Hash {
				t.Errorf("the payload hashes to %d, Java's is %d for %s", got, p.Hash, p.JSON)
			}
		})
	}
}

// A sweep covers every string of n bytes out of those where the decoding of
// UTF-8 changes its mind, about three million strings in all.
func TestHashOfEveryMalformedTextIsJavas(t *testing.T) {
	v := readJavaVectors(t)
	for _, sweep := range v.Sweeps {
		if got := sweepDigest(string(v.BoundaryBytes), sweep.Length, string(sweep.Suffix)); got != sweep.Digest {
			t.Errorf("all strings of %d bytes followed by %x: digest %d, Java's is %d",
				sweep.Length, string(sweep.Suffix), got, sweep.Digest)
		}
	}
}

// sweepDigest folds the hashes as scripts/javahash/Vectors.java does: the first
// byte varies slowest.
func sweepDigest(alphabet string, n int, suffix string) int32 {
	text := append(make([]byte, n), suffix...)
	total := 1
	for range n {
		total *= len(alphabet)
	}
	var digest int32
	for number := range total {
		rest := number
		for i := n - 1; i >= 0; i-- {
			text[i] = alphabet[rest%len(alphabet)]
			rest /= len(alphabet)
		}
		digest = 31*digest + JavaHash(string(text))
	}
	return digest
}
