package redisio

import (
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"time"

	"github.com/apache/beam/sdks/v2/go/pkg/beam"
	"github.com/apache/beam/sdks/v2/go/pkg/beam/core/typex"

	"example.com/beamredis/redisio/sinks"
)

// elementConfig is what the options of elements set.
type elementConfig struct {
	given           []string // the options' names, mistaken ones included
	key, serializer *beam.EncodedFunc
	keyPrefix       string
	path            string
	ttl             time.Duration
	replace         bool
}

// elementOption is a [WriteOption] that says what to write of an element of any
// type, and where to. Which of them a write takes is up to the write.
type elementOption struct {
	name string
	set  func(*elementConfig) error
	// write is what it means to Write; nil: nothing.
	write func(*sinks.WriteConfig) error
}

func (o elementOption) applyWrite(cfg *sinks.WriteConfig) error {
	if o.write == nil {
		return notFor(o.name, "Write")
	}
	return o.write(cfg)
}

func (o elementOption) optionName() string { return o.name }

func notFor(option, write string) error { return fmt.Errorf("%s: %s has no use for it", option, write) }

// WithKey has fn tell the key of an element. fn must be a named, registered
// function: register.Function1x1(fn) in an init function. Default: the key of
// the pair where the elements are pairs, and that of a [Message].
//
// For [WriteJSON], [WriteHash] and [WriteValues].
func WithKey[T any](fn func(T) string) WriteOption {
	return functionOption("WithKey", fn, func(cfg *elementConfig, f *beam.EncodedFunc) { cfg.key = f })
}

// WithSerializer has fn make what is written of an element. fn must be a named,
// registered function: register.Function1x2(fn) in an init function. Its error
// makes the element a dead letter.
//
// It returns a [Message] for [Write], which then takes elements of any type T
// (Avro, protocol buffers, schema rows); []byte for [WriteJSON], where that has
// to be JSON, and for [WriteValues]; a map[string]string, or []Field where their
// order matters, for [WriteHash].
func WithSerializer[T any, P Message | []byte | map[string]string | []Field](fn func(T) (P, error)) WriteOption {
	o := functionOption("WithSerializer", fn, func(cfg *elementConfig, f *beam.EncodedFunc) { cfg.serializer = f })
	o.write = func(cfg *sinks.WriteConfig) (err error) {
		cfg.Serializer, err = encodedFunc(o.name, fn)
		return err
	}
	return o
}

func functionOption(name string, fn any, set func(*elementConfig, *beam.EncodedFunc)) elementOption {
	return elementOption{name: name, set: func(cfg *elementConfig) error {
		f, err := encodedFunc(name, fn)
		if err == nil {
			set(cfg, f)
		}
		return err
	}}
}

// WithKeyPrefix puts prefix before every key, such as "order:". For [WriteJSON]
// and [WriteHash]. Default: none.
func WithKeyPrefix(prefix string) WriteOption {
	return elementOption{name: "WithKeyPrefix", set: func(cfg *elementConfig) error {
		cfg.keyPrefix = prefix
		return nil
	}}
}

// WithTTL has every write set the time that its document has to live, from then
// on, in steps of a millisecond. The two are one: a write that fails leaves the
// time to live of what is there as it was. For [WriteJSON] and [WriteHash].
// Default: none is set; one that a key has stays.
func WithTTL(d time.Duration) WriteOption {
	return elementOption{name: "WithTTL", set: func(cfg *elementConfig) error {
		cfg.ttl = d
		return positive("WithTTL", d)
	}}
}

// WithPath writes the value at a path within the JSON document, such as
// "$.status". The document has to exist, and all of the path but its last
// part; an element for which they do not is a dead letter. For [WriteJSON].
// Default: "$", the whole document.
func WithPath(path string) WriteOption {
	return elementOption{name: "WithPath", set: func(cfg *elementConfig) error {
		cfg.path = path
		if !strings.HasPrefix(path, "$") && !strings.HasPrefix(path, ".") {
			return fmt.Errorf("WithPath: %q is no path: want one that begins with $ or with a dot", path)
		}
		return nil
	}}
}

// WithReplace has a hash hold what is written and nothing else: other fields,
// and a time to live that is not set anew, go. For [WriteHash]. Default:
// fields that are not written stay.
func WithReplace() WriteOption {
	return elementOption{name: "WithReplace", set: func(cfg *elementConfig) error {
		cfg.replace = true
		return nil
	}}
}

// apply sets the options of elements that the write called write takes, and
// returns the other options.
func (cfg *elementConfig) apply(write string, takes []string, opts []WriteOption) (rest []WriteOption, errs []error) {
	for _, o := range opts {
		own, ok := o.(elementOption)
		switch {
		case !ok:
			rest = append(rest, o)
		case !slices.Contains(takes, own.name):
			errs = append(errs, notFor(own.name, write))
		default:
			cfg.given = append(cfg.given, own.name)
			errs = append(errs, own.set(cfg))
		}
	}
	return rest, errs
}

// elements are the type of what a PCollection holds.
type elements struct {
	value reflect.Type
	pairs bool // of a string and a value
}

var errNoCollection = errors.New("col: not a valid PCollection")

// elementsOf refuses what has no one Go type.
func elementsOf(col beam.PCollection) (elements, error) {
	if !col.IsValid() {
		return elements{}, errNoCollection
	}
	t := col.Type()
	switch {
	case typex.IsKV(t) && t.Components()[0].Type().Kind() != reflect.String:
		return elements{}, fmt.Errorf("col: a PCollection of %v: the key of a pair has to be a string", t)
	case typex.IsKV(t) && !typex.IsComposite(t.Components()[1].Type()):
		return elements{t.Components()[1].Type(), true}, nil
	case typex.IsComposite(t.Type()):
		return elements{}, fmt.Errorf("col: a PCollection of %v, want one of values, or of pairs of a string and a value", t)
	}
	return elements{t.Type(), false}, nil
}

// checkFunction compares a function with the elements that it will be given.
func checkFunction(option string, fn *beam.EncodedFunc, e elements, results ...reflect.Type) error {
	if fn == nil || e.value == nil {
		return nil
	}
	t := fn.Fn.Type()
	switch {
	case t.In(0) != e.value:
		return fmt.Errorf("%s: the function takes %v, the elements are %v", option, t.In(0), e.value)
	case !slices.Contains(results, t.Out(0)):
		return fmt.Errorf("%s: the function returns %v, want %v", option, t.Out(0), results)
	}
	return nil
}

// checkKey finds out whether it is clear what the keys are. optional: they need
// not be.
func (cfg *elementConfig) checkKey(e elements, optional bool) error {
	given := slices.Contains(cfg.given, "WithKey")
	switch {
	case given && e.pairs:
		return errors.New("WithKey: the elements are pairs, which have their keys")
	case !given && !e.pairs && !optional && e.value != nil && e.value != reflect.TypeFor[Message]():
		return fmt.Errorf("WithKey is missing: nothing tells the key of a %v; pairs and messages bring theirs", e.value)
	}
	return checkFunction("WithKey", cfg.key, e, reflect.TypeFor[string]())
}
