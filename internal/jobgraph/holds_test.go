package jobgraph

import (
	"encoding/base64"
	"testing"
)

func TestHoldsLooksIntoBase64(t *testing.T) {
	once := base64.StdEncoding.EncodeToString([]byte(`{"password":"correct-horse"}`))
	twice := base64.StdEncoding.EncodeToString([]byte("<" + once + ">"))
	for text, want := range map[string]bool{"a correct-horse b": true, once: true, "xy" + once: true, twice: true, "correct_horse": false, "": false} {
		if got := Holds(text, "correct-horse"); got != want {
			t.Errorf("%q: %v, want %v", text, got, want)
		}
	}
}
