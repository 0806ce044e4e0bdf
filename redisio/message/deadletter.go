package message

import (
	"strconv"
	"strings"
)

// OneLine is err as the Reason of a dead letter.
func OneLine(err error) string { return strings.Join(strings.Fields(err.Error()), " ") }

// FieldPrefix comes before the names of the original fields in an entry of an
// error stream.
const FieldPrefix = "field:"

// ErrorEntry returns the fields of the entry that stands for d in an error
// stream, in this order:
//
//   - reason: what was wrong, in one line
//   - attempts: how often the element was tried; 0: its fault was found before
//   - destination: the stream key it was meant for, if it was to be written
//   - stream and id: where it was read, if it was
//   - key: its key, if it has one
//   - field:NAME for every field NAME of the element, duplicates kept
func (d DeadLetter) ErrorEntry() []Field {
	fields := []Field{
		{Name: "reason", Value: d.Reason},
		{Name: "attempts", Value: strconv.FormatInt(d.Attempts, 10)},
	}
	if d.Destination != "" {
		fields = append(fields, Field{Name: "destination", Value: d.Destination})
	}
	if d.Message.Stream != "" {
		fields = append(fields,
			Field{Name: "stream", Value: d.Message.Stream},
			Field{Name: "id", Value: d.Message.ID.String()})
	}
	if d.Message.HasKey() {
		fields = append(fields, Field{Name: "key", Value: d.Message.Key})
	}
	for _, f := range d.Message.Fields {
		fields = append(fields, Field{Name: FieldPrefix + f.Name, Value: f.Value})
	}
	return fields
}
