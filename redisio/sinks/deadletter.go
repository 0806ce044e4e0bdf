package sinks

import (
	"fmt"
	"strconv"
	"strings"

	"example.com/beamredis/redisio/message"
)

// DeadLetterFieldPrefix comes before the names of the original fields in an
// entry of an error stream.
const DeadLetterFieldPrefix = "field:"

// DeadLetterFields is the entry of an error stream for d, in this order:
//
//   - reason: what was wrong, in one line
//   - attempts: how often the element was tried
//   - destination: the stream key it was meant for, if it was to be written
//   - stream and id: where it was read, if it was
//   - key: its key, if it has one
//   - field:NAME for every field NAME of the element, duplicates kept
func DeadLetterFields(d message.DeadLetter) []message.Field {
	fields := []message.Field{
		{Name: "reason", Value: d.Reason},
		{Name: "attempts", Value: strconv.FormatInt(d.Attempts, 10)},
	}
	if d.Destination != "" {
		fields = append(fields, message.Field{Name: "destination", Value: d.Destination})
	}
	if d.Message.Stream != "" {
		fields = append(fields,
			message.Field{Name: "stream", Value: d.Message.Stream},
			message.Field{Name: "id", Value: d.Message.ID.String()})
	}
	if d.Message.HasKey() {
		fields = append(fields, message.Field{Name: "key", Value: d.Message.Key})
	}
	for _, f := range d.Message.Fields {
		fields = append(fields, message.Field{Name: DeadLetterFieldPrefix + f.Name, Value: f.Value})
	}
	return fields
}

// keyShown is how much of a key an error shows.
const keyShown = 64

func describeKey(m *message.Message) string {
	switch {
	case !m.HasKey():
		return "no key"
	case len(m.Key) > keyShown:
		return fmt.Sprintf("key %q... (%d bytes)", m.Key[:keyShown], len(m.Key))
	}
	return fmt.Sprintf("key %q", m.Key)
}

func oneLine(s string) string { return strings.Join(strings.Fields(s), " ") }
