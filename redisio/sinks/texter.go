package sinks

import (
	"encoding"
	"fmt"
	"math"
	"reflect"
	"strconv"
	"time"

	"example.com/beamredis/redisio/typed"
)

// texter returns the text of a value as a field of a hash holds it; ok is false
// for one that is left out.
type texter func(reflect.Value) (text string, ok bool, err error)

// texterOf chooses the texter of a type.
func texterOf(t reflect.Type) (texter, error) {
	switch {
	case t == timeType:
		return timeText, nil
	case t.Kind() == reflect.Pointer:
		return pointerTexter(t)
	case marshalsText(t):
		return marshalledText, nil
	case marshalsText(reflect.PointerTo(t)):
		return addressedText, nil
	}
	return kindTexter(t)
}

func kindTexter(t reflect.Type) (texter, error) {
	switch t.Kind() {
	case reflect.String:
		return func(v reflect.Value) (string, bool, error) { return v.String(), true, nil }, nil
	case reflect.Bool:
		return func(v reflect.Value) (string, bool, error) { return strconv.FormatBool(v.Bool()), true, nil }, nil
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		return func(v reflect.Value) (string, bool, error) { return strconv.FormatInt(v.Int(), 10), true, nil }, nil
	case reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64, reflect.Uintptr:
		return func(v reflect.Value) (string, bool, error) { return strconv.FormatUint(v.Uint(), 10), true, nil }, nil
	case reflect.Float32, reflect.Float64:
		bits := t.Bits()
		return func(v reflect.Value) (string, bool, error) { return floatText(v.Float(), bits), true, nil }, nil
	case reflect.Slice:
		if t.Elem().Kind() == reflect.Uint8 {
			return func(v reflect.Value) (string, bool, error) { return string(v.Bytes()), !v.IsNil(), nil }, nil
		}
		return unlessNil(nestedText), nil
	case reflect.Interface:
		return interfaceText, nil
	case reflect.Map:
		return unlessNil(nestedText), nil
	case reflect.Struct, reflect.Array:
		return nestedText, nil
	}
	return nil, fmt.Errorf("a %v cannot be written", t.Kind())
}

// floatText is the shortest decimal that reads back the same, with an exponent
// where encoding/json writes one, and NaN, +Inf or -Inf.
func floatText(f float64, bits int) string {
	format := byte('f')
	if abs := math.Abs(f); abs != 0 && (abs < 1e-6 || abs >= 1e21) {
		format = 'e'
	}
	return strconv.FormatFloat(f, format, -1, bits)
}

func timeText(v reflect.Value) (string, bool, error) {
	return v.Interface().(time.Time).Format(time.RFC3339Nano), true, nil
}

func marshalledText(v reflect.Value) (string, bool, error) {
	if v.Kind() == reflect.Interface && v.IsNil() {
		return "", false, nil
	}
	text, err := v.Interface().(encoding.TextMarshaler).MarshalText()
	return string(text), true, err
}

// addressedText is for types whose pointers alone can marshal: a field of an
// element has no address.
func addressedText(v reflect.Value) (string, bool, error) {
	p := reflect.New(v.Type())
	p.Elem().Set(v)
	return marshalledText(p)
}

func pointerTexter(t reflect.Type) (texter, error) {
	text, err := texterOf(t.Elem())
	if err != nil {
		return nil, err
	}
	return func(v reflect.Value) (string, bool, error) {
		if v.IsNil() {
			return "", false, nil
		}
		return text(v.Elem())
	}, nil
}

func unlessNil(text texter) texter {
	return func(v reflect.Value) (string, bool, error) {
		if v.IsNil() {
			return "", false, nil
		}
		return text(v)
	}
}

// interfaceText goes by what the interface holds.
func interfaceText(v reflect.Value) (string, bool, error) {
	if v.IsNil() {
		return "", false, nil
	}
	text, err := texterOf(v.Elem().Type())
	if err != nil {
		return "", false, err
	}
	return text(v.Elem())
}

func nestedText(v reflect.Value) (string, bool, error) {
	var t typed.JSONText
	text, err := t.Of(v.Interface())
	return text, err == nil, err
}
