package message

import (
	"testing"
	"unsafe"

	"github.com/google/go-cmp/cmp"
)

func TestKeyMayBeEmpty(t *testing.T) {
	tests := []struct {
		msg  Message
		want bool
	}{
		{Message{}, false},
		{Message{Key: "k"}, true},
		{Message{EmptyKey: true}, true},
		{Message{Key: "k", EmptyKey: true}, true},
	}
	for _, tt := range tests {
		if got := tt.msg.HasKey(); got != tt.want {
			t.Errorf("HasKey of %+v is %t", tt.msg, got)
		}
	}
}

func TestGetGivesTheFirstOfEqualNames(t *testing.T) {
	tests := []struct {
		name, want string
		ok         bool
	}{
		{"sku", "A-1", true},
		{"qty", "2", true},
		{"", "", true},
		{"SKU", "", false},
	}
	for _, tt := range tests {
		if got, ok := order.Get(tt.name); got != tt.want || ok != tt.ok {
			t.Errorf("Get(%q) = %q, %t; want %q, %t", tt.name, got, ok, tt.want, tt.ok)
		}
	}
}

func TestSizeCountsPayloadOnly(t *testing.T) {
	m := Message{Stream: "orders:1", ID: MaxID, Key: "abc", Fields: []Field{{"n", "12"}, {"", "3"}}}
	if got := m.Size(); got != 7 {
		t.Errorf("Size() = %d, want 7", got)
	}
}

func TestCloneSharesNoMemory(t *testing.T) {
	decoded, err := DecodeMessage(AppendMessage(nil, order))
	if err != nil {
		t.Fatal(err)
	}
	clone := decoded.Clone()
	if diff := cmp.Diff(decoded, clone); diff != "" {
		t.Errorf("clone (-original +clone):\n%s", diff)
	}
	if unsafe.StringData(clone.Stream) == unsafe.StringData(decoded.Stream) ||
		unsafe.StringData(clone.Key) == unsafe.StringData(decoded.Key) {
		t.Error("the clone shares its stream or key")
	}
	for i := range clone.Fields {
		if value := clone.Fields[i].Value; value != "" && unsafe.StringData(value) == unsafe.StringData(decoded.Fields[i].Value) {
			t.Errorf("the clone shares the value of field %d", i)
		}
	}
	clone.Fields[0].Name = "changed"
	if decoded.Fields[0].Name != "sku" {
		t.Error("the clone shares its fields")
	}
	if (Message{}).Clone().Fields != nil {
		t.Error("the clone of no fields has some")
	}
}
