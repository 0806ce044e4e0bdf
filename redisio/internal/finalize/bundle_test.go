package finalize

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"runtime"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestOnEndTellsWhetherTheBundleFailed(t *testing.T) {
	for name, end := range map[string]outcome{"succeeded": {}, "failed": {err: "boom"}} {
		t.Run(name, func(t *testing.T) {
			h := newHarness(t, t.Context())
			var ran journal
			note := func(label string) func(bool) {
				return func(failed bool) { ran.add(fmt.Sprint(label, " failed=", failed)) }
			}
			var late *Bundle
			h.process("inst001", end, func(b *Bundle) {
				b.OnEnd(note("first"))
				b.OnEnd(func(bool) { panic("an end callback of a test") })
				b.OnEnd(note("second"))
				late = b
			})
			late.OnEnd(note("late"))
			drain(t)
			failed := fmt.Sprint(" failed=", end.err != "")
			if diff := cmp.Diff([]string{"first" + failed, "second" + failed, "late" + failed}, ran.all()); diff != "" {
				t.Errorf("callbacks (-want +got):\n%s", diff)
			}
		})
	}
}

func TestOnCommitAfterTheEndIsRefused(t *testing.T) {
	h := newHarness(t, t.Context())
	var late *Bundle
	h.process("inst001", outcome{}, func(b *Bundle) { late = b })
	if late.OnCommit(func(context.Context) { t.Error("it ran") }) {
		t.Error("OnCommit was accepted after the bundle had ended")
	}
	h.finalize("inst001")
	drain(t)
}

func TestPanickingCallbackIsLoggedAndTheNextOneRuns(t *testing.T) {
	var log bytes.Buffer
	before := slog.Default()
	slog.SetDefault(slog.New(slog.NewTextHandler(&log, nil)))
	defer slog.SetDefault(before)

	h := newHarness(t, t.Context())
	var ran journal
	broken := fmt.Sprint("the broken callback ", rand.Uint64()) // equal lines are not logged twice
	h.process("inst001", outcome{}, func(b *Bundle) {
		b.OnCommit(func(context.Context) { panic(broken) })
		b.OnCommit(ran.commit("next"))
	})
	h.finalize("inst001")
	drain(t)
	if diff := cmp.Diff([]string{"next"}, ran.all()); diff != "" {
		t.Errorf("callbacks (-want +got):\n%s", diff)
	}
	for _, want := range []string{"level=ERROR", broken, "bundle_test.go"} {
		if !strings.Contains(log.String(), want) {
			t.Errorf("the log does not have %q:\n%s", want, &log)
		}
	}
}

// bubble runs f in a synctest bubble once the workers of earlier tests are gone:
// Drain waits for all of the process, and one outside would be waited for from
// within the bubble, which counts as a deadlock.
func bubble(t *testing.T, f func(*testing.T)) {
	t.Helper()
	for deadline := time.Now().Add(time.Minute); anyBusy(); runtime.Gosched() {
		if time.Now().After(deadline) {
			t.Fatal("callbacks of an earlier test still run")
		}
	}
	synctest.Test(t, f)
}

func anyBusy() bool {
	found := false
	busy.Range(func(_, _ any) bool { found = true; return false })
	return found
}

func TestCallbackContextOutlivesBundleAndConnection(t *testing.T) {
	bubble(t, func(t *testing.T) {
		type valueKey struct{}
		worker, stop := context.WithCancel(context.WithValue(t.Context(), valueKey{}, "kept"))
		h := newHarness(t, worker)
		var took time.Duration
		h.process("inst001", outcome{}, func(b *Bundle) {
			b.OnCommit(func(ctx context.Context) {
				if ctx.Value(valueKey{}) != "kept" || FromContext(ctx) != b {
					t.Error("the context lost the bundle's values")
				}
				start := time.Now()
				<-ctx.Done()
				took = time.Since(start)
			})
		})
		stop()
		<-h.conn().Done()
		h.finalize("inst001")
		if err := Drain(t.Context()); err != nil {
			t.Fatal(err)
		}
		if took != time.Minute {
			t.Errorf("the context ended after %v, want 1m", took)
		}
	})
}

func TestSlowConnectionDoesNotHoldUpOthers(t *testing.T) {
	bubble(t, func(t *testing.T) {
		slow, quick := newHarness(t, t.Context()), newHarness(t, t.Context())
		release := make(chan struct{})
		var ran journal
		slow.process("inst001", outcome{}, func(b *Bundle) {
			b.OnCommit(func(context.Context) { <-release; ran.add("slow commit") })
		})
		slow.finalize("inst001")
		slow.process("inst002", outcome{}, func(b *Bundle) {
			b.OnEnd(func(bool) { ran.add("end behind the slow commit") })
		})
		synctest.Wait()
		quick.process("inst001", outcome{}, func(b *Bundle) { b.OnCommit(ran.commit("quick commit")) })
		quick.finalize("inst001")
		synctest.Wait()
		close(release)
		synctest.Wait()
		want := []string{"end behind the slow commit", "quick commit", "slow commit"}
		if diff := cmp.Diff(want, ran.all()); diff != "" {
			t.Errorf("callbacks (-want +got):\n%s", diff)
		}
	})
}

func TestValueIsMadeOncePerScope(t *testing.T) {
	h := newHarness(t, t.Context())
	type connKey struct{}
	type perBundleKey struct{}
	var made journal
	lookUp := func(b *Bundle) {
		b.Connection().Value(connKey{}, func() any {
			made.add("connection")
			return b.Connection().Value(perBundleKey{}, func() any { return "another key may be looked up meanwhile" })
		})
		b.Value(perBundleKey{}, func() any { made.add("bundle " + b.id); return b.id })
	}
	for _, id := range []string{"inst001", "inst002"} {
		h.process(id, outcome{}, func(b *Bundle) {
			var all sync.WaitGroup
			for range 8 {
				all.Go(func() { lookUp(b) })
			}
			all.Wait()
			if got := b.Value(perBundleKey{}, nil); got != id {
				t.Errorf("bundle %s has the value %v", id, got)
			}
		})
	}
	if diff := cmp.Diff([]string{"connection", "bundle inst001", "bundle inst002"}, made.all()); diff != "" {
		t.Errorf("made (-want +got):\n%s", diff)
	}
}

func TestValueOfABundleIsLetGoAtItsEnd(t *testing.T) {
	h := newHarness(t, t.Context())
	type key struct{}
	var ended *Bundle
	h.process("inst001", outcome{}, func(b *Bundle) {
		b.OnCommit(func(context.Context) {}) // so that the bundle waits
		b.Value(key{}, func() any { return "during" })
		ended = b
	})
	if got := ended.Value(key{}, func() any { return "made again" }); got != "made again" {
		t.Errorf("after its end the bundle still holds %q", got)
	}
}
