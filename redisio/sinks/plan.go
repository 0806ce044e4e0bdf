package sinks

import (
	"cmp"
	"encoding"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"sync"
	"time"
)

// plan is how a struct type becomes the fields of a hash, found out once.
type plan struct {
	fields []planField
	err    error
}

type planField struct {
	name  string
	index []int
	// isEmpty tells values that are left out; nil: there are none.
	isEmpty func(reflect.Value) bool
	text    texter
}

// in returns the field's value in struct v, unless it is not to be written.
func (f *planField) in(v reflect.Value) (value reflect.Value, ok bool) {
	for _, i := range f.index {
		if v.Kind() == reflect.Pointer {
			if v.IsNil() { // of an embedded struct
				return v, false
			}
			v = v.Elem()
		}
		v = v.Field(i)
	}
	return v, f.isEmpty == nil || !f.isEmpty(v)
}

// plans holds a *plan for every type that was met.
var plans sync.Map

// planOf returns the plan of struct type t, or of the struct it points to.
func planOf(t reflect.Type) (*plan, error) {
	if p, ok := plans.Load(t); ok {
		return p.(*plan), p.(*plan).err
	}
	p := &plan{}
	p.fields, p.err = planFields(t)
	plans.Store(t, p)
	return p, p.err
}

func planFields(t reflect.Type) ([]planField, error) {
	s := t
	for s.Kind() == reflect.Pointer {
		s = s.Elem()
	}
	if s.Kind() != reflect.Struct || s == timeType {
		return nil, fmt.Errorf("%v has no fields: a hash is made of a struct, a map[string]string, a redisio.Message, or by a serializer (WithSerializer)", t)
	}
	var c collector
	c.collect(s, nil, nil)
	fields, err := c.resolve()
	if err == nil && len(fields) == 0 {
		err = errors.New("none of its fields is exported")
	}
	if err != nil {
		return nil, fmt.Errorf("%v cannot become a hash: %w", t, err)
	}
	return fields, nil
}

// collector gathers the fields of a struct and of those embedded in it.
type collector struct {
	fields []planField
	errs   []error
}

// collect visits struct t, found at index; above are the structs it is
// embedded in.
func (c *collector) collect(t reflect.Type, index []int, above []reflect.Type) {
	if slices.Contains(above, t) {
		return // it embeds a pointer to itself: its fields are known, and nearer
	}
	above = append(slices.Clone(above), t)
	for i := range t.NumField() {
		sf := t.Field(i)
		at := append(slices.Clone(index), i)
		name, opts := tagOf(sf)
		switch embedded := embeddedStruct(sf); {
		case name == "-":
		case embedded != nil && name == "":
			c.collect(embedded, at, above)
		case sf.IsExported():
			c.add(sf, cmp.Or(name, sf.Name), opts, at)
		}
	}
}

func (c *collector) add(sf reflect.StructField, name string, opts []string, index []int) {
	text, err := texterOf(sf.Type)
	if err != nil {
		c.errs = append(c.errs, fmt.Errorf("field %s: %w", sf.Name, err))
		return
	}
	c.fields = append(c.fields, planField{name: name, index: index, isEmpty: emptyTest(sf.Type, opts), text: text})
}

// resolve applies Go's rule for embedded structs: of several fields of a name,
// the least deeply embedded one counts. Where that is not one, nobody knows
// which is meant.
func (c *collector) resolve() ([]planField, error) {
	var fields []planField
	for _, f := range c.fields {
		rivals := 0
		nearest := true
		for _, other := range c.fields {
			if other.name == f.name {
				nearest = nearest && len(f.index) <= len(other.index)
				if len(f.index) == len(other.index) {
					rivals++
				}
			}
		}
		if nearest && rivals > 1 {
			c.errs = append(c.errs, fmt.Errorf("two fields are called %q", f.name))
		}
		if nearest {
			fields = append(fields, f)
		}
	}
	return fields, errors.Join(c.errs...)
}

// tagOf returns the name that a tag gives a field, if one does, and the tag's
// options. The tag redis goes before json.
func tagOf(sf reflect.StructField) (name string, opts []string) {
	for _, key := range []string{"redis", "json"} {
		tag, ok := sf.Tag.Lookup(key)
		if !ok {
			continue
		}
		if tag == "-" {
			return cmp.Or(name, "-"), opts
		}
		parts := strings.Split(tag, ",")
		name = cmp.Or(name, parts[0])
		if opts == nil {
			opts = parts[1:]
		}
	}
	return name, opts
}

// embeddedStruct returns the struct whose fields count as those of the struct
// it is embedded in.
func embeddedStruct(sf reflect.StructField) reflect.Type {
	t := sf.Type
	if t.Kind() == reflect.Pointer {
		t = t.Elem()
		if !sf.IsExported() {
			return nil // as for encoding/json: it could not be set when read back
		}
	}
	if !sf.Anonymous || t.Kind() != reflect.Struct || t == timeType || marshalsText(t) || marshalsText(reflect.PointerTo(t)) {
		return nil
	}
	return t
}

// emptyTest is what omitempty and omitzero mean in encoding/json.
func emptyTest(t reflect.Type, opts []string) func(reflect.Value) bool {
	switch {
	case slices.Contains(opts, "omitzero"):
		return isZero
	case !slices.Contains(opts, "omitempty"):
		return nil
	}
	switch t.Kind() {
	case reflect.Array, reflect.Map, reflect.Slice, reflect.String:
		return func(v reflect.Value) bool { return v.Len() == 0 }
	case reflect.Struct:
		return nil
	}
	return reflect.Value.IsZero
}

// isZero asks the value itself where it knows, as a time does.
func isZero(v reflect.Value) bool {
	if z, ok := v.Interface().(interface{ IsZero() bool }); ok {
		if v.Kind() == reflect.Pointer && v.IsNil() {
			return true
		}
		return z.IsZero()
	}
	return v.IsZero()
}

var (
	timeType          = reflect.TypeFor[time.Time]()
	textMarshalerType = reflect.TypeFor[encoding.TextMarshaler]()
)

func marshalsText(t reflect.Type) bool { return t.Implements(textMarshalerType) }
