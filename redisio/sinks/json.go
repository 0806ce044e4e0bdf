package sinks

import (
	"encoding/json"
	"errors"
	"unicode/utf8"

	"github.com/apache/beam/sdks/v2/go/pkg/beam/core/util/reflectx"

	"example.com/beamredis/redisio/internal/rdb"
	"example.com/beamredis/redisio/message"
	"example.com/beamredis/redisio/typed"
)

// encoder puts an element's payload into a document. Its error is the
// element's fault.
type encoder func(elem any, doc *rdb.Document) error

// jsonEncoder is the default: encoding/json, or the document of a message.
func jsonEncoder() encoder {
	var text typed.JSONText
	return func(elem any, doc *rdb.Document) (err error) {
		if m, ok := elem.(message.Message); ok {
			doc.JSON = messageJSON(&m)
			return nil
		}
		doc.JSON, err = text.Of(elem)
		return err
	}
}

var errInvalidJSON = errors.New("the serializer's result is not JSON")

// customJSON takes the user's func(T) ([]byte, error). RedisJSON does not
// notice what follows a value, so the result is checked here.
func customJSON(fn reflectx.Func1x2) encoder {
	return func(elem any, doc *rdb.Document) error {
		out, err := fn.Call1x2(elem)
		if err != nil {
			return err.(error)
		}
		text := out.([]byte)
		doc.JSON = string(text)
		if !json.Valid(text) {
			return errInvalidJSON
		}
		return nil
	}
}

// messageJSON is the field "data" of m if that is JSON, else the fields as
// an object.
func messageJSON(m *message.Message) string {
	if data, ok := m.Get(typed.DataField); ok && json.Valid([]byte(data)) {
		return data
	}
	text := make([]byte, 0, m.Size()+6*len(m.Fields)+2)
	text = append(text, '{')
	for i := range m.Fields {
		if i > 0 {
			text = append(text, ',')
		}
		text = append(appendQuoted(text, m.Fields[i].Name), ':')
		text = appendQuoted(text, m.Fields[i].Value)
	}
	return string(append(text, '}'))
}

// appendQuoted appends s as a JSON string. Bytes that are not UTF-8, which JSON
// cannot hold, become U+FFFD.
func appendQuoted(dst []byte, s string) []byte {
	dst = append(dst, '"')
	start := 0
	for i := 0; i < len(s); {
		c := s[i]
		n, plain := 1, c >= ' ' && c != '"' && c != '\\'
		if c >= utf8.RuneSelf {
			var r rune
			r, n = utf8.DecodeRuneInString(s[i:])
			plain = r != utf8.RuneError || n > 1
		}
		if !plain {
			dst = appendEscaped(append(dst, s[start:i]...), c)
			start = i + n
		}
		i += n
	}
	return append(append(dst, s[start:]...), '"')
}

func appendEscaped(dst []byte, c byte) []byte {
	const digits = "0123456789abcdef"
	switch {
	case c >= utf8.RuneSelf:
		return append(dst, "\uFFFD"...)
	case c == '"', c == '\\':
		return append(dst, '\\', c)
	}
	return append(dst, '\\', 'u', '0', '0', digits[c>>4], digits[c&0xF])
}
