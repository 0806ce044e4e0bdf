package typed

import (
	"fmt"
	"reflect"
	"slices"
	"strings"

	"example.com/beamredis/redisio/message"
)

// ElementField is the field of a dead letter's message that holds, as text, an
// element of which nothing else could be made.
const ElementField = "element"

// What is shown of an element: that many bytes, and that many values within
// each other. One that cannot be serialized may have no end.
const (
	mostDescribed = 4 << 10
	mostNested    = 32
)

// Describe is the payload of a dead letter of element: its one field,
// "element", is the element as fmt's %+v writes it, with what pointers point to
// in their place, and up to 4 KiB of it.
func Describe(element any) []message.Field {
	var d describer
	d.value(reflect.ValueOf(element), 0)
	text := d.String()
	if len(text) > mostDescribed {
		text = fmt.Sprintf("%s... (cut at %d bytes)", strings.ToValidUTF8(text[:mostDescribed], ""), mostDescribed)
	}
	return []message.Field{{Name: ElementField, Value: text}}
}

type describer struct{ strings.Builder }

func (d *describer) value(v reflect.Value, depth int) {
	switch {
	case d.Len() > mostDescribed:
		return
	case depth > mostNested:
		d.WriteString("...")
		return
	case !v.IsValid():
		d.WriteString("<nil>")
		return
	case v.CanInterface() && describesItself(v):
		fmt.Fprintf(d, "%+v", v.Interface())
		return
	}
	depth++
	switch v.Kind() {
	case reflect.Pointer, reflect.Interface:
		d.value(v.Elem(), depth)
	case reflect.Struct:
		d.list("{", "}", v.NumField(), func(i int) {
			d.WriteString(v.Type().Field(i).Name + ":")
			d.value(v.Field(i), depth)
		})
	case reflect.Map:
		keys := v.MapKeys()
		slices.SortFunc(keys, func(a, b reflect.Value) int { return strings.Compare(fmt.Sprint(a), fmt.Sprint(b)) })
		d.list("map[", "]", len(keys), func(i int) {
			d.value(keys[i], depth)
			d.WriteByte(':')
			d.value(v.MapIndex(keys[i]), depth)
		})
	case reflect.Slice, reflect.Array:
		if v.Type().Elem().Kind() == reflect.Uint8 {
			fmt.Fprintf(d, "%q", v)
			return
		}
		d.list("[", "]", v.Len(), func(i int) { d.value(v.Index(i), depth) })
	default:
		fmt.Fprint(d, v)
	}
}

// describesItself leaves nil pointers out: their methods may not.
func describesItself(v reflect.Value) bool {
	if v.Kind() == reflect.Pointer && v.IsNil() {
		return false
	}
	switch v.Interface().(type) {
	case fmt.Formatter, fmt.Stringer, error:
		return true
	}
	return false
}

func (d *describer) list(open, end string, n int, item func(int)) {
	d.WriteString(open)
	for i := 0; i < n && d.Len() <= mostDescribed; i++ {
		if i > 0 {
			d.WriteByte(' ')
		}
		item(i)
	}
	d.WriteString(end)
}
