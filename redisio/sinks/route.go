package sinks

import (
	"fmt"
	"reflect"

	"github.com/apache/beam/sdks/v2/go/pkg/beam"
	"github.com/apache/beam/sdks/v2/go/pkg/beam/core/util/reflectx"

	"example.com/beamredis/redisio/message"
	"example.com/beamredis/redisio/topic"
)

// router tells the stream of a message.
type router struct {
	topic   topic.Topic
	streams []string
	// topicOf gives a message's own topic; nil: all have the same.
	topicOf reflectx.Func1x1
	names   map[streamName]string
}

// streamName is a partition of a topic that has a name.
type streamName struct {
	topic     string
	partition int
}

// mostNames bounds the names that are kept where topics are without number.
const mostNames = 10_000

func newRouter(cfg *WriteConfig) (router, error) {
	r := router{topic: cfg.Topic}
	if cfg.TopicOf == nil {
		for i := range cfg.Topic.Len() {
			r.streams = append(r.streams, cfg.Topic.Key(i))
		}
		return r, nil
	}
	if err := checkFunc(cfg.TopicOf, topicOfType); err != nil {
		return r, fmt.Errorf("topic function %w", err)
	}
	r.topicOf, r.names = reflectx.ToFunc1x1(cfg.TopicOf.Fn), map[streamName]string{}
	return r, nil
}

var topicOfType = reflect.TypeFor[func(message.Message) topic.Topic]()

func checkFunc(f *beam.EncodedFunc, want reflect.Type) error {
	if got := f.Fn.Type(); got != want {
		return fmt.Errorf("has type %v, want %v", got, want)
	}
	return nil
}

// streamOf returns the stream that m belongs to. The error is m's own fault.
func (r *router) streamOf(m *message.Message) (string, error) {
	if r.topicOf == nil {
		return r.streams[r.topic.PartitionOf(m)], nil
	}
	t := r.topicOf.Call1x1(*m).(topic.Topic)
	if err := t.Validate(); err != nil {
		return "", fmt.Errorf("the topic for the message: %w", err)
	}
	if len(t.Keys) > 0 {
		return t.Key(t.PartitionOf(m)), nil
	}
	return r.name(t, t.PartitionOf(m)), nil
}

// name is t.Key(i) without making it anew for every message.
func (r *router) name(t topic.Topic, i int) string {
	key := streamName{t.Name, i}
	name, ok := r.names[key]
	if !ok {
		if len(r.names) == mostNames {
			clear(r.names)
		}
		name = t.Key(i)
		r.names[key] = name
	}
	return name
}
