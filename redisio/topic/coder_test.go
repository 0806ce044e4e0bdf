package topic

import (
	"bytes"
	"encoding/hex"
	"errors"
	"math"
	"reflect"
	"testing"

	"github.com/apache/beam/sdks/v2/go/pkg/beam"
	"github.com/apache/beam/sdks/v2/go/pkg/beam/core/typex"
	"github.com/google/go-cmp/cmp"
)

var partitionType = reflect.TypeFor[Partition]()

// Encodings stand in savepoints: a layout never changes without its version.
func TestPartitionEncodingIsStable(t *testing.T) {
	tests := []struct {
		part Partition
		want string
	}{
		{Partition{}, "02000000"},
		{Partition{Stream: "orders:3", Index: 3, Count: 4}, "02060800" + hex.EncodeToString([]byte("orders:3"))},
		{Partition{Stream: "\x00\xff", Index: 200, Count: 300, Salt: 300}, "029003d804ac02" + "00ff"},
		{Partition{Stream: "x", Index: -1, Count: math.MaxInt, Salt: math.MaxUint32}, "0201feffffffffffffffff01ffffffff0f78"},
	}
	for _, tt := range tests {
		b := AppendPartition(nil, tt.part)
		if got := hex.EncodeToString(b); got != tt.want {
			t.Errorf("%+v is encoded as %s, want %s", tt.part, got, tt.want)
		}
		back, err := DecodePartition(b)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(tt.part, back); diff != "" {
			t.Errorf("after a round trip (-want +got):\n%s", diff)
		}
	}
}

func TestBadPartitionIsRefused(t *testing.T) {
	tests := map[string]string{
		"":                         `partition: cannot decode: no bytes`,
		"00":                       `partition: cannot decode: version 0; this program reads version 2: run the pipeline with the library version that wrote it`,
		"01060861":                 `partition: cannot decode: version 1; this program reads version 2: run the pipeline with the library version that wrote it`,
		"02060880":                 `partition: cannot decode: the salt is cut off or too large`,
		"020608":                   `partition: cannot decode: the salt is cut off or too large`,
		"0206088080808010":         `partition: cannot decode: the salt is cut off or too large`,
		"02":                       `partition: cannot decode: the index is cut off or too large`,
		"0280":                     `partition: cannot decode: the index is cut off or too large`,
		"0206":                     `partition: cannot decode: the count is cut off or too large`,
		"0206ffffffffffffffffff7f": `partition: cannot decode: the count is cut off or too large`,
	}
	for text, want := range tests {
		b, err := hex.DecodeString(text)
		if err != nil {
			t.Fatal(err)
		}
		part, err := DecodePartition(b)
		if err == nil {
			t.Errorf("%s is decoded as %+v", text, part)
			continue
		}
		if err.Error() != want || !errors.Is(err, ErrDecode) {
			t.Errorf("%s: error %q, want %q", text, err, want)
		}
	}
}

func FuzzDecodePartition(f *testing.F) {
	f.Add([]byte{})
	f.Add(AppendPartition(nil, Partition{Stream: "orders:3", Index: 3, Count: 4, Salt: 200}))
	f.Fuzz(func(t *testing.T, b []byte) {
		part, err := DecodePartition(b)
		if err != nil {
			if !errors.Is(err, ErrDecode) {
				t.Errorf("error %v does not wrap ErrDecode", err)
			}
			return
		}
		back, err := DecodePartition(AppendPartition(nil, part))
		if err != nil || back != part {
			t.Errorf("%+v became %+v, %v", part, back, err)
		}
	})
}

func TestBeamUsesThePartitionCoder(t *testing.T) {
	want := Partition{Stream: "a\xff", Index: 1, Count: 2, Salt: 3}
	var buf bytes.Buffer
	if err := beam.NewElementEncoder(partitionType).Encode(want, &buf); err != nil {
		t.Fatal(err)
	}
	body := AppendPartition(nil, want)
	if diff := cmp.Diff(append([]byte{byte(len(body))}, body...), buf.Bytes()); diff != "" {
		t.Errorf("what Beam wrote (-want +got):\n%s", diff)
	}
	got, err := beam.NewElementDecoder(partitionType).Decode(&buf)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(any(want), got); diff != "" {
		t.Errorf("after a round trip (-want +got):\n%s", diff)
	}
	if !beam.NewCoder(typex.New(partitionType)).IsDeterministic() {
		t.Error("Beam takes the coder for one that is not deterministic")
	}
}
