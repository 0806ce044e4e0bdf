package redisio

import (
	"encoding/hex"
	"encoding/json"
	"fmt"
	"os"
	"reflect"
	"testing"

	"github.com/apache/beam/sdks/v2/go/pkg/beam"
	"github.com/apache/beam/sdks/v2/go/pkg/beam/register"
	"github.com/apache/beam/sdks/v2/go/pkg/beam/runners/direct" //nolint:staticcheck // deprecated, and still in use
	"github.com/google/go-cmp/cmp"

	"example.com/beamredis/redisio/internal/redistest"
)

func init() {
	beam.RegisterType(reflect.TypeFor[javaOrder]())
	register.Function1x1(javaOrderKey)
}

// javaOrder is the record of scripts/javahash/Vectors.java.
type javaOrder struct {
	ID   string  `json:"id"`
	N    int     `json:"n"`
	Paid bool    `json:"paid"`
	Note *string `json:"note"`
}

func javaOrderKey(o javaOrder) string { return "key of " + o.ID }

// javaValues are the orders of the vectors,
// with what Jackson writes for each and the partition of four that a JVM found.
func javaValues(t *testing.T) (orders []javaOrder, texts []string, partitions []int) {
	t.Helper()
	file, err := os.ReadFile("../testdata/javahash/vectors.json")
	if err != nil {
		t.Fatal(err)
	}
	var vectors struct {
		PartitionCounts []int `json:"partition_counts"`
		Values          []struct {
			JSON       hexText
			Partitions []int
		}
	}
	if err := json.Unmarshal(file, &vectors); err != nil {
		t.Fatal(err)
	}
	const four = 3 // its place among the counts
	if len(vectors.Values) < 8 || vectors.PartitionCounts[four] != 4 {
		t.Fatalf("%d values, counts %v", len(vectors.Values), vectors.PartitionCounts)
	}
	for _, v := range vectors.Values {
		var o javaOrder
		if err := json.Unmarshal([]byte(v.JSON), &o); err != nil {
			t.Fatal(err)
		}
		orders, texts, partitions = append(orders, o), append(texts, string(v.JSON)), append(partitions, v.Partitions[four])
	}
	return orders, texts, partitions
}

// hexText is text that JSON holds as hexadecimal digits.
type hexText string

func (h *hexText) UnmarshalText(text []byte) error {
	b, err := hex.DecodeString(string(text))
	*h = hexText(b)
	return err
}

// A Java program finds the fields that it writes itself, in the streams where
// it would have put them.
func TestEntriesOfValuesHaveJavasLayoutAndPlace(t *testing.T) {
	orders, texts, partitions := javaValues(t)
	for name, tc := range map[string]struct {
		opts []WriteOption
		want func(i int) (stream string, fields []any)
	}{
		"without a key": {nil, func(i int) (string, []any) {
			return fmt.Sprint("out:", partitions[i]), []any{"data", texts[i]}
		}},
		"with a key": {[]WriteOption{WithKey(javaOrderKey)}, func(i int) (string, []any) {
			key := javaOrderKey(orders[i])
			p := Topic{Name: "out", Partitions: 4}.PartitionOf(&Message{Key: key})
			return fmt.Sprint("out:", p), []any{"_key", key, "data", texts[i]}
		}},
	} {
		t.Run(name, func(t *testing.T) {
			s := redistest.Start(t)
			p, root := beam.NewPipelineWithRoot()
			WriteValues(root, s.Config(), Topic{Name: "out", Partitions: 4}, beam.CreateList(root, orders), tc.opts...)
			if _, err := direct.Execute(t.Context(), p); err != nil {
				t.Fatal(err)
			}
			want, got := map[string][]any{}, map[string][]any{}
			for i := range orders {
				stream, fields := tc.want(i)
				want[stream] = append(want[stream], fields)
			}
			for stream := range want {
				reply, err := s.Client().Do(t.Context(), "XRANGE", stream, "-", "+").Slice()
				if err != nil {
					t.Fatal(err)
				}
				for _, e := range reply {
					got[stream] = append(got[stream], e.([]any)[1])
				}
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("fields of the entries (-want +got):\n%s", diff)
			}
		})
	}
}
