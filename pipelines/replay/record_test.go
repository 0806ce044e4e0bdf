package main

import (
	"encoding/json"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"

	"example.com/beamredis/redisio"
)

func FuzzRecordIsReadAsItWasWritten(f *testing.F) {
	f.Add("in:0", uint64(5), uint64(7), "key", true, "name", "value")
	f.Add("", uint64(0), uint64(0), "", false, "\xff\x00\"\\", "\n\u2028\x7f")
	f.Fuzz(func(t *testing.T, stream string, ms, seq uint64, key string, hasKey bool, name, value string) {
		m := redisio.Message{Stream: stream, ID: redisio.EntryID{Ms: ms, Seq: seq}, Fields: []redisio.Field{{Name: name, Value: value}, {Name: value, Value: name}}}
		if hasKey {
			m.Key, m.EmptyKey = key, key == ""
		}
		line := appendRecord(nil, &m, 1, 3)
		if !json.Valid(line) || strings.Count(string(line), "\n") != 1 {
			t.Fatalf("no line of JSON: %q", line)
		}
		if stream == "" || !utf8.ValidString(stream) {
			return // the name of a topic is text
		}
		got, err := parseRecord(line)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(m, got.Message); diff != "" || got.Partition != 1 || got.Partitions != 3 {
			t.Errorf("partition %d of %d (-want +got):\n%s", got.Partition, got.Partitions, diff)
		}
	})
}

func TestTheFormatOfALine(t *testing.T) {
	m := redisio.Message{Stream: "in:1", ID: redisio.EntryID{Ms: 5}, Key: "k", Fields: []redisio.Field{{Name: "a\n", Value: "ü"}, {Name: "b", Value: "\xff"}}}
	want := `{"stream":"in:1","partition":1,"partitions":4,"id":"5-0","key":"k","fields":[["a\n","ü"],["b",{"base64":"/w=="}]]}` + "\n"
	if diff := cmp.Diff(want, string(appendRecord(nil, &m, 1, 4))); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestALineThatIsNoRecordIsRefused(t *testing.T) {
	for line, want := range map[string]string{
		`{`:            "unexpected end of JSON",
		`{}`:           "not an entry ID",
		`{"id":"5-0"}`: "partition 0 of 0 of stream",
		`{"stream":"s","partitions":1,"partition":1,"id":"5-0"}`:                    "partition 1 of 1",
		`{"stream":"s","partitions":1,"id":"5-0","fields":[["a"]]}`:                 "not a pair",
		`{"stream":"s","partitions":1,"id":"5-0","fields":[["a",5]]}`:               "cannot unmarshal",
		`{"stream":"s","partitions":1,"id":"5-0","fields":[["a",{"hex":"00"}]]}`:    "neither a string nor an object with base64",
		`{"stream":"s","partitions":1,"id":"5-0","fields":[["a",{"base64":"%"}]]}`:  "illegal base64",
		`{"stream":"s","partitions":1,"id":"5-0","key":["k"],"fields":[["a","b"]]}`: "cannot unmarshal",
	} {
		if _, err := parseRecord([]byte(line)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", line, err, want)
		}
	}
}
