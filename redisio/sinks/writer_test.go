package sinks

import (
	"slices"
	"strings"
	"testing"

	"example.com/beamredis/redisio/conn"
	"example.com/beamredis/redisio/internal/redistest"
	"example.com/beamredis/redisio/message"
	"example.com/beamredis/redisio/topic"
)

func TestWriterWritesAllInOrder(t *testing.T) {
	server := redistest.Start(t)
	w, err := OpenWriter(t.Context(), WriteConfig{Conn: server.Config(), Topic: outTopic, KeyField: DefaultKeyField})
	if err != nil {
		t.Fatal(err)
	}
	for i := range 2 {
		if err := w.WriteAll(t.Context(), slices.Values(numbered(i*3000, 3000))); err != nil {
			t.Fatal(err)
		}
	}
	if got := w.Written(); got != 6000 {
		t.Errorf("Written = %d, want 6000", got)
	}
	wantAllOnceInOrder(t, server, 6000)
}

func TestWriterTellsWhatItCannotWrite(t *testing.T) {
	server := redistest.Start(t)
	w, err := OpenWriter(t.Context(), WriteConfig{Conn: server.Config(), Topic: outTopic})
	if err != nil {
		t.Fatal(err)
	}
	err = w.WriteAll(t.Context(), slices.Values([]message.Message{{}}))
	if err == nil || !strings.Contains(err.Error(), "neither fields nor a key") {
		t.Errorf("error %v", err)
	}
}

func TestOpenWriterNamesWhatIsWrong(t *testing.T) {
	server := redistest.Start(t)
	spoil(t, server, 1)
	for _, c := range []struct {
		name string
		cfg  WriteConfig
		want string
	}{
		{"no partitions", WriteConfig{Conn: server.Config(), Topic: topic.Topic{Name: "out"}}, "Partitions is 0"},
		{"a batch below zero", WriteConfig{Conn: server.Config(), Topic: outTopic, Batch: BatchOptions{MaxCount: -1}}, "MaxCount"},
		{"no server", WriteConfig{Conn: conn.Config{Addr: "127.0.0.1:1"}, Topic: outTopic}, "refused"},
		{"a key of another type", WriteConfig{Conn: server.Config(), Topic: outTopic}, `"out:1" holds a string`},
	} {
		if _, err := OpenWriter(t.Context(), c.cfg); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: error %v, want %q", c.name, err, c.want)
		}
	}
}
