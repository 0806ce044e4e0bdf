package rdb

import (
	"errors"
	"runtime"
	"strings"
	"testing"
)

// TestClientsThatRefuseLeaveNothingBehind: while a secret is missing there is one
// for every command.
func TestClientsThatRefuseLeaveNothingBehind(t *testing.T) {
	missing := errors.New("no such secret")
	before := runtime.NumGoroutine()
	for range 100 {
		client := refusing(missing)
		if err := client.Ping(t.Context()).Err(); !errors.Is(err, missing) {
			t.Fatalf("error %v", err)
		}
		pipe := client.Pipeline()
		set := pipe.Set(t.Context(), "k", "v", 0)
		if _, err := pipe.Exec(t.Context()); !errors.Is(err, missing) || !errors.Is(set.Err(), missing) {
			t.Fatalf("errors %v and %v of a pipeline", err, set.Err())
		}
	}
	pollUntil(t, "their goroutines have ended", func() bool {
		stacks := make([]byte, 1<<20)
		stacks = stacks[:runtime.Stack(stacks, true)]
		return runtime.NumGoroutine() < before+50 && strings.Count(string(stacks), "maintnotifications") < 50
	})
}
