package sinks

import (
	"reflect"

	"github.com/apache/beam/sdks/v2/go/pkg/beam"
	"github.com/apache/beam/sdks/v2/go/pkg/beam/core/util/reflectx"
	"github.com/apache/beam/sdks/v2/go/pkg/beam/register"

	"example.com/beamredis/redisio/message"
	"example.com/beamredis/redisio/typed"
)

func init() {
	register.DoFn4x1[beam.EventTime, beam.X, func(message.Message), func(beam.EventTime, message.DeadLetter), error](&SerializeFn{})
	register.Function1x1(letterMessage)
	register.Emitter1[message.Message]()
}

// SerializeFn makes messages of elements with a function of the user.
type SerializeFn struct {
	// Fn is func(T) (message.Message, error), T being the elements' type.
	Fn *beam.EncodedFunc
	// HasErrorStream and CollectFailed: somebody looks at what cannot be
	// serialized. Otherwise such an element fails the bundle.
	HasErrorStream, CollectFailed bool

	fn reflectx.Func1x2
}

// Setup resolves the function.
func (s *SerializeFn) Setup() { s.fn = reflectx.ToFunc1x2(s.Fn.Fn) }

// ProcessElement emits the message of an element, or its dead letter.
func (s *SerializeFn) ProcessElement(ts beam.EventTime, element beam.X, emit func(message.Message), emitFailed func(beam.EventTime, message.DeadLetter)) error {
	m, fault := s.fn.Call1x2(element)
	if fault == nil {
		emit(m.(message.Message))
		return nil
	}
	letter, err := typed.Unserialized(message.Message{}, element, fault.(error), s.HasErrorStream || s.CollectFailed)
	if err == nil {
		emitFailed(ts, letter)
	}
	return err
}

// CheckSerializer says what is wrong with fn for elements of type t.
func CheckSerializer(fn *beam.EncodedFunc, t reflect.Type) error {
	want := reflect.FuncOf([]reflect.Type{t}, []reflect.Type{reflect.TypeFor[message.Message](), reflect.TypeFor[error]()}, false)
	return checkFunc(fn, want)
}

// serialize puts a SerializeFn before a sink. What it cannot serialize goes to
// the error stream, if there is one, and comes out as failed.
func serialize(s beam.Scope, cfg WriteConfig, col beam.PCollection) (msgs, failed beam.PCollection, fn *SerializeFn) {
	fn = &SerializeFn{Fn: cfg.Serializer, HasErrorStream: cfg.ErrorStream != ""}
	msgs, failed = beam.ParDo2(s, fn, col)
	if fn.HasErrorStream {
		WriteLetters(s, cfg, failed)
	}
	return msgs, failed, fn
}

// WriteLetters adds letters, a PCollection of message.DeadLetter, to the error
// stream of cfg. What cfg says of its topic does not hold for that stream.
func WriteLetters(s beam.Scope, cfg WriteConfig, letters beam.PCollection) {
	plain := WriteConfig{Conn: cfg.Conn, Batch: cfg.Batch}
	plain.Topic.Keys = []string{cfg.ErrorStream}
	WriteStream(s, plain, beam.ParDo(s, letterMessage, letters))
}

// letterMessage makes the message whose entry stands for d in an error stream.
func letterMessage(d message.DeadLetter) message.Message {
	return message.Message{Fields: d.ErrorEntry()}
}
