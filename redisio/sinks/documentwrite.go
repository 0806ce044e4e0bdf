package sinks

import (
	"errors"
	"fmt"

	"example.com/beamredis/redisio/message"
	"example.com/beamredis/redisio/typed"
)

var (
	errNoKey    = errors.New("the key is empty: nothing tells where the document is to go")
	errNoFields = errors.New("there is no field to write: a hash has at least one")
)

// messageKey takes the key from a message.
func messageKey(elem any) (string, error) {
	m, ok := elem.(message.Message)
	if !ok {
		return "", fmt.Errorf("a %T brings no key: name a function with WithKey", elem)
	}
	return m.Key, nil
}

// fill puts the payload of elem into doc. Its error says why the element can
// never be written, as far as that can be told without the server.
func (d *DocumentFn) fill(doc *document, key string, elem any) error {
	err := d.encode(elem, &doc.Document)
	switch {
	case err != nil:
		err = fmt.Errorf("serialize: %w", err)
	case key == "":
		err = errNoKey
	case d.Format == Hash && len(doc.Fields) == 0:
		err = errNoFields
	}
	if err != nil && doc.JSON == "" && len(doc.Fields) == 0 {
		doc.Fields = typed.Describe(elem) // for the dead letter
	}
	return err
}

// bury makes a dead letter of doc; see [burial.bury].
func (d *DocumentFn) bury(doc document, reason error, attempts int) (instead document, ok bool, err error) {
	if doc.letter != nil {
		return document{}, false, fmt.Errorf("error stream %q cannot take dead letters: %w", d.ErrorStream, reason)
	}
	entry, err := d.burial.bury(doc.ts, message.DeadLetter{
		Message:     doc.asMessage(len(d.KeyPrefix)),
		Destination: doc.Key,
		Attempts:    int64(attempts),
	}, reason)
	return document{ts: doc.ts, letter: entry}, entry != nil, err
}

// asMessage is the element as a dead letter holds it: the message that it is,
// or else one with its key and with what was to be written, if need be as text.
func (d *document) asMessage(prefix int) message.Message {
	if m, ok := d.message.(message.Message); ok {
		return m
	}
	m := message.Message{Key: d.Key[prefix:], Fields: d.Fields}
	if d.JSON != "" {
		m.Fields = []message.Field{{Name: typed.DataField, Value: d.JSON}}
	}
	return m
}

func (d *DocumentFn) destination(doc document) string {
	if doc.letter != nil {
		return d.ErrorStream
	}
	return doc.Key
}
