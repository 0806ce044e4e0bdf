package message

import (
	"bytes"
	"errors"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func FuzzDecodeMessage(f *testing.F) {
	f.Add([]byte{})
	f.Add(AppendMessage(nil, Message{}))
	f.Add(AppendMessage(nil, Message{EmptyKey: true, ID: MaxID, Fields: []Field{{}}}))
	f.Add(AppendMessage(nil, order))
	f.Add(AppendMessage(nil, Message{Stream: "s", Origin: NewOrigin(9, EntryID{}, Ordered)}))
	f.Add(AppendMessage(nil, order)[:20])
	f.Fuzz(func(t *testing.T, b []byte) {
		m, err := DecodeMessage(b)
		if err != nil {
			if !errors.Is(err, ErrDecode) {
				t.Errorf("error %v does not wrap ErrDecode", err)
			}
			return
		}
		if again := AppendMessage(nil, m); !bytes.Equal(again, b) {
			t.Errorf("%x was decoded, and is encoded as %x", b, again)
		}
	})
}

func FuzzDecodeDeadLetter(f *testing.F) {
	f.Add([]byte{})
	f.Add(AppendDeadLetter(nil, DeadLetter{}))
	f.Add(AppendDeadLetter(nil, DeadLetter{Message: order, Destination: "out", Reason: "no", Attempts: -1}))
	f.Fuzz(func(t *testing.T, b []byte) {
		d, err := DecodeDeadLetter(b)
		if err != nil {
			if !errors.Is(err, ErrDecode) {
				t.Errorf("error %v does not wrap ErrDecode", err)
			}
			return
		}
		if again := AppendDeadLetter(nil, d); !bytes.Equal(again, b) {
			t.Errorf("%x was decoded, and is encoded as %x", b, again)
		}
	})
}

func FuzzParseEntryID(f *testing.F) {
	for _, s := range []string{"", "0-0", "1700000000000-7", "5", "-", "1-", "+1-0", "18446744073709551615-18446744073709551615", "18446744073709551616", "01-1"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		id, err := ParseEntryID(s)
		if err != nil {
			if !errors.Is(err, ErrEntryID) || id != (EntryID{}) {
				t.Errorf("ParseEntryID(%q) = %v, %v", s, id, err)
			}
			return
		}
		back, err := ParseEntryID(id.String())
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(id, back); diff != "" {
			t.Errorf("%q after a round trip (-want +got):\n%s", s, diff)
		}
	})
}
