// Package typed turns elements of a user's type into messages and back: the
// value is JSON in the field "data".
package typed

import (
	"bytes"
	"encoding/json"
)

// DataField is the field of a message that holds its JSON document, where it
// has one.
const DataField = "data"

// JSONText turns values into JSON, in memory that it keeps. The zero value is
// ready; it is not safe for concurrent use.
type JSONText struct {
	buf bytes.Buffer
	enc *json.Encoder
}

// Of returns v as JSON without white space, with <, > and & as they are, which
// is how Jackson, Java's most used JSON library, writes them.
func (t *JSONText) Of(v any) (string, error) {
	if t.enc == nil {
		t.enc = json.NewEncoder(&t.buf)
		t.enc.SetEscapeHTML(false)
	}
	t.buf.Reset()
	if err := t.enc.Encode(v); err != nil {
		return "", err
	}
	return string(bytes.TrimSuffix(t.buf.Bytes(), []byte("\n"))), nil
}
