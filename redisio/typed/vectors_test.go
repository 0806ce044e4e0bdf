package typed

import (
	"encoding/hex"
	"encoding/json"
	"os"
	"reflect"
	"testing"

	"github.com/apache/beam/sdks/v2/go/pkg/beam"
	"github.com/google/go-cmp/cmp"

	"example.com/beamredis/redisio/message"
	"example.com/beamredis/redisio/topic"
)

// javaOrder is the record of scripts/javahash/Vectors.java.
type javaOrder struct {
	ID   string  `json:"id"`
	N    int     `json:"n"`
	Paid bool    `json:"paid"`
	Note *string `json:"note"`
}

// javaVectors is testdata/javahash/vectors.json, written by scripts/javahash.
type javaVectors struct {
	PartitionCounts []int `json:"partition_counts"`
	Values          []struct {
		Name string
		javaOrder
		JSON       string
		Partitions []int
	}
	Differences []struct{ Name, JSON string }
}

func readJavaVectors(t *testing.T) (v javaVectors) {
	t.Helper()
	text, err := os.ReadFile("../../testdata/javahash/vectors.json")
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(text, &v); err != nil {
		t.Fatal(err)
	}
	return v
}

// What is written here for a value without a key is what Jackson writes, byte
// for byte, and in the partition that a JVM found.
func TestValuesAreWrittenAsJavaWritesThem(t *testing.T) {
	vectors := readJavaVectors(t)
	if len(vectors.Values) < 8 {
		t.Fatalf("%d values: some are missing", len(vectors.Values))
	}
	for _, v := range vectors.Values {
		t.Run(v.Name, func(t *testing.T) {
			order := v.javaOrder
			order.ID = unhex(t, order.ID)
			if order.Note != nil {
				note := unhex(t, *order.Note)
				order.Note = &note
			}
			var written message.Message
			if err := (&EncodeFn{}).ProcessElement(order, func(m message.Message) { written = m }, nil); err != nil {
				t.Fatal(err)
			}
			if got, _ := written.Get("data"); got != unhex(t, v.JSON) {
				t.Errorf("written %s, Jackson writes %s", got, unhex(t, v.JSON))
			}
			for i, n := range vectors.PartitionCounts {
				if got := (topic.Topic{Name: "t", Partitions: n}).PartitionOf(&written); got != v.Partitions[i] {
					t.Errorf("partition of %d is %d, Java's is %d", n, got, v.Partitions[i])
				}
			}
			var back javaOrder
			fn := &DecodeFn{Type: beam.EncodedType{T: reflect.TypeFor[javaOrder]()}}
			fn.Setup()
			if err := fn.ProcessElement(message.Message{Fields: []message.Field{{Name: "data", Value: unhex(t, v.JSON)}}},
				func(x beam.X) { back = x.(javaOrder) }, nil); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(order, back); diff != "" {
				t.Errorf("read back (-want +got):\n%s", diff)
			}
		})
	}
}

// docs/documents.md names these: without a key such values may be placed
// otherwise than by a Java program.
func TestWhereJacksonWritesOtherwiseIsKnown(t *testing.T) {
	known := map[string]struct {
		value            any
		written, jackson string
	}{
		"a whole double":  {3.0, "3", "3.0"},
		"a large double":  {1e7, "10000000", "1.0E7"},
		"line separators": {"\u2028\u2029", `"\u2028\u2029"`, "\"\u2028\u2029\""},
		"a control character with a letter in its number": {"\x1f", `"\u001f"`, `"\u001F"`},
	}
	vectors := readJavaVectors(t)
	if len(vectors.Differences) != len(known) {
		t.Errorf("%d differences, want %d", len(vectors.Differences), len(known))
	}
	for _, d := range vectors.Differences {
		want, ok := known[d.Name]
		if got := unhex(t, d.JSON); !ok || got != want.jackson {
			t.Errorf("%s: Jackson writes %s, want %s", d.Name, got, want.jackson)
		}
		if got, err := new(JSONText).Of(want.value); err != nil || got != want.written {
			t.Errorf("%s: %s is written (%v), want %s", d.Name, got, err, want.written)
		}
	}
}

func unhex(t *testing.T, text string) string {
	t.Helper()
	b, err := hex.DecodeString(text)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}
