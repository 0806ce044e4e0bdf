package sinks

import (
	"errors"
	"fmt"

	"github.com/apache/beam/sdks/v2/go/pkg/beam"

	"example.com/beamredis/redisio/internal/rdb"
	"example.com/beamredis/redisio/message"
)

// burial keeps dead letters: it has them emitted, written to the error stream,
// or both.
type burial struct {
	failures
	collect     bool
	errorStream string
}

// bury keeps letter. It returns the entry to add to the error stream, nil if
// there is none. Where letters are kept in neither place, its error fails the
// bundle.
func (b *burial) bury(ts beam.EventTime, letter message.DeadLetter, reason error) (entry []message.Field, err error) {
	if !b.collect && b.errorStream == "" {
		return nil, fmt.Errorf("element with %s cannot be written to %q: %w"+
			" (to keep such elements aside, name an error stream or consume Failed)", describeKey(&letter.Message), letter.Destination, reason)
	}
	letter.Reason = message.OneLine(reason)
	b.add(ts, letter, b.collect)
	if b.errorStream == "" {
		return nil, nil
	}
	fields := letter.ErrorEntry()
	if large := (*rdb.TooLargeError)(nil); errors.As(reason, &large) {
		fields = cutValues(fields)
	}
	return fields, nil
}

// mostKept is how much of a value an error stream gets of an element that is
// too large for the server.
const mostKept = 64 << 10

// cutValues cuts the values that the error stream could not take either, and
// says so in fields "cut" of their own.
func cutValues(fields []message.Field) []message.Field {
	for i := range fields {
		if n := len(fields[i].Value); n > mostKept {
			fields[i].Value = fields[i].Value[:mostKept]
			fields = append(fields, message.Field{Name: "cut", Value: fmt.Sprintf("%s had %d bytes", fields[i].Name, n)})
		}
	}
	return fields
}
