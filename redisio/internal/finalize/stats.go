package finalize

import "sync/atomic"

// Stats counts bundles that had commit callbacks. Requested less Finalized is what still waits, plus what the runner never finalized before the
// connection ended.
type Stats struct {
	Requested uint64 // bundles that succeeded, and for which finalization was requested from the runner
	Finalized uint64 // of those, the ones that the runner finalized: their callbacks are due or done
	Dropped   uint64 // bundles whose callbacks were dropped, because they failed, or because the runner used their instruction ID again
}

type counts struct {
	nRequested, nFinalized, nDropped atomic.Uint64
}

var process counts

func (c *counts) requested() { c.nRequested.Add(1); process.nRequested.Add(1) }
func (c *counts) finalized() { c.nFinalized.Add(1); process.nFinalized.Add(1) }
func (c *counts) dropped()   { c.nDropped.Add(1); process.nDropped.Add(1) }

func (c *counts) stats() Stats {
	// Finalized first: a bundle that is finalized in between must not be counted there and not as requested.
	finalized := c.nFinalized.Load()
	return Stats{Requested: c.nRequested.Load(), Finalized: finalized, Dropped: c.nDropped.Load()}
}

// Stats returns the counts of this connection.
func (c *Connection) Stats() Stats { return c.counts.stats() }

// ProcessStats returns the counts of all connections that this process ever had.
func ProcessStats() Stats { return process.stats() }
