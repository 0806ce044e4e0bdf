package redisio

import (
	"errors"
	"reflect"

	"github.com/apache/beam/sdks/v2/go/pkg/beam"

	"example.com/beamredis/redisio/sinks"
	"example.com/beamredis/redisio/typed"
)

// WriteValues writes each element of col, a PCollection of any type or of pairs
// of a string, the key, and any type, to the streams of a topic: as JSON in the
// field "data", which [Decode] reads back. [WithKey] tells the keys; elements
// without one go to the partition of their JSON's hash. [WithSerializer]
// writes other formats.
//
// Guarantees, options and dead letters are those of [Write]; an element that
// cannot be serialized is a dead letter as well.
//
// WriteValues panics if the configuration is wrong; see [TryWriteValues].
func WriteValues(s beam.Scope, c Conn, t Topic, col beam.PCollection, opts ...WriteOption) Result {
	return must(TryWriteValues(s, c, t, col, opts...))
}

// TryWriteValues is [WriteValues], but returns an error that names every
// mistake in the configuration.
func TryWriteValues(s beam.Scope, c Conn, t Topic, col beam.PCollection, opts ...WriteOption) (Result, error) {
	var el elementConfig
	rest, errs := el.apply("WriteValues", []string{"WithKey", "WithSerializer"}, opts)
	cfg, err := writeConfig(s, c, t, rest)
	e, colErr := elementsOf(col)
	if e.value == reflect.TypeFor[Message]() {
		colErr = errors.New("col: the elements are messages: Write writes them")
	}
	if cfg.Once != nil && cfg.OnceKey == nil {
		errs = append(errs, errors.New("WithIdempotence: values are of no entry, so that WithIdempotenceKey has to tell them apart"))
	}
	errs = append(errs, err, colErr, el.checkKey(e, true),
		checkFunction("WithSerializer", el.serializer, e, reflect.TypeFor[[]byte]()))
	if err := errors.Join(errs...); err != nil {
		return Result{}, err
	}
	return writeValues(scope(s, "WriteValues"), cfg, typed.EncodeFn{Key: el.key, Serializer: el.serializer}, col), nil
}

func writeValues(s beam.Scope, cfg sinks.WriteConfig, fn typed.EncodeFn, col beam.PCollection) Result {
	msgs, unserialized, collect := typed.Encode(s, fn, col)
	res := sinks.WriteStream(s, cfg, msgs)
	if cfg.ErrorStream != "" {
		*collect = true
		sinks.WriteLetters(s, cfg, unserialized)
	}
	return res.With(s, unserialized, collect)
}

// Decode makes values of type T of msgs, a PCollection of [Message], whose field
// "data" holds them as JSON: what [WriteValues] has written. A message without
// one, or whose JSON is no T, fails the bundle; see [DecodeWithFailed].
//
// T needs a coder on every worker, as all element types do: beam.RegisterType,
// or a registered function that has it.
//
// Decode panics if msgs is something else; see [TryDecodeWithFailed].
func Decode[T any](s beam.Scope, msgs beam.PCollection) beam.PCollection {
	values, _, err := tryDecode[T](s, msgs, false)
	return must(values, err)
}

// DecodeWithFailed is [Decode] with a second PCollection, of [DeadLetter]: the
// messages that could not be decoded.
func DecodeWithFailed[T any](s beam.Scope, msgs beam.PCollection) (values, failed beam.PCollection) {
	values, failed, err := TryDecodeWithFailed[T](s, msgs)
	return must(values, err), failed
}

// TryDecodeWithFailed is [DecodeWithFailed], but returns an error if msgs is no
// PCollection of [Message].
func TryDecodeWithFailed[T any](s beam.Scope, msgs beam.PCollection) (values, failed beam.PCollection, err error) {
	return tryDecode[T](s, msgs, true)
}

func tryDecode[T any](s beam.Scope, msgs beam.PCollection, collectFailed bool) (values, failed beam.PCollection, err error) {
	if err := errors.Join(validScope(s), areMessages(msgs)); err != nil {
		return beam.PCollection{}, beam.PCollection{}, err
	}
	values, failed = typed.Decode(scope(s, "Decode"), reflect.TypeFor[T](), msgs, collectFailed)
	return values, failed, nil
}
