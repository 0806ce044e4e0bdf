package finalize

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
)

// The bubble of synctest fails the test if a worker is still there at its end.
func TestQueueKeepsOrderAndHasNoWorkerWhenIdle(t *testing.T) {
	bubble(t, func(t *testing.T) {
		var q queue
		var ran journal
		var want []string
		for i := range 100 {
			want = append(want, fmt.Sprint(i))
			q.push(func() { ran.add(fmt.Sprint(i)) })
			if i%10 == 0 {
				synctest.Wait()
				if q.running {
					t.Fatalf("after task %d the worker is still there", i)
				}
			}
		}
		synctest.Wait()
		if diff := cmp.Diff(want, ran.all()); diff != "" {
			t.Errorf("tasks (-want +got):\n%s", diff)
		}
		if _, ok := busy.Load(&q); ok {
			t.Error("the idle queue counts as busy")
		}
	})
}

func TestQueueRunsEveryTaskOfConcurrentPushers(t *testing.T) {
	var q queue
	var pushers sync.WaitGroup
	ran := 0 // written by one task at a time
	for range 8 {
		pushers.Go(func() {
			for range 500 {
				q.push(func() { ran++ })
			}
		})
	}
	pushers.Wait()
	drain(t)
	if ran != 8*500 {
		t.Errorf("%d tasks ran, want %d", ran, 8*500)
	}
}

func TestDrainWaitsForWhatIsDue(t *testing.T) {
	bubble(t, func(t *testing.T) {
		h := newHarness(t, t.Context())
		var ran journal
		for _, id := range []string{"due", "not finalized"} {
			h.process(id, outcome{}, func(b *Bundle) {
				b.OnCommit(func(context.Context) { time.Sleep(10 * time.Second); ran.add(id) })
			})
		}
		h.finalize("due")

		short, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		err := Drain(short)
		if !errors.Is(err, context.DeadlineExceeded) || !strings.Contains(err.Error(), "callbacks of finalized bundles still run") {
			t.Errorf("with a deadline of 1s Drain returned %v, want an error that says what still runs", err)
		}
		if err := Drain(t.Context()); err != nil {
			t.Errorf("Drain: %v", err)
		}
		if diff := cmp.Diff([]string{"due"}, ran.all()); diff != "" {
			t.Errorf("callbacks (-want +got):\n%s", diff)
		}
	})
}

func TestDrainDoesNotWaitForLaterCallbacks(t *testing.T) {
	bubble(t, func(t *testing.T) {
		var q queue
		due, later := make(chan struct{}), make(chan struct{})
		q.push(func() { <-due })
		drained := make(chan error, 1)
		go func() { drained <- Drain(t.Context()) }()
		synctest.Wait()
		q.push(func() { <-later })
		close(due)
		synctest.Wait()
		select {
		case err := <-drained:
			if err != nil {
				t.Error(err)
			}
		default:
			t.Error("Drain waits for a callback that became due after it was called")
		}
		close(later)
	})
}
