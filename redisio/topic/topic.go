// Package topic says which streams a topic has and in which of them a message
// belongs.
package topic

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"unicode/utf8"
)

// Topic names the Redis streams that are read or written as one. There are two
// kinds:
//
//   - Name and Partitions: the stream keys "name:0" to "name:n-1".
//   - Keys: an explicit list of stream keys, for streams that exist already.
//     Partitions is then 0 or the number of keys, and Name, which may be empty,
//     is only a label.
//
// A topic travels in the job graph as JSON, so its keys are valid UTF-8.
type Topic struct {
	Name       string   `json:"name,omitempty"`
	Partitions int      `json:"partitions,omitempty"`
	Keys       []string `json:"keys,omitempty"`
}

// Partition is one stream key of a topic: the element that a reader gets.
type Partition struct {
	// Stream is the key of the Redis stream.
	Stream string
	// Index is the position of the partition in its topic, from 0 to Count-1.
	Index int
	// Count is the number of partitions of the topic.
	Count int
	// Salt means nothing but that it changes the encoding, by which Flink decides
	// where the partition is read.
	Salt uint32
}

// Validate reports everything that is wrong with the topic, one line each,
// joined by [errors.Join]; nil if nothing is.
func (t Topic) Validate() error {
	if len(t.Keys) > 0 {
		return errors.Join(t.keysFaults()...)
	}
	return errors.Join(t.nameFault(), t.partitionsFault())
}

func (t Topic) nameFault() error {
	switch {
	case t.Name == "":
		return errors.New("topic: Name is empty: set it, or list the stream keys in Keys")
	case !utf8.ValidString(t.Name):
		return fmt.Errorf("topic: Name %q is not valid UTF-8", t.Name)
	}
	return nil
}

func (t Topic) partitionsFault() error {
	if t.Partitions < 1 {
		return fmt.Errorf("%s: Partitions is %d: it must be at least 1", t.label(), t.Partitions)
	}
	return nil
}

func (t Topic) keysFaults() []error {
	var faults []error
	if !utf8.ValidString(t.Name) {
		faults = append(faults, t.nameFault())
	}
	if t.Partitions != 0 && t.Partitions != len(t.Keys) {
		faults = append(faults, fmt.Errorf("%s: Partitions is %d but Keys lists %d streams: leave Partitions 0",
			t.label(), t.Partitions, len(t.Keys)))
	}
	first := make(map[string]int, len(t.Keys))
	for i, key := range t.Keys {
		if err := t.keyFault(i, key, first); err != nil {
			faults = append(faults, err)
		}
	}
	return faults
}

// keyFault checks Keys[i] and notes in first where each key was seen first.
func (t Topic) keyFault(i int, key string, first map[string]int) error {
	if key == "" {
		return fmt.Errorf("%s: Keys[%d] is empty", t.label(), i)
	}
	if !utf8.ValidString(key) {
		return fmt.Errorf("%s: Keys[%d] %q is not valid UTF-8", t.label(), i, key)
	}
	if j, seen := first[key]; seen {
		return fmt.Errorf("%s: Keys[%d] %q is a duplicate of Keys[%d]", t.label(), i, key, j)
	}
	first[key] = i
	return nil
}

// label begins an error about the topic.
func (t Topic) label() string {
	if t.Name == "" {
		return "topic"
	}
	return fmt.Sprintf("topic %q", t.Name)
}

// Len returns the number of partitions.
func (t Topic) Len() int {
	if len(t.Keys) > 0 {
		return len(t.Keys)
	}
	return max(t.Partitions, 0)
}

// Key returns the stream key of partition i, which must be in [0, t.Len()). For
// a topic with a Name it makes a new string: writers keep the keys.
func (t Topic) Key(i int) string {
	if len(t.Keys) > 0 {
		return t.Keys[i]
	}
	if i < 0 || i >= t.Partitions {
		panic(fmt.Sprintf("topic %q: partition %d of %d", t.Name, i, t.Partitions))
	}
	return t.Name + ":" + strconv.Itoa(i)
}

// Parts returns the partitions of the topic in order.
func (t Topic) Parts() []Partition {
	parts := make([]Partition, t.Len())
	for i := range parts {
		parts[i] = Partition{Stream: t.Key(i), Index: i, Count: len(parts)}
	}
	return parts
}

// Join returns one topic of the streams of several, to read them at once. A
// message tells by its Stream where it comes from. The error says what is wrong
// with the topics, or that two of them share a stream.
func Join(topics ...Topic) (Topic, error) {
	var names []string
	joined := Topic{}
	for _, t := range topics {
		if err := t.Validate(); err != nil {
			return Topic{}, err
		}
		names = append(names, t.Name)
		for i := range t.Len() {
			joined.Keys = append(joined.Keys, t.Key(i))
		}
	}
	joined.Name = strings.Join(names, "+")
	return joined, joined.Validate()
}
