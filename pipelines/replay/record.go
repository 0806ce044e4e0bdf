package main

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"unicode/utf8"

	"example.com/beamredis/redisio"
)

// record is one line of a file: an entry and where it comes from. See
// docs/replay.md for the format.
type record struct {
	Stream     string          `json:"stream"`
	Partition  int             `json:"partition"`
	Partitions int             `json:"partitions"`
	ID         string          `json:"id"`
	Key        *binary         `json:"key"`
	Fields     [][]binary      `json:"fields"`
	Message    redisio.Message `json:"-"`
	entryID    redisio.EntryID `json:"-"`
}

// binary is a string of any bytes: a JSON string where it is valid UTF-8, else
// an object with its base64.
type binary string

// UnmarshalJSON reads either form.
func (b *binary) UnmarshalJSON(text []byte) error {
	if len(text) > 0 && text[0] == '"' {
		return json.Unmarshal(text, (*string)(b))
	}
	var wrapped struct {
		Base64 *[]byte `json:"base64"`
	}
	if err := json.Unmarshal(text, &wrapped); err != nil {
		return err
	}
	if wrapped.Base64 == nil {
		return fmt.Errorf("%s is neither a string nor an object with base64", text)
	}
	*b = binary(*wrapped.Base64)
	return nil
}

// parseRecord reads a line.
func parseRecord(line []byte) (record, error) {
	var r record
	if err := json.Unmarshal(line, &r); err != nil {
		return r, fmt.Errorf("no record of an entry: %w", err)
	}
	var err error
	if r.entryID, err = redisio.ParseEntryID(r.ID); err != nil {
		return r, err
	}
	if r.Stream == "" || r.Partitions < 1 || r.Partition < 0 || r.Partition >= r.Partitions {
		return r, fmt.Errorf("no record of an entry: partition %d of %d of stream %q", r.Partition, r.Partitions, r.Stream)
	}
	r.Message = redisio.Message{Stream: r.Stream, ID: r.entryID, Fields: make([]redisio.Field, len(r.Fields))}
	if r.Key != nil {
		r.Message.Key = string(*r.Key)
		r.Message.EmptyKey = *r.Key == ""
	}
	for i, f := range r.Fields {
		if len(f) != 2 {
			return r, errors.New("no record of an entry: a field is not a pair of name and value")
		}
		r.Message.Fields[i] = redisio.Field{Name: string(f[0]), Value: string(f[1])}
	}
	return r, nil
}

// appendRecord appends the line of a message, its end included.
func appendRecord(b []byte, m *redisio.Message, partition, partitions int) []byte {
	b = append(b, `{"stream":`...)
	b = appendText(b, m.Stream)
	b = append(b, `,"partition":`...)
	b = strconv.AppendInt(b, int64(partition), 10)
	b = append(b, `,"partitions":`...)
	b = strconv.AppendInt(b, int64(partitions), 10)
	b = append(b, `,"id":"`...)
	b = m.ID.Append(b)
	b = append(b, '"')
	if m.HasKey() {
		b = append(b, `,"key":`...)
		b = appendText(b, m.Key)
	}
	b = append(b, `,"fields":[`...)
	for i := range m.Fields {
		if i > 0 {
			b = append(b, ',')
		}
		b = append(b, '[')
		b = appendText(b, m.Fields[i].Name)
		b = append(b, ',')
		b = appendText(b, m.Fields[i].Value)
		b = append(b, ']')
	}
	return append(b, "]}\n"...)
}

func appendText(b []byte, s string) []byte {
	if !utf8.ValidString(s) {
		b = append(b, `{"base64":"`...)
		b = base64.StdEncoding.AppendEncode(b, []byte(s))
		return append(b, `"}`...)
	}
	b = append(b, '"')
	start := 0
	for i := range len(s) {
		c := s[i]
		if c >= 0x20 && c != '"' && c != '\\' {
			continue
		}
		b = append(b, s[start:i]...)
		start = i + 1
		switch c {
		case '"', '\\':
			b = append(b, '\\', c)
		case '\n':
			b = append(b, `\n`...)
		default:
			const digits = "0123456789abcdef"
			b = append(b, '\\', 'u', '0', '0', digits[c>>4], digits[c&0xf])
		}
	}
	return append(append(b, s[start:]...), '"')
}
