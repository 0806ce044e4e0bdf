package sdf

import (
	"errors"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/apache/beam/sdks/v2/go/pkg/beam"
	"github.com/apache/beam/sdks/v2/go/pkg/beam/core/graph/mtime"
	"github.com/apache/beam/sdks/v2/go/pkg/beam/core/util/reflectx"

	"example.com/beamredis/redisio/message"
)

func TestEventTimeOfAField(t *testing.T) {
	for value, want := range map[string]mtime.Time{
		"0": 0, "1700000000123": 1_700_000_000_123, "-5": -5,
		"9223372036854775807": mtime.MaxTimestamp, "-9223372036854775808": mtime.MinTimestamp,
		"1970-01-01T00:00:01Z": 1000, "2023-11-14T22:13:20.123456789Z": 1_700_000_000_123, "2023-11-14T23:13:20+01:00": 1_700_000_000_000,
		"9999-12-31T23:59:59Z": 253402300799000, "0001-01-01T00:00:00Z": -62135596800000,
	} {
		et := eventTimes{field: "at"}
		got, err := et.of(&message.Message{Fields: []message.Field{{Name: "x", Value: "7"}, {Name: "at", Value: value}}})
		if err != nil || got != want {
			t.Errorf("%s: %v, %v; want %d", value, got, err, want)
		}
	}
}

func TestEventTimeThatCannotBeToldIsAnError(t *testing.T) {
	et := eventTimes{field: "at"}
	for name, tc := range map[string]struct {
		fields []message.Field
		want   string
	}{
		"missing": {nil, `no field "at"`},
		"empty":   {[]message.Field{{Name: "at"}}, `field "at": ""`},
		"words":   {[]message.Field{{Name: "at", Value: "noon"}}, `"noon" is neither`},
		"too big": {[]message.Field{{Name: "at", Value: "9223372036854775808"}}, "neither"},
	} {
		if _, err := et.of(&message.Message{Fields: tc.fields}); err == nil || !strings.Contains(err.Error(), tc.want) {
			t.Errorf("%s: error %v, want one that says %s", name, err, tc.want)
		}
	}
}

var errNoTime = errors.New("no time in it")

func timeOfKey(m message.Message) (time.Time, error) {
	if m.Key == "" {
		return time.Time{}, errNoTime
	}
	return time.UnixMilli(int64(len(m.Key))), nil
}

func TestEventTimeOfAFunction(t *testing.T) {
	et, err := newEventTimes(&Config{EventTimeFn: &beam.EncodedFunc{Fn: reflectx.MakeFunc(timeOfKey)}})
	if err != nil {
		t.Fatal(err)
	}
	if got, err := et.of(&message.Message{ID: id(99, 0), Key: "four"}); got != 4 || err != nil {
		t.Errorf("%v, %v; want 4", got, err)
	}
	if _, err := et.of(&message.Message{}); !errors.Is(err, errNoTime) {
		t.Errorf("error %v, want the function's", err)
	}
}

func TestEventTimeFunctionOfAnotherTypeIsRefused(t *testing.T) {
	wrong := func(message.Message) time.Time { return time.Time{} }
	if _, err := newEventTimes(&Config{EventTimeFn: &beam.EncodedFunc{Fn: reflectx.MakeFunc(wrong)}}); err == nil {
		t.Error("accepted")
	}
}

func TestEventTimeIsTheIDsByDefault(t *testing.T) {
	et, err := newEventTimes(&Config{})
	if err != nil {
		t.Fatal(err)
	}
	for ms, want := range map[uint64]mtime.Time{1_700_000_000_123: 1_700_000_000_123, math.MaxUint64: mtime.MaxTimestamp} {
		if got, err := et.of(&message.Message{ID: id(ms, 7)}); got != want || err != nil {
			t.Errorf("ID of %d: %v, %v", ms, got, err)
		}
	}
}
