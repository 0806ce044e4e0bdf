package sdf

import (
	"sync"
	"time"

	"example.com/beamredis/redisio/internal/finalize"
)

// memory holds the readers of one harness connection between bundles. It dies
// with the connection: what a worker fetched and never claimed means nothing
// to another one.
type memory struct {
	mu      sync.Mutex
	readers map[readerKey]*reader
}

// readerKey names a partition as one group of one deployment reads it.
type readerKey struct {
	deployment string // fingerprint of the connection's configuration
	stream     string
	group      string
}

// forget is how long an unused reader is kept. Only the partitions that moved
// to other workers stay unused that long.
const forget = time.Minute

type memoryKey struct{}

func memoryOf(c *finalize.Connection) *memory {
	return c.Value(memoryKey{}, func() any {
		return &memory{readers: map[readerKey]*reader{}}
	}).(*memory)
}

// lease hands out the reader of key to one bundle at a time. A second bundle
// at the same time gets a reader of its own, which nobody remembers.
func (m *memory) lease(key readerKey, fresh func() *reader) *reader {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.sweep(key)
	r := m.readers[key]
	switch {
	case r == nil:
		r = fresh()
		m.readers[key] = r
	case r.leased:
		r = fresh()
	}
	r.leased = true
	return r
}

// release takes the reader back.
func (m *memory) release(r *reader) {
	m.mu.Lock()
	defer m.mu.Unlock()
	r.leased = false
	r.usedAt = time.Now()
}

func (m *memory) sweep(except readerKey) {
	for key, r := range m.readers {
		if key != except && !r.leased && time.Since(r.usedAt) > forget {
			r.reset()
			delete(m.readers, key)
		}
	}
}
