package sdf

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"example.com/beamredis/redisio/message"
)

// ignoreOrigin: a group's incarnation is a random number.
var ignoreOrigin = cmpopts.IgnoreFields(message.Message{}, "Origin")

func TestFieldsComeAsTheyWereWritten(t *testing.T) {
	const binary = "\x00\xff\r\n$5\r\n\xc3\x28"
	for name, tc := range map[string]struct {
		fields []any
		want   message.Message
	}{
		"duplicates and order": {[]any{"b", "1", "a", "2", "b", "3"},
			message.Message{Fields: []message.Field{{Name: "b", Value: "1"}, {Name: "a", Value: "2"}, {Name: "b", Value: "3"}}}},
		"binary and empty": {[]any{binary, binary, "", ""},
			message.Message{Fields: []message.Field{{Name: binary, Value: binary}, {}}}},
		"key in the middle": {[]any{"a", "1", "_key", "k", "b", "2"},
			message.Message{Key: "k", Fields: []message.Field{{Name: "a", Value: "1"}, {Name: "b", Value: "2"}}}},
		"key first": {[]any{"_key", "k", "a", "1"},
			message.Message{Key: "k", Fields: []message.Field{{Name: "a", Value: "1"}}}},
		"key last": {[]any{"a", "1", "_key", "k"},
			message.Message{Key: "k", Fields: []message.Field{{Name: "a", Value: "1"}}}},
		"key twice": {[]any{"_key", "k", "_key", "l"},
			message.Message{Key: "k", Fields: []message.Field{{Name: "_key", Value: "l"}}}},
		"nothing but a key": {[]any{"_key", "k"}, message.Message{Key: "k", Fields: []message.Field{}}},
		"empty key":         {[]any{"_key", "", "a", "1"}, message.Message{EmptyKey: true, Fields: []message.Field{{Name: "a", Value: "1"}}}},
		"no key":            {[]any{"a", "1"}, message.Message{Fields: []message.Field{{Name: "a", Value: "1"}}}},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRunner(t)
			args := append([]any{"xadd", stream, "7-1"}, tc.fields...)
			r.must(r.redis.Do(t.Context(), args...).Err())
			r.open(stream)
			got := r.bundle().got
			tc.want.Stream, tc.want.ID = stream, message.EntryID{Ms: 7, Seq: 1}
			if diff := cmp.Diff([]message.Message{tc.want}, got, ignoreOrigin); diff != "" {
				t.Errorf("messages (-want +got):\n%s", diff)
			}
		})
	}
}

func TestKeyFieldCanBeNamedOrIgnored(t *testing.T) {
	for name, want := range map[string]message.Message{
		"id": {Key: "7", Fields: []message.Field{{Name: "_key", Value: "k"}}},
		"":   {Fields: []message.Field{{Name: "_key", Value: "k"}, {Name: "id", Value: "7"}}},
	} {
		r := newRunner(t, func(cfg *Config) { cfg.KeyField = name })
		r.must(r.redis.Do(t.Context(), "xadd", stream, "7-1", "_key", "k", "id", "7").Err())
		r.open(stream)
		want.Stream, want.ID = stream, message.EntryID{Ms: 7, Seq: 1}
		if diff := cmp.Diff([]message.Message{want}, r.bundle().got, ignoreOrigin); diff != "" {
			t.Errorf("key field %q: messages (-want +got):\n%s", name, diff)
		}
	}
}

func TestEntryWithoutItsEventTimeIsADeadLetterOrAnError(t *testing.T) {
	for name, collect := range map[string]bool{"collected": true, "not collected": false} {
		t.Run(name, func(t *testing.T) {
			r := newRunner(t, func(cfg *Config) { cfg.EventTimeField, cfg.CollectFailed = "at", collect })
			r.must(r.redis.Do(t.Context(), "xadd", stream, "7-1", "n", "1").Err())
			r.must(r.redis.Do(t.Context(), "xadd", stream, "7-2", "n", "2", "at", "42").Err())
			r.open(stream)
			b := r.try(mishap{})
			if !collect {
				if b.err == nil {
					t.Fatal("the entry was dropped")
				}
				return
			}
			r.must(b.err)
			b.want(2).commit()
			wantEqual(t, "event time", b.times[0], eventTime(42))
			wantEqual(t, "dead letters", len(b.failed), 1)
			wantNumbers(t, []message.Message{b.failed[0].Message}, 1)
			r.wantPending()
		})
	}
}

func TestDeadLettersAreWrittenToTheErrorStream(t *testing.T) {
	r := newRunner(t, func(cfg *Config) { cfg.EventTimeField, cfg.ErrorStream = "at", "errors" })
	r.must(r.redis.Do(t.Context(), "xadd", stream, "7-1", "n", "1").Err())
	r.open(stream)
	r.bundle().want()
	letters, err := r.redis.XRange(t.Context(), "errors", "-", "+").Result()
	if err != nil || len(letters) != 1 {
		t.Fatalf("error stream holds %v, %v; want one entry", letters, err)
	}
}

func TestLostReplyOfTheErrorStreamFailsNoBundle(t *testing.T) {
	r := newRunner(t, func(c *Config) { c.EventTimeField, c.ErrorStream = "missing", "theerrorstream" })
	p := r.throughProxy()
	r.add(stream, 1)
	r.open(stream)
	p.loseReplyTo("theerrorstream")
	if b := r.try(mishap{}); b.err != nil {
		t.Errorf("one lost reply fails the bundle: %v", b.err)
	}
}
