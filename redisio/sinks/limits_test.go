package sinks

import (
	"strings"
	"testing"

	"example.com/beamredis/redisio/internal/redistest"
	"example.com/beamredis/redisio/message"
)

// The server would close the connection on it, and with it fail the whole batch
// however often it is tried.
func TestValueThatTheServerDoesNotTakeIsADeadLetterByItself(t *testing.T) {
	for name, open := range map[string]func(*testing.T, *redistest.Server, func(*WriteFn)) *sink{
		"written": newSink,
		"written once": func(t *testing.T, s *redistest.Server, change func(*WriteFn)) *sink {
			return newOnceSink(t, s, "a", change)
		},
	} {
		t.Run(name, func(t *testing.T) {
			server := redistest.Start(t)
			if err := server.Client().ConfigSet(t.Context(), "proto-max-bulk-len", "2mb").Err(); err != nil {
				t.Fatal(err)
			}
			s := open(t, server, func(w *WriteFn) { w.CollectFailed, w.Topic = true, single })
			msgs := jobFrom(0).reads(1, 2, 3, 4, 5)
			msgs[1].Fields = append(msgs[1].Fields, message.Field{Name: "taken", Value: strings.Repeat("x", 3<<19)})
			msgs[2].Fields = append(msgs[2].Fields, message.Field{Name: "refused", Value: strings.Repeat("x", 20<<20)})
			if err := s.bundle(t.Context(), msgs...); err != nil {
				t.Fatal(err)
			}
			if n := len(stored(t, server, "single")); n != 4 || len(s.dead) != 1 {
				t.Fatalf("%d written and %d dead letters, want 4 and 1", n, len(s.dead))
			}
			if reason := s.dead[0].Reason; !strings.Contains(reason, "field 1 has 20971520 bytes") || !strings.Contains(reason, "proto-max-bulk-len") {
				t.Errorf("reason %q, want the field, its size and the setting", reason)
			}
		})
	}
}

// What stands behind the dead letter was written, so that the mark is past it.
func TestABundleThatIsRepeatedHasItsDeadLettersAgain(t *testing.T) {
	server := redistest.Start(t)
	if err := server.Client().ConfigSet(t.Context(), "proto-max-bulk-len", "2mb").Err(); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		s := newOnceSink(t, server, "a", func(w *WriteFn) {
			w.CollectFailed, w.Topic, w.ErrorStream = true, single, "errors"
		})
		msgs := jobFrom(0).reads(1, 2, 3)
		msgs[1].Fields = append(msgs[1].Fields, message.Field{Name: "refused", Value: strings.Repeat("x", 3<<20)})
		if err := s.bundle(t.Context(), msgs...); err != nil {
			t.Fatal(err)
		}
		if n := len(stored(t, server, "single")); n != 2 || len(s.dead) != 1 || len(s.dead[0].Message.Fields[1].Value) != 3<<20 {
			t.Fatalf("%d written and %d dead letters, want 2 and a whole one", n, len(s.dead))
		}
	}
	letters := stored(t, server, "errors")
	if len(letters) != 2 {
		t.Fatalf("%d dead letters in the error stream, want one of each bundle", len(letters))
	}
	if text := strings.Join(letters[0], " "); len(text) > 2*mostKept || !strings.Contains(text, "cut field:refused had 3145728 bytes") {
		t.Errorf("the error stream has %d bytes, want the value cut, and that said", len(text))
	}
}

// The mark is the first thing that a script writes which the user may not.
func TestWithoutPermissionForMarksNothingIsAdded(t *testing.T) {
	server := redistest.Start(t)
	if err := server.Client().Do(t.Context(), "acl", "setuser", "default", "-hset").Err(); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		s := newOnceSink(t, server, "a", func(w *WriteFn) { w.Topic = single })
		if err := s.bundle(t.Context(), jobFrom(0).reads(1, 2, 3)...); err == nil {
			t.Fatal("the bundle was written without the permission for its mark")
		}
	}
	if n := len(stored(t, server, "single")); n != 0 {
		t.Errorf("%d entries were added", n)
	}
}

func TestADocumentThatTheServerDoesNotTakeIsADeadLetterByItself(t *testing.T) {
	eachFormat(t, func(t *testing.T, server *redistest.Server, format Format, change func(*DocumentFn)) {
		if err := server.Client().ConfigSet(t.Context(), "proto-max-bulk-len", "2mb").Err(); err != nil {
			t.Fatal(err)
		}
		s := newDocumentSink(t, server.Config(), format, func(d *DocumentFn) {
			change(d)
			d.CollectFailed, d.ErrorStream = true, "errors"
		})
		elems := items(30)
		taken, refused := elems[11].(item), elems[12].(item)
		taken.Pad, refused.Pad = strings.Repeat("x", 3<<19), strings.Repeat("x", 3<<20)
		elems[11], elems[12] = taken, refused
		if err := s.bundle(t.Context(), elems...); err != nil {
			t.Fatal(err)
		}
		wantLast(t, server, format, 30)
		if len(s.dead) != 1 || s.dead[0].Message.Key != refused.Key || !strings.Contains(s.dead[0].Reason, "proto-max-bulk-len") {
			t.Fatalf("%d dead letters, want the one of %s with the setting's name", len(s.dead), refused.Key)
		}
		if n := s.lanes[0].delivery.retries.Load(); n != 0 {
			t.Errorf("%d documents were tried again", n)
		}
		letters := stored(t, server, "errors")
		if len(letters) != 1 || len(strings.Join(letters[0], " ")) > 2*mostKept {
			t.Errorf("the error stream has %d dead letters, want one whose value is cut", len(letters))
		}
	})
}
