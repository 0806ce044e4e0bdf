package message

import (
	"bytes"
	"encoding/hex"
	"errors"
	"math"
	"reflect"
	"strings"
	"testing"

	"github.com/apache/beam/sdks/v2/go/pkg/beam"
	"github.com/apache/beam/sdks/v2/go/pkg/beam/core/typex"
	"github.com/google/go-cmp/cmp"
)

var order = Message{
	Stream: "orders:3",
	ID:     EntryID{Ms: 1700000000000, Seq: 7},
	Key:    "customer-17",
	Fields: []Field{{"sku", "A-1"}, {"qty", "2"}, {"sku", "B-2"}, {"", ""}, {"bin\x00\xff", "\xed\xa0\x80\n"}},
}

func TestMessageSurvivesItsCoder(t *testing.T) {
	tests := map[string]Message{
		"zero":                    {},
		"order":                   order,
		"empty key":               {EmptyKey: true},
		"key and mark":            {Key: "k", EmptyKey: true},
		"largest ID":              {ID: MaxID},
		"one empty field":         {Fields: []Field{{}}},
		"lengths of two bytes":    {Key: strings.Repeat("k", 128), Fields: []Field{{strings.Repeat("n", 127), strings.Repeat("v", 300)}}},
		"lengths of three bytes":  {Fields: []Field{{"data", strings.Repeat("v", 1<<14)}}},
		"more than a few fields":  {Fields: make([]Field, 200)},
		"binary stream and key":   {Stream: "\x00\xff", Key: "\xc3("},
		"sequence without millis": {ID: EntryID{Seq: math.MaxUint64}},
		"incarnation":             {Stream: "s", ID: EntryID{Ms: 1}, Origin: NewOrigin(math.MaxUint64, EntryID{}, Unordered)},
	}
	for name, want := range tests {
		t.Run(name, func(t *testing.T) {
			b := AppendMessage(nil, want)
			if got := messageLen(&want); got != len(b) {
				t.Errorf("messageLen gives %d, the encoding has %d bytes", got, len(b))
			}
			got, err := DecodeMessage(b)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("after a round trip (-want +got):\n%s", diff)
			}
		})
	}
}

func TestNoFieldsAreDecodedAsNil(t *testing.T) {
	for _, fields := range [][]Field{nil, {}} {
		m, err := DecodeMessage(AppendMessage(nil, Message{Fields: fields}))
		if err != nil || m.Fields != nil {
			t.Errorf("%#v became %#v, error %v", fields, m.Fields, err)
		}
	}
}

// What was encoded may have been shuffled: its order must not be trusted.
func TestACoderForgetsTheOrder(t *testing.T) {
	for _, order := range []Order{Redelivered, Ordered} {
		m := Message{Stream: "s", ID: EntryID{Ms: 2}, Origin: NewOrigin(7, EntryID{Ms: 1}, order)}
		got, err := DecodeMessage(AppendMessage(nil, m))
		if err != nil {
			t.Fatal(err)
		}
		if want := NewOrigin(7, EntryID{}, Unordered); !got.Origin.Equal(want) {
			t.Errorf("origin %+v, want %+v", got.Origin, want)
		}
	}
}

// A sink that writes once has to hear of it, wherever the message has been.
func TestAnUnknownOriginStaysUnknown(t *testing.T) {
	m := Message{Stream: "s", ID: EntryID{Ms: 2}, Origin: UnknownOrigin("NOPERM")}
	for range 2 {
		b := AppendMessage(nil, m)
		if messageLen(&m) != len(b) {
			t.Errorf("%d bytes, foretold were %d", len(b), messageLen(&m))
		}
		var err error
		if m, err = DecodeMessage(b); err != nil {
			t.Fatal(err)
		}
		if m.Origin.Unknown() == "" || m.Origin.Incarnation() != 0 || m.Origin.Order() != Unordered {
			t.Errorf("origin %+v, want an unknown one", m.Origin)
		}
	}
}

func TestAMessageMadeFromAnotherStandsForTheSameEntry(t *testing.T) {
	m := Message{Stream: "s", ID: EntryID{Ms: 2}, EmptyKey: true, Origin: NewOrigin(7, EntryID{Ms: 1}, Ordered)}
	want := Message{Stream: "s", ID: m.ID, Key: "k", Fields: []Field{{"a", "1"}}, Origin: m.Origin}
	if diff := cmp.Diff(want, m.With("k", Field{"a", "1"})); diff != "" {
		t.Errorf("message (-want +got):\n%s", diff)
	}
}

// Encodings stand in savepoints: a layout never changes without its version.
func TestEncodingIsStable(t *testing.T) {
	m := Message{
		Stream: "s", ID: EntryID{Ms: 300, Seq: 1}, EmptyKey: true,
		Fields: []Field{{"a", "12"}, {"", "\xff"}},
	}
	const body = "0101" + "ac02" + "01" + "0173" + "00" + "02" + "0161" + "023132" + "00" + "01ff"
	if got := hex.EncodeToString(AppendMessage(nil, m)); got != body {
		t.Errorf("message is encoded as %s, want %s", got, body)
	}
	read := m
	read.Origin = NewOrigin(300, EntryID{Ms: 9}, Ordered)
	const withIncarnation = "0103" + "ac02" + "01" + "ac02" + "0173" + "00" + "02" + "0161" + "023132" + "00" + "01ff"
	if got := hex.EncodeToString(AppendMessage(nil, read)); got != withIncarnation {
		t.Errorf("message that was read is encoded as %s, want %s", got, withIncarnation)
	}
	read.Origin = UnknownOrigin("NOPERM")
	withoutOne := "0105" + body[len("0101"):]
	if got := hex.EncodeToString(AppendMessage(nil, read)); got != withoutOne {
		t.Errorf("message that was read without an incarnation is encoded as %s, want %s", got, withoutOne)
	}
	d := DeadLetter{Message: m, Destination: "out", Reason: "no", Attempts: 3}
	const letter = "01" + "036f7574" + "026e6f" + "03" + body
	if got := hex.EncodeToString(AppendDeadLetter(nil, d)); got != letter {
		t.Errorf("dead letter is encoded as %s, want %s", got, letter)
	}
}

func TestAppendKeepsWhatIsThere(t *testing.T) {
	if got := AppendMessage([]byte("before"), Message{}); !bytes.HasPrefix(got, []byte("before\x01")) {
		t.Errorf("AppendMessage gives %q", got)
	}
	if got := AppendDeadLetter([]byte("before"), DeadLetter{}); !bytes.HasPrefix(got, []byte("before\x01")) {
		t.Errorf("AppendDeadLetter gives %q", got)
	}
}

func TestDeadLetterSurvivesItsCoder(t *testing.T) {
	tests := map[string]DeadLetter{
		"zero":              {},
		"order":             {Message: order, Destination: "out:1", Reason: "WRONGTYPE \xff", Attempts: 4},
		"negative attempts": {Attempts: -1},
		"most attempts":     {Attempts: math.MaxInt64},
	}
	for name, want := range tests {
		t.Run(name, func(t *testing.T) {
			got, err := DecodeDeadLetter(AppendDeadLetter(nil, want))
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("after a round trip (-want +got):\n%s", diff)
			}
		})
	}
}

func TestBadMessageIsRefused(t *testing.T) {
	const update = "this program reads version 1: run the pipeline with the library version that wrote it"
	tests := map[string]string{
		"":                                     "version byte is missing",
		"00":                                   "version 0; " + update,
		"02000000000000":                       "version 2; " + update,
		"01":                                   "flags byte is missing",
		"0108":                                 "flags 0x8 are not known",
		"01060000":                             "the incarnation is marked as known and as not known",
		"01020101" + "00":                      "the incarnation is marked as known, and 0",
		"0100":                                 "milliseconds of the ID is not a number in its shortest form, or is cut off",
		"010080":                               "milliseconds of the ID is not a number in its shortest form, or is cut off",
		"01008000":                             "milliseconds of the ID is not a number in its shortest form, or is cut off",
		"0100ffffffffffffffffff02":             "milliseconds of the ID is not a number in its shortest form, or is cut off",
		"0100ffffffffffffffffff8100":           "milliseconds of the ID is not a number in its shortest form, or is cut off",
		"010000":                               "sequence of the ID is not a number in its shortest form, or is cut off",
		"01000000":                             "stream is not a number in its shortest form, or is cut off",
		"0100000005":                           "stream needs 5 bytes, 0 are left",
		"01000000ffffffffffffffffff01":         "stream needs 18446744073709551615 bytes, 0 are left",
		"01000000000261":                       "key needs 2 bytes, 1 are left",
		"010000000000":                         "number of fields is not a number in its shortest form, or is cut off",
		"01000000000001":                       "1 fields do not fit into 0 bytes",
		"0100000000000200":                     "2 fields do not fit into 1 bytes",
		"0100000000000100":                     "1 fields do not fit into 1 bytes",
		"010000000000010161":                   "value of a field is not a number in its shortest form, or is cut off",
		"0100000000000000":                     "1 bytes follow the last field",
		"010000000000ffffffffffffffffff010000": "18446744073709551615 fields do not fit into 2 bytes",
	}
	for text, want := range tests {
		b, err := hex.DecodeString(text)
		if err != nil {
			t.Fatal(err)
		}
		m, err := DecodeMessage(b)
		if err == nil {
			t.Errorf("%s is decoded as %+v", text, m)
			continue
		}
		if want := "message: cannot decode: " + want; err.Error() != want || !errors.Is(err, ErrDecode) {
			t.Errorf("%s: error %q, want %q", text, err, want)
		}
	}
}

func TestEveryCutOffEncodingIsRefused(t *testing.T) {
	b := AppendDeadLetter(nil, DeadLetter{Message: order, Destination: "out:1", Reason: "too large", Attempts: 1})
	for n := range b {
		if d, err := DecodeDeadLetter(b[:n]); !errors.Is(err, ErrDecode) {
			t.Errorf("the first %d of %d bytes are decoded as %+v, error %v", n, len(b), d, err)
		}
	}
	if _, err := DecodeDeadLetter(append(b, 0)); !errors.Is(err, ErrDecode) {
		t.Errorf("a byte too many: error %v", err)
	}
}

// The string and the slice of fields are all that decoding may allocate.
func TestDecodingAllocatesTwice(t *testing.T) {
	for _, n := range []int{1, 10, 1000} {
		b := AppendMessage(nil, Message{Stream: "orders:1", Key: "k", Fields: make([]Field, n)})
		allocs := testing.AllocsPerRun(100, func() {
			if _, err := DecodeMessage(b); err != nil {
				t.Fatal(err)
			}
		})
		if allocs > 2 {
			t.Errorf("decoding %d fields allocates %v times", n, allocs)
		}
	}
}

func TestDecodedMessageDoesNotFollowItsInput(t *testing.T) {
	b := AppendMessage(nil, order)
	got, err := DecodeMessage(b)
	if err != nil {
		t.Fatal(err)
	}
	clear(b)
	if diff := cmp.Diff(order, got); diff != "" {
		t.Errorf("after the input was overwritten (-want +got):\n%s", diff)
	}
}

func TestBeamUsesTheCoders(t *testing.T) {
	letter := DeadLetter{Message: order, Destination: "out", Reason: "no", Attempts: 2}
	tests := []struct {
		value any
		body  []byte
	}{
		{order, AppendMessage(nil, order)},
		{letter, AppendDeadLetter(nil, letter)},
	}
	for _, tt := range tests {
		typ := reflect.TypeOf(tt.value)
		t.Run(typ.String(), func(t *testing.T) {
			var buf bytes.Buffer
			if err := beam.NewElementEncoder(typ).Encode(tt.value, &buf); err != nil {
				t.Fatal(err)
			}
			if !bytes.HasSuffix(buf.Bytes(), tt.body) {
				t.Errorf("Beam wrote %x, want it to end in %x", buf.Bytes(), tt.body)
			}
			got, err := beam.NewElementDecoder(typ).Decode(&buf)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tt.value, got); diff != "" {
				t.Errorf("after a round trip (-want +got):\n%s", diff)
			}
			if !beam.NewCoder(typex.New(typ)).IsDeterministic() {
				t.Error("Beam takes the coder for one that is not deterministic")
			}
		})
	}
}
