package sdf

import (
	"errors"
	"strings"
	"testing"

	"example.com/beamredis/redisio/topic"
)

func TestPartitionsOfAnotherTopicAreRefused(t *testing.T) {
	four := topic.Topic{Name: "in", Partitions: 4}
	named := topic.Topic{Keys: []string{"a", "b"}}
	for name, tc := range map[string]struct {
		topic topic.Topic
		part  topic.Partition
		want  string // in the error; empty: it is taken
	}{
		"its own":                {four, four.Parts()[3], ""},
		"its own, salted":        {four, Place(four.Parts(), KeyGroups)[2], ""},
		"its own, by key":        {named, named.Parts()[1], ""},
		"any, without a topic":   {topic.Topic{}, four.Parts()[0], ""},
		"of more partitions":     {four, topic.Topic{Name: "in", Partitions: 8}.Parts()[1], "in:1 as partition 1 of 8, the pipeline's topic has 4 partitions from in:0 on"},
		"beyond the last":        {four, topic.Topic{Name: "in", Partitions: 8}.Parts()[7], "in:7 as partition 7 of 8"},
		"of fewer partitions":    {four, topic.Topic{Name: "in", Partitions: 2}.Parts()[0], "in:0 as partition 0 of 2"},
		"of another name":        {four, topic.Topic{Name: "old", Partitions: 4}.Parts()[0], "old:0 as partition 0 of 4"},
		"of keys in other order": {named, topic.Topic{Keys: []string{"b", "a"}}.Parts()[0], "b as partition 0 of 2"},
	} {
		t.Run(name, func(t *testing.T) {
			err := (&Config{Topic: tc.topic}).owns(tc.part)
			switch {
			case tc.want == "" && err != nil:
				t.Error(err)
			case tc.want != "" && (!errors.Is(err, ErrOtherPartitions) || !strings.Contains(err.Error(), tc.want)):
				t.Errorf("error %v, want one with %q", err, tc.want)
			}
		})
	}
}

func TestAReadOfRestoredStateOfAnotherTopicFails(t *testing.T) {
	r := newRunner(t, func(cfg *Config) { cfg.Topic = topic.Topic{Name: stream, Partitions: 2} })
	r.must(r.redis.Do(t.Context(), "xadd", stream, "7-1", "a", "1").Err())
	r.open(stream)
	if b := r.try(mishap{}); !errors.Is(b.err, ErrOtherPartitions) || len(b.got) != 0 {
		t.Errorf("error %v and %d messages, want %v and none", b.err, len(b.got), ErrOtherPartitions)
	}
}
