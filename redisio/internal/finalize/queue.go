package finalize

import (
	"context"
	"fmt"
	"runtime/debug"
	"sync"

	"example.com/beamredis/redisio/internal/logs"
)

// queue runs tasks one after another in a goroutine that exists only while there are any. The zero queue is ready.
type queue struct {
	mu      sync.Mutex
	tasks   []func()
	running bool
}

// push adds a task; it never blocks.
func (q *queue) push(task func()) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.tasks = append(q.tasks, task)
	if !q.running {
		q.running = true
		busy.Store(q, struct{}{})
		go q.work()
	}
}

func (q *queue) work() {
	for {
		tasks := q.next()
		if tasks == nil {
			return
		}
		for i, task := range tasks {
			tasks[i] = nil
			task()
		}
	}
}

// next takes all that is there; nil ends the worker.
func (q *queue) next() []func() {
	q.mu.Lock()
	defer q.mu.Unlock()
	tasks := q.tasks
	q.tasks = nil
	if len(tasks) == 0 {
		q.running = false
		busy.Delete(q)
		return nil
	}
	return tasks
}

// barrier returns a channel that is closed when all tasks of this moment are done.
func (q *queue) barrier() <-chan struct{} {
	passed := make(chan struct{})
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.running {
		q.tasks = append(q.tasks, func() { close(passed) })
	} else {
		close(passed)
	}
	return passed
}

// busy holds the queues of the process that have a worker.
var busy sync.Map // *queue -> struct{}

// Drain waits until every callback of the process that is due when it is called, of all connections, has returned. Callbacks of bundles
// that the runner has not finalized are not due. If ctx ends first, Drain says so with an error that wraps the context's cause.
func Drain(ctx context.Context) error {
	var barriers []<-chan struct{}
	busy.Range(func(q, _ any) bool {
		barriers = append(barriers, q.(*queue).barrier())
		return true
	})
	for _, passed := range barriers {
		select {
		case <-passed:
		case <-ctx.Done():
			return fmt.Errorf("finalize: callbacks of finalized bundles still run (is the server slow, or the deadline too short?): %w", context.Cause(ctx))
		}
	}
	return nil
}

// guard keeps a callback's panic from ending the worker.
func guard(kind string, fn func()) {
	defer func() {
		if p := recover(); p != nil {
			logs.Log.With("callback", kind, "panic", p).Error("a bundle finalization callback panicked", "stack", string(debug.Stack()))
		}
	}()
	fn()
}
