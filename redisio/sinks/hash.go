package sinks

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"

	"github.com/apache/beam/sdks/v2/go/pkg/beam/core/util/reflectx"

	"example.com/beamredis/redisio/internal/rdb"
	"example.com/beamredis/redisio/message"
	"example.com/beamredis/redisio/typed"
)

// hashEncoder is the default: a message's fields, a map's, or those of a struct.
func hashEncoder() encoder {
	return func(elem any, doc *rdb.Document) (err error) {
		switch v := elem.(type) {
		case message.Message:
			doc.Fields = messageFields(&v)
		case map[string]string:
			doc.Fields = sortedFields(v)
		default:
			doc.Fields, err = flatten(elem)
		}
		return err
	}
}

// customHash takes the user's function that returns a map[string]string or
// []message.Field.
func customHash(fn reflectx.Func1x2) encoder {
	return func(elem any, doc *rdb.Document) error {
		out, err := fn.Call1x2(elem)
		if err != nil {
			return err.(error)
		}
		switch fields := out.(type) {
		case []message.Field:
			doc.Fields = slices.Clone(fields) // the function may use its memory again
		case map[string]string:
			doc.Fields = sortedFields(fields)
		}
		return nil
	}
}

// sortedFields puts a map into an order, so that equal elements give equal
// commands.
func sortedFields(m map[string]string) []message.Field {
	fields := make([]message.Field, 0, len(m))
	for _, name := range slices.Sorted(maps.Keys(m)) {
		fields = append(fields, message.Field{Name: name, Value: m[name]})
	}
	return fields
}

// messageFields are the members of the JSON object in the field "data", if
// there is one, else the fields of m.
func messageFields(m *message.Message) []message.Field {
	if data, ok := m.Get(typed.DataField); ok {
		if members, ok := objectMembers(data); ok {
			return members
		}
	}
	return m.Fields
}

// objectMembers returns the members of a JSON object in order: strings as their
// text, other values as JSON; null is left out, as a nil pointer is.
func objectMembers(text string) (members []message.Field, ok bool) {
	if !strings.HasPrefix(strings.TrimLeft(text, " \t\r\n"), "{") || !json.Valid([]byte(text)) {
		return nil, false
	}
	dec := json.NewDecoder(strings.NewReader(text))
	_, _ = dec.Token() // the brace; what follows is known to be valid
	for dec.More() {
		name, _ := dec.Token()
		var value json.RawMessage
		if err := dec.Decode(&value); err != nil {
			return nil, false
		}
		if text, ok := memberText(value); ok {
			members = append(members, message.Field{Name: name.(string), Value: text})
		}
	}
	return members, true
}

func memberText(value json.RawMessage) (text string, ok bool) {
	switch value[0] {
	case 'n':
		return "", false
	case '"':
		err := json.Unmarshal(value, &text)
		return text, err == nil
	}
	return string(value), true
}

// CheckHashType reports why elements of type t cannot be written as hashes
// without a serializer.
func CheckHashType(t reflect.Type) error {
	if t == reflect.TypeFor[message.Message]() || t == reflect.TypeFor[map[string]string]() {
		return nil
	}
	_, err := planOf(t)
	return err
}

var errNilElement = errors.New("the element is a nil pointer")

// flatten returns the fields of a struct, or of one that elem points to; the
// rules are those of docs/documents.md.
func flatten(elem any) ([]message.Field, error) {
	v := reflect.ValueOf(elem)
	p, err := planOf(v.Type())
	if err != nil {
		return nil, err
	}
	for v.Kind() == reflect.Pointer {
		if v.IsNil() {
			return nil, errNilElement
		}
		v = v.Elem()
	}
	fields := make([]message.Field, 0, len(p.fields))
	for i := range p.fields {
		f := &p.fields[i]
		value, ok := f.in(v)
		if !ok {
			continue
		}
		text, ok, err := f.text(value)
		if err != nil {
			return nil, fmt.Errorf("field %s: %w", f.name, err)
		}
		if ok {
			fields = append(fields, message.Field{Name: f.name, Value: text})
		}
	}
	return fields, nil
}
