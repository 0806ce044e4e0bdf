package sinks

import (
	"encoding/json"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"

	"example.com/beamredis/redisio/message"
)

func TestAMessageIsItsDataOrAnObjectOfItsFields(t *testing.T) {
	for _, tc := range []struct {
		fields []message.Field
		want   string
	}{
		{nil, `{}`},
		{[]message.Field{{Name: "b", Value: "1"}, {Name: "a", Value: ""}}, `{"b":"1","a":""}`},
		{[]message.Field{{Name: "a", Value: "1"}, {Name: "a", Value: "2"}}, `{"a":"1","a":"2"}`},
		{[]message.Field{{Name: "x\"y", Value: "<\\>\n\x00\x1f"}}, `{"x\"y":"<\\>\u000a\u0000\u001f"}`},
		{[]message.Field{{Name: "é", Value: "\xff\xe2\x82 \U0001F600\uFFFD"}}, `{"é":"��� 😀�"}`},
		{[]message.Field{{Name: "n", Value: "1"}, {Name: "data", Value: " [1, 2] "}}, ` [1, 2] `},
		{[]message.Field{{Name: "data", Value: "[1"}}, `{"data":"[1"}`},
		{[]message.Field{{Name: "data", Value: ""}}, `{"data":""}`},
	} {
		if got := messageJSON(&message.Message{Fields: tc.fields}); got != tc.want {
			t.Errorf("%q becomes %s, want %s", tc.fields, got, tc.want)
		}
	}
}

func FuzzFieldsAsJSON(f *testing.F) {
	f.Add("name", "value")
	f.Add("\x00\"\\\n", "\xff\xc3( \u2028<>")
	f.Fuzz(func(t *testing.T, name, value string) {
		text := messageJSON(&message.Message{Fields: []message.Field{{Name: name, Value: value}}})
		if name == "data" && text == value {
			return
		}
		var got map[string]string
		if err := json.Unmarshal([]byte(text), &got); err != nil || !utf8.ValidString(text) {
			t.Fatalf("%q, %q become %q: %v", name, value, text, err)
		}
		// What encoding/json makes of the strings, bytes that are not UTF-8 included.
		standard, err := json.Marshal(map[string]string{name: value})
		if err != nil {
			t.Fatal(err)
		}
		var want map[string]string
		if err := json.Unmarshal(standard, &want); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
	})
}

func FuzzMembersOfAnObject(f *testing.F) {
	f.Add(`{"a":1,"b":"x","c":null,"d":[1,{}]}`)
	f.Add(` {"a":{"b":"}"}} `)
	f.Add(`[1]`)
	f.Add(`{"a":1} x`)
	f.Fuzz(func(t *testing.T, text string) {
		members, ok := objectMembers(text)
		var want map[string]json.RawMessage // no number is too large for it
		if err := json.Unmarshal([]byte(text), &want); ok != (err == nil && want != nil) {
			t.Fatalf("%q: an object: %v, encoding/json: %v, %v", text, ok, want, err)
		}
		for _, m := range members {
			value := string(want[m.Name])
			if strings.HasPrefix(value, `"`) {
				if err := json.Unmarshal(want[m.Name], &value); err != nil {
					t.Fatal(err)
				}
			}
			if value != "null" && m.Value != value && countNames(members, m.Name) == 1 {
				t.Errorf("%q: member %q is %q, want %q", text, m.Name, m.Value, value)
			}
		}
	})
}

func countNames(members []message.Field, name string) (n int) {
	for _, m := range members {
		if m.Name == name {
			n++
		}
	}
	return n
}
