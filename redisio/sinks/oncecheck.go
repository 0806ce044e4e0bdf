package sinks

import (
	"context"
	"fmt"
	"reflect"
	"sync"

	"github.com/apache/beam/sdks/v2/go/pkg/beam/core/util/reflectx"

	"example.com/beamredis/redisio/internal/finalize"
	"example.com/beamredis/redisio/internal/logs"
	"example.com/beamredis/redisio/internal/rdb"
	"example.com/beamredis/redisio/message"
)

var onceKeyType = reflect.TypeFor[func(message.Message) string]()

// placeOf gives a message its place among the outputs: by the user's key where
// there is one.
func (w *WriteFn) placeOf(m *message.Message) (place, error) {
	if w.OnceKey == nil {
		return w.seq.place(m)
	}
	if w.onceKey == nil {
		if err := checkFunc(w.OnceKey, onceKeyType); err != nil {
			return place{}, fmt.Errorf("idempotence key function %w", err)
		}
		w.onceKey = reflectx.ToFunc1x1(w.OnceKey.Fn)
	}
	return place{member: w.seq.byUserKey(w.onceKey.Call1x1(*m).(string))}, nil
}

// sinkNames are the names of the sinks that one worker runs, and which sink has
// each.
type sinkNames struct {
	mu    sync.Mutex
	sinks map[string]string
}

type sinkNamesKey struct{}

// checkOnce refuses two sinks of one name in a pipeline: what one of them wrote,
// the other would take for its own. And it warns, once for each worker, about a
// server that may throw the state away.
func (w *WriteFn) checkOnce(ctx context.Context) error {
	b := finalize.FromContext(ctx)
	if b == nil {
		return nil
	}
	names := b.Connection().Value(sinkNamesKey{}, func() any { return &sinkNames{sinks: map[string]string{}} }).(*sinkNames)
	sink, fresh := names.claim(w.Once.Name, w.Once.Sink)
	if sink != w.Once.Sink {
		return fmt.Errorf("two sinks of this pipeline have the idempotence name %q: one would take for written what only the other wrote; give each a name of its own", w.Once.Name)
	}
	if fresh {
		w.warnOfEviction(ctx)
	}
	return nil
}

func (n *sinkNames) claim(name, sink string) (holder string, fresh bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	holder, ok := n.sinks[name]
	if !ok {
		n.sinks[name] = sink
		return sink, true
	}
	return holder, false
}

// warnOfEviction says nothing where the server does not tell: the first write
// will show what is wrong with it.
func (w *WriteFn) warnOfEviction(ctx context.Context) {
	client, err := rdb.Open(w.Conn)
	if err != nil {
		return
	}
	if policy, _ := client.EvictionPolicy(ctx); policy != "" {
		logs.Log.WarnContext(ctx, "Redis removes keys when its memory is full: with the state of idempotent writing gone, entries can be written twice; use noeviction",
			"address", w.Conn.WithDefaults().Addr, "maxmemory_policy", policy)
	}
}
