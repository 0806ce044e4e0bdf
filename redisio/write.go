package redisio

import (
	"errors"
	"fmt"
	"reflect"

	"github.com/apache/beam/sdks/v2/go/pkg/beam"

	"example.com/beamredis/redisio/sinks"
)

// Write adds the messages of msgs, a PCollection of [Message], or of anything
// else where [WithSerializer] says how, to the streams of a topic: each to the partition of its key, or, without a key, to that of its
// payload. Stream and ID of a message that was read play no part: the server
// assigns new IDs.
//
// Writing is at least once: a bundle that fails, or a connection that breaks
// before the reply, has entries written again, unless [WithIdempotence] is
// given. Messages of one key stay in order.
//
// An element that can never be written (its stream key holds another type, it
// is larger than Redis takes, it has no fields) is a dead letter: it comes out
// of [Result.Failed] where that is consumed, goes to the error stream where
// one is named ([WithErrorStream]), and otherwise fails the bundle. What was
// written comes out of [Result.Written].
//
// Write panics if the configuration is wrong; see [TryWrite].
func Write(s beam.Scope, c Conn, t Topic, msgs beam.PCollection, opts ...WriteOption) Result {
	return must(TryWrite(s, c, t, msgs, opts...))
}

// TryWrite is [Write], but returns an error that names every mistake in the
// configuration.
func TryWrite(s beam.Scope, c Conn, t Topic, msgs beam.PCollection, opts ...WriteOption) (Result, error) {
	cfg, err := writeConfig(s, c, t, opts)
	if err := errors.Join(err, canBeWritten(&cfg, msgs)); err != nil {
		return Result{}, err
	}
	return sinks.WriteStream(s, cfg, msgs), nil
}

// writeConfig collects every mistake before it gives up.
func writeConfig(s beam.Scope, c Conn, t Topic, opts []WriteOption) (sinks.WriteConfig, error) {
	cfg := sinks.WriteConfig{Conn: c, Topic: t, KeyField: sinks.DefaultKeyField}
	errs := []error{validScope(s), c.Validate()}
	for _, o := range opts {
		errs = append(errs, o.applyWrite(&cfg))
	}
	if cfg.TopicOf == nil || !reflect.ValueOf(t).IsZero() {
		errs = append(errs, t.Validate())
	}
	errs = append(errs, inOption("trimming", cfg.Trim.Validate()), checkOnce(&cfg), checkIDs(&cfg),
		checkFlush(cfg.Batch), checkErrorStream(cfg.ErrorStream, t, "written"))
	return cfg, errors.Join(errs...)
}

func checkIDs(cfg *sinks.WriteConfig) error {
	switch {
	case cfg.KeepIDs && cfg.Once != nil:
		return errors.New("WithEntryIDs and WithIdempotence exclude each other: an entry that keeps its ID is written once anyway")
	case cfg.KeepIDs && cfg.Trim != (sinks.TrimOptions{}):
		return errors.New("WithEntryIDs and trimming (WithMaxLen, WithMaxAge, WithMinID) exclude each other: " +
			"an entry that was written and trimmed could not be told, when it is written again, from one whose ID is too small; trim the stream beside the pipeline (XTRIM)")
	}
	return nil
}

func checkFlush(b sinks.BatchOptions) error {
	if b.Interval > 0 && b.AtBundleEnd {
		return errors.New("WithFlushInterval and WithFlushAtBundleEnd exclude each other")
	}
	return nil
}

func canBeWritten(cfg *sinks.WriteConfig, elements beam.PCollection) error {
	if cfg.Serializer == nil || !elements.IsValid() {
		return areMessages(elements)
	}
	return inOption("WithSerializer: the function", sinks.CheckSerializer(cfg.Serializer, elements.Type().Type()))
}

func areMessages(msgs beam.PCollection) error {
	switch {
	case !msgs.IsValid():
		return errors.New("msgs: not a valid PCollection")
	case msgs.Type().Type() != reflect.TypeFor[Message]():
		return fmt.Errorf("msgs: a PCollection of %v, want one of redisio.Message", msgs.Type())
	}
	return nil
}

// WriteOption sets an option of [Write].
type WriteOption interface {
	applyWrite(*sinks.WriteConfig) error
	// optionName is what errors call the option.
	optionName() string
}

type writeOption struct {
	name string
	set  func(*sinks.WriteConfig) error
}

func (o writeOption) applyWrite(cfg *sinks.WriteConfig) error { return o.set(cfg) }

func (o writeOption) optionName() string { return o.name }

func (name errorStream) applyWrite(cfg *sinks.WriteConfig) error {
	cfg.ErrorStream = string(name)
	return notEmpty("WithErrorStream", string(name))
}

func (errorStream) optionName() string { return "WithErrorStream" }

func (name keyField) applyWrite(cfg *sinks.WriteConfig) error {
	cfg.KeyField = string(name)
	return nil
}

func (keyField) optionName() string { return "WithKeyField" }
