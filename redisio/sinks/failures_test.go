package sinks

import (
	"errors"
	"strings"
	"testing"

	"github.com/apache/beam/sdks/v2/go/pkg/beam"
	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

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

func TestAnElementThatCannotBeSerializedIsInItsDeadLetter(t *testing.T) {
	fn := &SerializeFn{Fn: funcOf(noMessage), CollectFailed: true}
	fn.Setup()
	var got []message.DeadLetter
	err := fn.ProcessElement(0, item{Key: "k7", N: 7}, func(message.Message) {}, func(_ beam.EventTime, d message.DeadLetter) { got = append(got, d) })
	if err != nil {
		t.Fatal(err)
	}
	want := []message.DeadLetter{{Message: described("", "{Key:k7 N:7 Pad: Bad:}"), Reason: "serialize: unreadable"}}
	if diff := cmp.Diff(want, got, cmpopts.EquateComparable(message.EntryID{})); diff != "" {
		t.Errorf("dead letters (-want +got):\n%s", diff)
	}
}
