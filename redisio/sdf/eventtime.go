package sdf

import (
	"fmt"
	"reflect"
	"strconv"
	"time"

	"github.com/apache/beam/sdks/v2/go/pkg/beam"
	"github.com/apache/beam/sdks/v2/go/pkg/beam/core/graph/mtime"
	"github.com/apache/beam/sdks/v2/go/pkg/beam/core/util/reflectx"

	"example.com/beamredis/redisio/message"
)

// eventTimes tells the event time of messages: a function's, a field's, or by
// default that of the entry's ID.
type eventTimes struct {
	field string
	fn    reflectx.Func1x2 // func(message.Message) (time.Time, error)
}

func newEventTimes(cfg *Config) (eventTimes, error) {
	et := eventTimes{field: cfg.EventTimeField}
	if cfg.EventTimeFn != nil {
		if got := cfg.EventTimeFn.Fn.Type(); got != eventTimeFnType {
			return et, fmt.Errorf("event time function has type %s, want func(redisio.Message) (time.Time, error)", got)
		}
		et.fn = reflectx.ToFunc1x2(cfg.EventTimeFn.Fn)
	}
	return et, nil
}

var eventTimeFnType = reflect.TypeFor[func(message.Message) (time.Time, error)]()

// of returns the event time of m, within the range that Beam allows.
func (et *eventTimes) of(m *message.Message) (beam.EventTime, error) {
	switch {
	case et.fn != nil:
		ts, err := et.fn.Call1x2(*m)
		if err != nil {
			return 0, fmt.Errorf("event time: %w", err.(error))
		}
		return mtime.FromTime(ts.(time.Time)), nil
	case et.field != "":
		return fieldTime(m, et.field)
	}
	return eventTime(idTime(m.ID.Ms)), nil
}

// fieldTime reads a field as milliseconds since the Unix epoch, or as RFC 3339.
func fieldTime(m *message.Message, field string) (beam.EventTime, error) {
	v, ok := m.Get(field)
	if !ok {
		return 0, fmt.Errorf("no field %q to take the event time from", field)
	}
	if ms, err := strconv.ParseInt(v, 10, 64); err == nil {
		return eventTime(ms), nil
	}
	ts, err := time.Parse(time.RFC3339Nano, v)
	if err != nil {
		return 0, fmt.Errorf("field %q: %q is neither milliseconds since the Unix epoch nor RFC 3339", field, v)
	}
	return mtime.FromTime(ts), nil
}
