package finalize

import "sync"

// attachments are values that others keep with a connection or a bundle.
type attachments struct {
	attachMu sync.Mutex
	values   map[any]func() any
}

// Value returns what is attached under key; the first call attaches what create returns. It may be called from several goroutines: create
// runs once, the others wait for it.
// Keys are compared like those of contexts: use a type of your own. What is attached to a bundle is let go when the bundle ends.
func (a *attachments) Value(key any, create func() any) any {
	return a.once(key, create)()
}

// once keeps create from running under the lock, so that it may look up other keys.
func (a *attachments) once(key any, create func() any) func() any {
	a.attachMu.Lock()
	defer a.attachMu.Unlock()
	get, ok := a.values[key]
	if ok {
		return get
	}
	if a.values == nil {
		a.values = map[any]func() any{}
	}
	get = sync.OnceValue(create)
	a.values[key] = get
	return get
}

func (a *attachments) release() {
	a.attachMu.Lock()
	defer a.attachMu.Unlock()
	a.values = nil
}
