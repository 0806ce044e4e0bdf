package typed

import (
	"github.com/apache/beam/sdks/v2/go/pkg/beam"
	"github.com/apache/beam/sdks/v2/go/pkg/beam/core/typex"
	"github.com/apache/beam/sdks/v2/go/pkg/beam/core/util/reflectx"
	"github.com/apache/beam/sdks/v2/go/pkg/beam/register"

	"example.com/beamredis/redisio/message"
)

func init() {
	register.DoFn3x1[beam.X, func(message.Message), func(message.DeadLetter), error](&EncodeFn{})
	register.DoFn4x1[string, beam.X, func(message.Message), func(message.DeadLetter), error](&KeyedEncodeFn{})
	register.Emitter1[message.Message]()
	register.Emitter1[message.DeadLetter]()
}

// EncodeFn is the DoFn that makes a message of each value.
type EncodeFn struct {
	// Key is a func(T) string, T being the type of the values; nil: messages
	// have no key.
	Key *beam.EncodedFunc
	// Serializer is a func(T) ([]byte, error); nil: [JSONText].
	Serializer *beam.EncodedFunc
	// CollectFailed has dead letters emitted. Without it a value that cannot be
	// encoded fails the bundle.
	CollectFailed bool

	key       reflectx.Func1x1
	serialize reflectx.Func1x2
	json      JSONText
}

// KeyedEncodeFn is [EncodeFn] for pairs of a key and a value.
type KeyedEncodeFn struct{ EncodeFn }

// Encode makes messages of col, values or pairs of a string and a value.
// failed holds dead letters if the mark collect is set before the pipeline
// runs.
func Encode(s beam.Scope, fn EncodeFn, col beam.PCollection) (msgs, failed beam.PCollection, collect *bool) {
	if typex.IsKV(col.Type()) {
		keyed := &KeyedEncodeFn{fn}
		msgs, failed = beam.ParDo2(s, keyed, col)
		return msgs, failed, &keyed.CollectFailed
	}
	msgs, failed = beam.ParDo2(s, &fn, col)
	return msgs, failed, &fn.CollectFailed
}

// Setup finds the user's functions.
func (f *EncodeFn) Setup() {
	if f.Key != nil {
		f.key = reflectx.ToFunc1x1(f.Key.Fn)
	}
	if f.Serializer != nil {
		f.serialize = reflectx.ToFunc1x2(f.Serializer.Fn)
	}
}

// ProcessElement encodes v.
func (f *EncodeFn) ProcessElement(v beam.X, emit func(message.Message), fail func(message.DeadLetter)) error {
	var m message.Message
	if f.key != nil {
		m = keyed(f.key.Call1x1(v).(string))
	}
	return f.encode(m, v, emit, fail)
}

// ProcessElement encodes v with the pair's key.
func (f *KeyedEncodeFn) ProcessElement(key string, v beam.X, emit func(message.Message), fail func(message.DeadLetter)) error {
	return f.encode(keyed(key), v, emit, fail)
}

func keyed(key string) message.Message { return message.Message{Key: key, EmptyKey: key == ""} }

func (f *EncodeFn) encode(m message.Message, v any, emit func(message.Message), fail func(message.DeadLetter)) error {
	text, err := f.text(v)
	if err != nil {
		letter, err := Unserialized(m, v, err, f.CollectFailed)
		if err == nil {
			fail(letter)
		}
		return err
	}
	m.Fields = []message.Field{{Name: DataField, Value: text}}
	emit(m)
	return nil
}

func (f *EncodeFn) text(v any) (string, error) {
	if f.serialize == nil {
		return f.json.Of(v)
	}
	out, err := f.serialize.Call1x2(v)
	if err != nil {
		return "", err.(error)
	}
	return string(out.([]byte)), nil
}
