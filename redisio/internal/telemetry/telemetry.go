// Package telemetry defines every count that the connector keeps, once.
package telemetry

import (
	"context"
	"sync/atomic"

	"github.com/apache/beam/sdks/v2/go/pkg/beam"
)

// Namespace is the namespace of the Beam metrics.
const Namespace = "redisio"

// Counter counts in two places at once: the Beam metrics of the bundle in
// whose context it is, and the process.
type Counter struct {
	name    string
	beam    beam.Counter
	process atomic.Int64
}

func newCounter(name string) *Counter {
	return &Counter{name: name, beam: beam.NewCounter(Namespace, name)}
}

// Name is the counter's name within [Namespace].
func (c *Counter) Name() string { return c.name }

// Add counts n. ctx is the context of a running bundle.
func (c *Counter) Add(ctx context.Context, n int64) {
	if n == 0 {
		return
	}
	c.process.Add(n)
	c.beam.Inc(ctx, n)
}

// AddOutside counts n where no bundle runs: Beam has no place for it.
func (c *Counter) AddOutside(n int64) { c.process.Add(n) }

// Process returns what this process has counted since it started.
func (c *Counter) Process() int64 { return c.process.Load() }

// The counters of the source.
var (
	EntriesRead   = newCounter("entries_read")        // entries emitted for the first time
	BytesRead     = newCounter("bytes_read")          // payload bytes of those
	Redelivered   = newCounter("entries_redelivered") // entries emitted again: pending ones of earlier consumers, and those after a restored position
	Acknowledged  = newCounter("entries_acknowledged")
	AckFailures   = newCounter("ack_failures")     // acknowledgements given up after retries; a later bundle repairs them
	GapsHealed    = newCounter("gaps_healed")      // entries that another reader of the group took, read all the same
	Skipped       = newCounter("entries_skipped")  // entries delivered again at or before the position
	Lost          = newCounter("entries_lost")     // entries trimmed or deleted before they were read, as far as the server counts them
	LossesUnknown = newCounter("losses_uncounted") // times that a loss is possible and the server cannot tell how large
	Replaced      = newCounter("streams_replaced") // streams found deleted and made anew, or set back
	GroupsHealed  = newCounter("groups_healed")    // groups found missing and made again
	DeadLetters   = newCounter("read_dead_letters")
	ReadRetries   = newCounter("read_retries") // turns that ended early because Redis could not be reached
)
