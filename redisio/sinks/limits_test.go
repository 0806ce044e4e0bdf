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
