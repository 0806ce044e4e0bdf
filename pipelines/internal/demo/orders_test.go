package demo

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestTheSameOrdersComeAtEveryStart(t *testing.T) {
	first, second := newOrders(), newOrders()
	for range 1000 {
		if diff := cmp.Diff(first.order(), second.order()); diff != "" {
			t.Fatalf("(-first +second):\n%s", diff)
		}
	}
	o := first.order()
	if number, _ := o.Get("order"); number != "2026-001001" || !strings.HasPrefix(o.Key, "customer-") {
		t.Errorf("order %s of %s", number, o.Key)
	}
}
