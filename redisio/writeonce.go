package redisio

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"reflect"
	"regexp"
	"strconv"
	"time"

	"github.com/apache/beam/sdks/v2/go/pkg/beam"
	"github.com/apache/beam/sdks/v2/go/pkg/beam/core/util/reflectx"

	"example.com/beamredis/redisio/sinks"
)

var idempotenceName = regexp.MustCompile(`^[A-Za-z0-9_.-]{1,64}$`)

// WithIdempotence has every message written once: what an earlier attempt has
// written, of this job or of one before it, is left out. Without it, messages
// can be written twice after a failure.
//
// name is the sink's: the same whenever the pipeline runs, and another one for
// every other sink. It has up to 64 letters, digits, "_", "." and "-".
//
// A message is known by the entry that it was made of. What comes straight from
// [Read], without a shuffle in between, costs one number for each partition;
// make such messages with the method With of a [Message], and let a DoFn emit
// the same messages in the same order whenever it gets the same entry. All
// others are remembered one by one, see [WithIdempotenceWindow]: what was
// shuffled by its contents, so that equal messages made of one entry count as
// one. Messages that were not read need [WithIdempotenceKey].
//
// The state is kept in Redis beside each stream. docs/idempotence.md says what
// is guaranteed and what it costs.
func WithIdempotence(name string) WriteOption {
	return onceOption("WithIdempotence", func(cfg *sinks.WriteConfig) error {
		cfg.Once.Name = name
		return inOption("WithIdempotence", CheckIdempotenceName(name))
	})
}

// CheckIdempotenceName says what is wrong with a name for [WithIdempotence],
// for programs that take it as a flag.
func CheckIdempotenceName(name string) error {
	if !idempotenceName.MatchString(name) {
		return fmt.Errorf("%q is no name of a sink: want 1 to 64 letters, digits, \"_\", \".\" and \"-\"", name)
	}
	return nil
}

// WithIdempotenceTTL sets how long Redis keeps the state of [WithIdempotence]
// after the last write to a stream: at least the age of the oldest checkpoint
// or savepoint that a job is ever restored from. Default: 7 days.
func WithIdempotenceTTL(d time.Duration) WriteOption {
	return onceOption("WithIdempotenceTTL", func(cfg *sinks.WriteConfig) error {
		cfg.Once.TTL = d
		if d < time.Millisecond {
			return fmt.Errorf("WithIdempotenceTTL: %v is less than a millisecond", d)
		}
		return nil
	})
}

// WithIdempotenceWindow sets how many messages [WithIdempotence] remembers one
// by one for each stream, the latest: at least as many as can be written twice,
// which is what is written between two checkpoints. Redis holds up to twice as
// many, about 80 bytes each. Default: 1,000,000.
func WithIdempotenceWindow(n int) WriteOption {
	return onceOption("WithIdempotenceWindow", func(cfg *sinks.WriteConfig) error {
		cfg.Once.Window = n
		return positive("WithIdempotenceWindow", n)
	})
}

// WithIdempotenceKey has [WithIdempotence] know a message by a key that fn
// gives, instead of by its entry: two messages with one key are one message.
// fn is a named function registered with register.Function1x1. Keys are
// remembered one by one, see [WithIdempotenceWindow].
func WithIdempotenceKey(fn func(Message) string) WriteOption {
	return onceOption("WithIdempotenceKey", func(cfg *sinks.WriteConfig) (err error) {
		cfg.OnceKey, err = encodedFunc("WithIdempotenceKey", fn)
		return err
	})
}

// onceOption makes sure that there is something to set.
func onceOption(name string, set func(*sinks.WriteConfig) error) WriteOption {
	return writeOption{name, func(cfg *sinks.WriteConfig) error {
		if cfg.Once == nil {
			// Two sinks of a pipeline differ in it, whatever their names.
			cfg.Once = &sinks.OnceOptions{Sink: strconv.FormatUint(rand.Uint64(), 36)}
		}
		return set(cfg)
	}}
}

func checkOnce(cfg *sinks.WriteConfig) error {
	if cfg.Once != nil && cfg.Once.Name == "" {
		return errors.New("WithIdempotenceTTL, WithIdempotenceWindow and WithIdempotenceKey need WithIdempotence")
	}
	return nil
}

// encodedFunc makes fn travel by its name.
func encodedFunc(option string, fn any) (*beam.EncodedFunc, error) {
	if reflect.ValueOf(fn).IsNil() {
		return nil, fmt.Errorf("%s: the function is nil", option)
	}
	if err := requireNamed(fn); err != nil {
		return nil, inOption(option, err)
	}
	return &beam.EncodedFunc{Fn: reflectx.MakeFunc(fn)}, nil
}
