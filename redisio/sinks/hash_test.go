package sinks

import (
	"errors"
	"fmt"
	"math"
	"math/big"
	"net/netip"
	"os"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"example.com/beamredis/redisio/message"
)

type (
	text   string
	point  struct{ X, Y int }
	inner  struct{ City, Zip string }
	Named  struct{ Label string }
	lower  struct{ Seen bool }
	Linked struct {
		*Linked
		Value int
	}
	// spelled marshals itself, by a pointer only.
	spelled struct{ n int }
)

func (s *spelled) MarshalText() ([]byte, error) {
	if s.n < 0 {
		return nil, errors.New("below zero")
	}
	return []byte(fmt.Sprint("number ", s.n)), nil
}

func ref[T any](v T) *T { return &v }

// hashRows are the rows of the table in docs/documents.md: what is told there
// is what happens here.
var hashRows = []struct {
	row  string // as it begins in the table
	elem any    // a struct, whose fields show the row
	want map[string]string
}{
	{"string", struct {
		A string
		B text
	}{"a <b>", "\xff"}, map[string]string{"A": "a <b>", "B": "\xff"}},
	{"bool", struct{ A, B bool }{true, false}, map[string]string{"A": "true", "B": "false"}},
	{"int…, uint…", struct {
		A int8
		B uint64
		C time.Duration
	}{-7, math.MaxUint64, time.Second}, map[string]string{"A": "-7", "B": "18446744073709551615", "C": "1000000000"}},
	{"float32, float64", struct {
		A          float32
		B, C, D, E float64
	}{0.1, 1e20, 1e21, 1e-7, math.Inf(-1)}, map[string]string{"A": "0.1", "B": "100000000000000000000", "C": "1e+21", "D": "1e-07", "E": "-Inf"}},
	{"time.Time", struct{ A time.Time }{time.Date(2026, 1, 2, 3, 4, 5, 600, time.FixedZone("", 3600))}, map[string]string{"A": "2026-01-02T03:04:05.0000006+01:00"}},
	{"[]byte", struct{ A, B, C []byte }{[]byte("\x00\xff"), []byte{}, nil}, map[string]string{"A": "\x00\xff", "B": ""}},
	{"encoding.TextMarshaler", struct {
		A netip.Addr
		B *big.Int
		C spelled
	}{netip.MustParseAddr("::1"), big.NewInt(5), spelled{3}}, map[string]string{"A": "::1", "B": "5", "C": "number 3"}},
	{"pointer", struct {
		A *int
		B **string
		C *time.Time
	}{ref(5), ref(ref("x")), nil}, map[string]string{"A": "5", "B": "x"}},
	{"interface", struct{ A, B, C any }{int8(5), inner{"a", "b"}, nil}, map[string]string{"A": "5", "B": `{"City":"a","Zip":"b"}`}},
	{"struct, array, slice, map", struct {
		A inner
		B [2]int
		C []string
		D map[string]int
		E []string
		F map[string]int
	}{inner{"<a>", "b"}, [2]int{1, 2}, []string{"x"}, map[string]int{"b": 2, "a": 1}, nil, nil},
		map[string]string{"A": `{"City":"<a>","Zip":"b"}`, "B": "[1,2]", "C": `["x"]`, "D": `{"a":1,"b":2}`}},
	{"embedded struct", struct {
		inner
		*Named
		lower
		Zip string
	}{inner{"a", "hidden"}, &Named{"l"}, lower{true}, "shown"}, map[string]string{"City": "a", "Zip": "shown", "Label": "l", "Seen": "true"}},
	{"embedded struct with a name", struct {
		Named `redis:"n"`
	}{Named{"l"}}, map[string]string{"n": `{"Label":"l"}`}},
	{"unexported field", struct {
		A int
		b int
	}{1, 2}, map[string]string{"A": "1"}},
	{`redis:"name"`, struct {
		A int `redis:"a" json:"x"`
		B int `json:"b"`
		C int `redis:",omitempty" json:"c"`
		D int
	}{1, 2, 3, 4}, map[string]string{"a": "1", "b": "2", "c": "3", "D": "4"}},
	{`redis:"-"`, struct {
		A int `redis:"-"`
		B int `json:"-"`
		C int `redis:"c" json:"-"`
		D int
	}{1, 2, 3, 4}, map[string]string{"c": "3", "D": "4"}},
	{"omitempty", struct {
		A int      `redis:"a,omitempty"`
		B string   `json:"b,omitempty"`
		C []string `redis:",omitempty"`
		D *int     `redis:",omitempty"`
		E point    `redis:",omitempty"`
		F int
	}{C: []string{}}, map[string]string{"E": `{"X":0,"Y":0}`, "F": "0"}},
	{"omitzero", struct {
		A time.Time `redis:",omitzero"`
		B point     `json:"b,omitzero"`
		C int       `redis:",omitzero"`
		D *point    `redis:",omitzero"`
		F int
	}{}, map[string]string{"F": "0"}},
}

func fieldMap(fields []message.Field) map[string]string {
	m := map[string]string{}
	for _, f := range fields {
		m[f.Name] = f.Value
	}
	return m
}

func TestStructsBecomeFieldsAsTheTableSays(t *testing.T) {
	table, err := os.ReadFile("../../docs/documents.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, tc := range hashRows {
		t.Run(tc.row, func(t *testing.T) {
			if !strings.Contains(string(table), "\n| "+tc.row) && !strings.Contains(string(table), "\n| `"+tc.row) {
				t.Error("docs/documents.md has no such row")
			}
			fields, err := flatten(tc.elem)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tc.want, fieldMap(fields)); diff != "" || len(fields) != len(tc.want) {
				t.Errorf("fields (-want +got):\n%s", diff)
			}
		})
	}
}

func TestFieldsComeInTheOrderOfTheStruct(t *testing.T) {
	for _, elem := range []any{point{1, 2}, &point{1, 2}, ref(&point{1, 2})} {
		fields, err := flatten(elem)
		if want := []message.Field{{Name: "X", Value: "1"}, {Name: "Y", Value: "2"}}; err != nil || !cmp.Equal(want, fields) {
			t.Errorf("%T: %v, %v, want %v", elem, fields, err, want)
		}
	}
}

func TestAStructThatEmbedsItselfHasItsOwnFields(t *testing.T) {
	fields, err := flatten(Linked{&Linked{nil, 2}, 1})
	if want := []message.Field{{Name: "Value", Value: "1"}}; err != nil || !cmp.Equal(want, fields) {
		t.Errorf("%v, %v, want %v", fields, err, want)
	}
}

// sameName has two fields of one name.
type sameName struct {
	A int `redis:"a"`
	B int `json:"a"`
}

// sameDepth has one by each of two structs that it embeds.
type sameDepth struct {
	inner
	Address
}

func TestTypesThatNoHashCanBeMadeOfAreRefused(t *testing.T) {
	for _, tc := range []struct {
		elem any
		want string
	}{
		{"text", "string has no fields"},
		{time.Time{}, "time.Time has no fields"},
		{map[string]int{}, "map[string]int has no fields"},
		{struct{ a int }{1}, "none of its fields is exported"},
		{struct{ A chan int }{}, "field A: a chan cannot be written"},
		{struct{ B *func() }{}, "field B: a func cannot be written"},
		{struct{ A, B complex128 }{}, "field A: a complex128 cannot be written\nfield B:"},
		{sameName{}, `two fields are called "a"`},
		{sameDepth{}, `two fields are called "Zip"`},
	} {
		if err := CheckHashType(reflect.TypeOf(tc.elem)); err == nil || !strings.Contains(err.Error(), tc.want) {
			t.Errorf("%T: error %v, want %q", tc.elem, err, tc.want)
		}
	}
	for _, fine := range []any{message.Message{}, map[string]string{}, point{}, &point{}} {
		if err := CheckHashType(reflect.TypeOf(fine)); err != nil {
			t.Errorf("%T: %v", fine, err)
		}
	}
}

// Address embeds what inner has as well.
type Address struct{ Zip string }

func TestValuesThatCannotBeWrittenNameTheirField(t *testing.T) {
	for want, elem := range map[string]any{
		"nil pointer":                       (*point)(nil),
		"field A: below zero":               struct{ A spelled }{spelled{-1}},
		"field A: a chan cannot be written": struct{ A any }{make(chan int)},
		"field A: json: unsupported value":  struct{ A []float64 }{[]float64{math.NaN()}},
	} {
		if _, err := flatten(elem); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("error %v, want %q", err, want)
		}
	}
}

type benchOrder struct {
	ID       string    `redis:"id"`
	Customer int       `redis:"customer"`
	Total    float64   `redis:"total"`
	Item     string    `redis:"item,omitempty"`
	Paid     bool      `redis:"paid"`
	At       time.Time `redis:"at"`
}

// A struct's fields cost the slice and a string for each that is not one.
func TestFlatteningLooksAtNoTags(t *testing.T) {
	var o any = benchOrder{"1", 5, 2.5, "cup", true, time.UnixMilli(0)}
	if allocs := testing.AllocsPerRun(100, func() { _, _ = flatten(o) }); allocs > 5 {
		t.Errorf("%v allocations, want at most 5", allocs)
	}
}

func BenchmarkFlatten(b *testing.B) {
	var o any = benchOrder{"1", 5000, 2.5, "cup", true, time.UnixMilli(0)}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := flatten(o); err != nil {
			b.Fatal(err)
		}
	}
}
