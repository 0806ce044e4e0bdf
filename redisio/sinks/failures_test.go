package sinks

import (
	"errors"
	"strings"
	"testing"

	"github.com/apache/beam/sdks/v2/go/pkg/beam"

	"example.com/beamredis/redisio/message"
)

var errUnreadable = errors.New("unreadable")

func noMessage(item) (message.Message, error) { return message.Message{}, errUnreadable }

func TestAnElementThatNobodyCanSerializeIsShownWithTheCause(t *testing.T) {
	fn := &SerializeFn{Fn: funcOf(noMessage)}
	fn.Setup()
	err := fn.ProcessElement(0, item{Key: "k7"}, func(message.Message) {}, func(beam.EventTime, message.DeadLetter) {})
	if !errors.Is(err, errUnreadable) || !strings.Contains(err.Error(), "{Key:k7") {
		t.Errorf("error %v, want one that wraps the function's and shows the element", err)
	}
}
