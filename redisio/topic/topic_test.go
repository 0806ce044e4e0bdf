package topic

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestEveryFaultOfATopicIsReportedOnItsLine(t *testing.T) {
	tests := []struct {
		name  string
		topic Topic
		want  []string
	}{
		{"name and partitions", Topic{Name: "orders", Partitions: 4}, nil},
		{"keys", Topic{Keys: []string{"eu", "us"}}, nil},
		{"keys with label and count", Topic{Name: "orders", Partitions: 2, Keys: []string{"eu", "us"}}, nil},
		{"nothing", Topic{}, []string{
			`topic: Name is empty: set it, or list the stream keys in Keys`,
			`topic: Partitions is 0: it must be at least 1`,
		}},
		{"no partitions", Topic{Name: "orders"}, []string{
			`topic "orders": Partitions is 0: it must be at least 1`,
		}},
		{"negative partitions", Topic{Name: "orders", Partitions: -1}, []string{
			`topic "orders": Partitions is -1: it must be at least 1`,
		}},
		{"binary name", Topic{Name: "a\xff", Partitions: 1}, []string{
			`topic: Name "a\xff" is not valid UTF-8`,
		}},
		{"line break in the name", Topic{Name: "a\nb"}, []string{
			`topic "a\nb": Partitions is 0: it must be at least 1`,
		}},
		{"keys and another count", Topic{Name: "orders", Partitions: 3, Keys: []string{"eu", "us"}}, []string{
			`topic "orders": Partitions is 3 but Keys lists 2 streams: leave Partitions 0`,
		}},
		{"bad keys", Topic{Name: "\xff", Partitions: -1, Keys: []string{"eu", "", "eu", "\xfe", "eu"}}, []string{
			`topic: Name "\xff" is not valid UTF-8`,
			`topic "\xff": Partitions is -1 but Keys lists 5 streams: leave Partitions 0`,
			`topic "\xff": Keys[1] is empty`,
			`topic "\xff": Keys[2] "eu" is a duplicate of Keys[0]`,
			`topic "\xff": Keys[3] "\xfe" is not valid UTF-8`,
			`topic "\xff": Keys[4] "eu" is a duplicate of Keys[0]`,
		}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var got []string
			if err := tt.topic.Validate(); err != nil {
				got = strings.Split(err.Error(), "\n")
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("faults (-want +got):\n%s", diff)
			}
		})
	}
}

func TestPartsOfATopic(t *testing.T) {
	tests := []struct {
		name  string
		topic Topic
		want  []Partition
	}{
		{"by name", Topic{Name: "orders", Partitions: 3}, []Partition{
			{Stream: "orders:0", Index: 0, Count: 3},
			{Stream: "orders:1", Index: 1, Count: 3},
			{Stream: "orders:2", Index: 2, Count: 3},
		}},
		{"by keys", Topic{Name: "orders", Keys: []string{"us", "eu"}}, []Partition{
			{Stream: "us", Index: 0, Count: 2},
			{Stream: "eu", Index: 1, Count: 2},
		}},
		{"negative", Topic{Name: "orders", Partitions: -2}, []Partition{}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if diff := cmp.Diff(tt.want, tt.topic.Parts()); diff != "" {
				t.Errorf("parts (-want +got):\n%s", diff)
			}
			if got := tt.topic.Len(); got != len(tt.want) {
				t.Errorf("Len() = %d, want %d", got, len(tt.want))
			}
		})
	}
}

func TestKeyOutsideTheTopicPanics(t *testing.T) {
	topics := []Topic{{Name: "orders", Partitions: 2}, {Keys: []string{"eu", "us"}}}
	for _, topic := range topics {
		for _, i := range []int{-1, 2} {
			if !panics(func() { topic.Key(i) }) {
				t.Errorf("Key(%d) of %+v gave a key", i, topic)
			}
		}
	}
}

func panics(f func()) (panicked bool) {
	defer func() { panicked = recover() != nil }()
	f()
	return false
}

func TestTopicKeepsItsJSONForm(t *testing.T) {
	tests := []struct {
		topic Topic
		want  string
	}{
		{Topic{Name: "orders", Partitions: 4}, `{"name":"orders","partitions":4}`},
		{Topic{Keys: []string{"eu", "us"}}, `{"keys":["eu","us"]}`},
	}
	for _, tt := range tests {
		text, err := json.Marshal(tt.topic)
		if err != nil {
			t.Fatal(err)
		}
		if got := string(text); got != tt.want {
			t.Errorf("JSON %s, want %s", got, tt.want)
		}
		var back Topic
		if err := json.Unmarshal(text, &back); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(tt.topic, back); diff != "" {
			t.Errorf("after a round trip (-want +got):\n%s", diff)
		}
	}
}

func TestJoinedTopicsHaveTheStreamsOfAll(t *testing.T) {
	got, err := Join(Topic{Name: "a", Partitions: 2}, Topic{Name: "b", Keys: []string{"x", "y"}})
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(Topic{Name: "a+b", Keys: []string{"a:0", "a:1", "x", "y"}}, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	for name, topics := range map[string][]Topic{
		"nothing":     nil,
		"no parts":    {{Name: "a"}},
		"one twice":   {{Name: "a", Partitions: 1}, {Name: "a", Partitions: 1}},
		"shared keys": {{Name: "a", Partitions: 1}, {Keys: []string{"a:0"}}},
	} {
		if _, err := Join(topics...); err == nil {
			t.Errorf("%s: joined", name)
		}
	}
}
