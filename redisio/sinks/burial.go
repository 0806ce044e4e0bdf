package sinks

import (
	"fmt"

	"github.com/apache/beam/sdks/v2/go/pkg/beam"

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
	letter.Reason = oneLine(reason.Error())
	b.add(ts, letter, b.collect)
	if b.errorStream == "" {
		return nil, nil
	}
	return letter.ErrorEntry(), nil
}
