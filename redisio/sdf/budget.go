package sdf

import (
	"runtime"
	"sync/atomic"
)

// fetchBudget is how many bytes of fetched and not yet emitted entries one
// process may hold before readers stop fetching ahead. Every running bundle
// may exceed it by one fetch, so that each can make progress.
const fetchBudget = 64 << 20

var fetchedBytes atomic.Int64

// mayFetchAhead reports whether another fetch of about n bytes fits.
func mayFetchAhead(n int) bool { return fetchedBytes.Load()+int64(n) <= fetchBudget }

// holding is what one reader has taken from the budget. When the reader
// becomes garbage together with its connection, the budget gets it back.
type holding struct{ bytes *atomic.Int64 }

func newHolding(owner *reader) holding {
	h := holding{bytes: new(atomic.Int64)}
	runtime.AddCleanup(owner, func(bytes *atomic.Int64) { fetchedBytes.Add(-bytes.Load()) }, h.bytes)
	return h
}

func (h holding) add(n int) {
	h.bytes.Add(int64(n))
	fetchedBytes.Add(int64(n))
}

// A fetch asks for as many entries as make about fetchTarget bytes, at most
// fetchEntries, going by the mean size of those that came before. The mean may
// mislead where sizes change, so a fetch neither asks for more than fetchGrowth
// times what the one before brought, nor for more than would be fetchMost bytes
// if all were as large as the larger one of the stream's first and last entry.
const (
	fetchTarget  = 1 << 20
	fetchMost    = 16 << 20
	fetchEntries = 2000
	fetchGrowth  = 4
	firstFetch   = 16
)

// entrySize is a moving mean of the bytes that an entry takes in a reply.
type entrySize struct {
	mean  float64
	known int // entries that the last reply brought; 0: the mean is a guess
	ends  int // bytes of the stream's first or last entry
}

// look takes note of the stream's first and last entry, which are all that is
// known before the first fetch.
func (s *entrySize) look(bytes int) {
	s.ends = bytes
	if s.known == 0 {
		s.mean = float64(bytes)
	}
}

func (s *entrySize) observe(bytes, entries int) {
	if entries == 0 {
		return
	}
	first := s.known == 0
	s.known = entries
	size := float64(bytes) / float64(entries)
	if first {
		s.mean = size
		return
	}
	// Weight by number, so that one odd entry does not swing the mean, but a
	// full batch replaces most of it.
	weight := min(0.8, float64(entries)/200)
	s.mean += weight * (size - s.mean)
}

// count is the number of entries to ask for.
func (s *entrySize) count() int {
	n := min(fetchEntries, max(firstFetch, fetchGrowth*s.known))
	if s.mean > 0 {
		n = min(n, int(fetchTarget/s.mean))
	}
	if s.ends > 0 {
		n = min(n, fetchMost/s.ends)
	}
	return max(1, n)
}
