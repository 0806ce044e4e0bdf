package demo

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestTheSameOrdersComeAtEveryStart(t *testing.T) {
	first, second := NewOrders(), NewOrders()
	for range 1000 {
		if diff := cmp.Diff(first.Next(), second.Next()); diff != "" {
			t.Fatalf("(-first +second):\n%s", diff)
		}
	}
	o := first.Next()
	if number, _ := o.Get("order"); number != "2026-001001" || !strings.HasPrefix(o.Key, "customer-") {
		t.Errorf("order %s of %s", number, o.Key)
	}
}
