package redisio

import (
	"errors"
	"reflect"
	"slices"

	"github.com/apache/beam/sdks/v2/go/pkg/beam"

	"example.com/beamredis/redisio/sinks"
)

// WriteJSON writes each element of col as a JSON document, with JSON.SET: a
// PCollection of any type with [WithKey], of pairs of a string, the key, and any
// type, or of [Message]. The server needs RedisJSON (Redis 8, Redis Stack, or
// the module).
//
// The value is what encoding/json makes of the element, or what
// [WithSerializer] says; of a message the field "data" if that is JSON, else
// its fields as an object. It goes to the whole document, or to a part of it
// ([WithPath]), and [WithTTL] sets the document's time to live with it.
//
// Writing is at least once: a bundle that fails, or a connection that breaks
// before the reply, has documents written again. The documents of one key are
// written in order.
//
// An element that can never be written (it cannot be serialized, its key is
// empty or holds another type, the path's document does not exist) is a dead
// letter: it comes out of [Result.Failed] where that is consumed, goes to the
// error stream where one is named ([WithErrorStream]), and otherwise fails the
// bundle. A key that holds another type keeps its value and time to live.
//
// WriteJSON panics if the configuration is wrong; see [TryWriteJSON].
func WriteJSON(s beam.Scope, c Conn, col beam.PCollection, opts ...WriteOption) Result {
	return must(TryWriteJSON(s, c, col, opts...))
}

// TryWriteJSON is [WriteJSON], but returns an error that names every mistake in
// the configuration.
func TryWriteJSON(s beam.Scope, c Conn, col beam.PCollection, opts ...WriteOption) (Result, error) {
	takes := []string{"WithKey", "WithKeyPrefix", "WithPath", "WithSerializer", "WithTTL"}
	cfg, e, err := documentConfig(s, c, sinks.JSON, "WriteJSON", takes, col, opts)
	err = errors.Join(err, checkFunction("WithSerializer", cfg.Serializer, e, reflect.TypeFor[[]byte]()))
	if err != nil {
		return Result{}, err
	}
	return sinks.WriteDocuments(scope(s, "WriteJSON"), cfg, col), nil
}

// WriteHash writes each element of col as a hash, with HSET: a PCollection of
// any struct with [WithKey], of pairs of a string, the key, and a struct, or of
// [Message].
//
// The fields are the exported ones of the struct, as docs/documents.md says;
// the entries of a map[string]string; of a message the members of the JSON
// object in its field "data", or, without one, its fields; or what
// [WithSerializer] says. Fields that are not written stay, unless
// [WithReplace] says otherwise, and [WithTTL] sets the hash's time to live with
// the write.
//
// Guarantees and dead letters are those of [WriteJSON].
//
// WriteHash panics if the configuration is wrong; see [TryWriteHash].
func WriteHash(s beam.Scope, c Conn, col beam.PCollection, opts ...WriteOption) Result {
	return must(TryWriteHash(s, c, col, opts...))
}

// TryWriteHash is [WriteHash], but returns an error that names every mistake in
// the configuration.
func TryWriteHash(s beam.Scope, c Conn, col beam.PCollection, opts ...WriteOption) (Result, error) {
	takes := []string{"WithKey", "WithKeyPrefix", "WithReplace", "WithSerializer", "WithTTL"}
	cfg, e, err := documentConfig(s, c, sinks.Hash, "WriteHash", takes, col, opts)
	if cfg.Serializer == nil && e.value != nil {
		err = errors.Join(err, inOption("col", sinks.CheckHashType(e.value)))
	}
	err = errors.Join(err, checkFunction("WithSerializer", cfg.Serializer, e, reflect.TypeFor[map[string]string](), reflect.TypeFor[[]Field]()))
	if err != nil {
		return Result{}, err
	}
	return sinks.WriteDocuments(scope(s, "WriteHash"), cfg, col), nil
}

// documentConfig collects every mistake that the two formats can have in
// common.
func documentConfig(s beam.Scope, c Conn, format sinks.Format, write string, takes []string, col beam.PCollection, opts []WriteOption) (sinks.DocumentConfig, elements, error) {
	el := elementConfig{path: sinks.DefaultPath}
	rest, errs := el.apply(write, takes, opts)
	cfg := sinks.DocumentConfig{
		Conn: c, Format: format,
		Key: el.key, KeyPrefix: el.keyPrefix, Serializer: el.serializer,
		TTL: el.ttl, Replace: el.replace,
	}
	if format == sinks.JSON {
		cfg.Path = el.path
	}
	e, err := elementsOf(col)
	errs = append(errs, validScope(s), c.Validate(), err, el.checkKey(e, false))
	errs = append(errs, shareOptions(&cfg, write, rest)...)
	return cfg, e, errors.Join(errs...)
}

// sharedOptions are those that documents have in common with streams.
var sharedOptions = []string{
	"WithBatchBytes", "WithBatchCount", "WithErrorStream", "WithFlushAtBundleEnd", "WithFlushConcurrency", "WithFlushInterval",
	"WithServiceName", "WithTracing", "WithWriteRetry",
}

// shareOptions sets what documents have in common with streams, and refuses
// options that are about streams alone.
func shareOptions(cfg *sinks.DocumentConfig, write string, opts []WriteOption) (errs []error) {
	var shared sinks.WriteConfig
	for _, o := range opts {
		if !slices.Contains(sharedOptions, o.optionName()) {
			errs = append(errs, notFor(o.optionName(), write))
			continue
		}
		errs = append(errs, o.applyWrite(&shared))
	}
	cfg.Batch, cfg.ErrorStream, cfg.Concurrency, cfg.Trace = shared.Batch, shared.ErrorStream, shared.Concurrency, shared.Trace
	return append(errs, checkFlush(cfg.Batch))
}
