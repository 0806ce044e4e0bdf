package typed

import (
	"fmt"
	"io"
	"math"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"example.com/beamredis/redisio/message"
)

type reading struct {
	Value  float64
	Sensor *sensor
	Raw    []byte
	Tags   map[string]any
	At     time.Time
	seen   []int
}

type sensor struct {
	Name string
	Next *sensor
}

func unreadable() reading {
	return reading{
		Value: math.NaN(), Sensor: &sensor{Name: "cellar"}, Raw: []byte{0xff}, Tags: map[string]any{"b": nil, "a": netip.MustParseAddr("::1")},
		At: time.Unix(7, 0).UTC(), seen: []int{1, 2},
	}
}

const unreadableText = `{Value:NaN Sensor:{Name:cellar Next:<nil>} Raw:"\xff" Tags:map[a:::1 b:<nil>] At:1970-01-01 00:00:07 +0000 UTC seen:[1 2]}`

// The bundle succeeds and its source is acknowledged: what the letter does not
// hold is gone.
func TestTheDeadLetterOfAValueHoldsIt(t *testing.T) {
	for name, tc := range map[string]struct {
		key  message.Message
		want message.DeadLetter
	}{
		"without a key": {message.Message{}, message.DeadLetter{}},
		"with a key":    {keyed("k"), message.DeadLetter{Message: keyed("k")}},
	} {
		t.Run(name, func(t *testing.T) {
			var got []message.DeadLetter
			fn := &EncodeFn{CollectFailed: true}
			if err := fn.encode(tc.key, unreadable(), nil, func(d message.DeadLetter) { got = append(got, d) }); err != nil {
				t.Fatal(err)
			}
			tc.want.Message.Fields = []message.Field{{Name: "element", Value: unreadableText}}
			tc.want.Reason = "serialize: json: unsupported value: NaN"
			if diff := cmp.Diff([]message.DeadLetter{tc.want}, got, cmp.Comparer(func(a, b message.EntryID) bool { return a == b })); diff != "" {
				t.Errorf("dead letters (-want +got):\n%s", diff)
			}
		})
	}
}

func TestAValueThatNobodySetsAsideIsNamedInTheError(t *testing.T) {
	err := (&EncodeFn{}).encode(keyed("k"), unreadable(), nil, nil)
	if err == nil {
		t.Fatal("no error")
	}
	for _, part := range []string{unreadableText[:64], "typed.reading", `with key "k": serialize: json: unsupported value: NaN`, "Failed"} {
		if !strings.Contains(err.Error(), part) {
			t.Errorf("error %q does not say %q", err, part)
		}
	}
	if strings.Contains(err.Error(), "seen:") || strings.Contains(err.Error(), "\n") {
		t.Errorf("error %q is too long", err)
	}
}

// secretive shows itself in a way of its own.
type secretive struct{ Token string }

// Format hides the token.
func (secretive) Format(s fmt.State, _ rune) { _, _ = io.WriteString(s, "(hidden)") }

func TestATypeThatFormatsItselfIsShownAsItWantsToBe(t *testing.T) {
	element := struct {
		Reading float64
		Of      *secretive
	}{math.NaN(), &secretive{Token: "s3cret"}}
	if got := Describe(element)[0].Value; got != "{Reading:NaN Of:(hidden)}" {
		t.Errorf("it is shown as %s", got)
	}
}

// What encoding/json refuses may be endless, and large.
func TestWhatIsShownOfAnElementHasAnEnd(t *testing.T) {
	ring := &sensor{Name: "ring"}
	ring.Next = ring
	self := map[string]any{}
	self["self"] = self
	type pointer *pointer
	var p pointer
	p = &p
	for name, element := range map[string]any{
		"a ring": ring, "a map in itself": self, "a pointer to itself": p, "large": strings.Repeat("ü", 1<<20), "many": make([]sensor, 1<<20), "nothing": nil,
	} {
		t.Run(name, func(t *testing.T) {
			text := Describe(element)[0].Value
			if len(text) == 0 || len(text) > mostDescribed+64 {
				t.Errorf("%d bytes: %.100s", len(text), text)
			}
			if cut := fmt.Sprintf("... (cut at %d bytes)", mostDescribed); strings.HasSuffix(text, cut) != (name == "large" || name == "many") {
				t.Errorf("ends with %q", text[max(0, len(text)-40):])
			}
		})
	}
}
