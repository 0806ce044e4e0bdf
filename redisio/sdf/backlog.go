package sdf

import (
	"math"
	"sync"
	"sync/atomic"
)

// backlogs keeps what each partition still had to read, in bytes, when it was
// last looked at. It belongs to the process, because the runner asks for sizes
// in places that have no reader, and it must be answered without I/O.
var backlogs sync.Map // readerKey -> *atomic.Uint64, a float64

func setBacklog(key readerKey, bytes float64) {
	v, ok := backlogs.Load(key)
	if !ok {
		v, _ = backlogs.LoadOrStore(key, new(atomic.Uint64))
	}
	v.(*atomic.Uint64).Store(math.Float64bits(bytes))
}

func backlogOf(key readerKey) float64 {
	v, ok := backlogs.Load(key)
	if !ok {
		return 0
	}
	return max(0, math.Float64frombits(v.(*atomic.Uint64).Load()))
}
