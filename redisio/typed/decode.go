package typed

import (
	"encoding/json"
	"errors"
	"fmt"
	"reflect"

	"github.com/apache/beam/sdks/v2/go/pkg/beam"
	"github.com/apache/beam/sdks/v2/go/pkg/beam/register"

	"example.com/beamredis/redisio/message"
)

func init() {
	register.DoFn3x1[message.Message, func(beam.X), func(message.DeadLetter), error](&DecodeFn{})
	register.Emitter1[beam.X]()
}

// DecodeFn is the DoFn that makes values of messages.
type DecodeFn struct {
	// Type is that of the values.
	Type beam.EncodedType
	// CollectFailed has dead letters emitted. Without it a message that cannot
	// be decoded fails the bundle.
	CollectFailed bool

	value reflect.Value // of Type, behind a pointer
}

// Decode makes values of type t of msgs.
func Decode(s beam.Scope, t reflect.Type, msgs beam.PCollection, collectFailed bool) (values, failed beam.PCollection) {
	fn := &DecodeFn{Type: beam.EncodedType{T: t}, CollectFailed: collectFailed}
	return beam.ParDo2(s, fn, msgs, beam.TypeDefinition{Var: beam.XType, T: t})
}

// Setup makes room for one value.
func (f *DecodeFn) Setup() { f.value = reflect.New(f.Type.T) }

// ProcessElement decodes m.
func (f *DecodeFn) ProcessElement(m message.Message, emit func(beam.X), fail func(message.DeadLetter)) error {
	data, ok := m.Get(DataField)
	if !ok {
		return buried(message.DeadLetter{Message: m}, errNoData, f.CollectFailed, fail)
	}
	f.value.Elem().SetZero() // nothing of the value before may shine through
	if err := json.Unmarshal([]byte(data), f.value.Interface()); err != nil {
		return buried(message.DeadLetter{Message: m}, fmt.Errorf("field %q: %w", DataField, err), f.CollectFailed, fail)
	}
	emit(f.value.Elem().Interface()) // a copy
	return nil
}

var errNoData = errors.New(`there is no field "data" to decode`)

// buried emits letter with its reason, or fails the bundle where nobody looks.
func buried(letter message.DeadLetter, reason error, collect bool, fail func(message.DeadLetter)) error {
	if !collect {
		return fmt.Errorf("%s: %w (to keep such messages aside, use DecodeWithFailed)", describe(&letter.Message), reason)
	}
	letter.Reason = message.OneLine(reason)
	fail(letter)
	return nil
}

// describe tells people which message it is.
func describe(m *message.Message) string {
	text := "element"
	if m.Stream != "" {
		text = fmt.Sprintf("entry %s of %s", m.ID, m.Stream)
	}
	return text + withKey(m)
}
