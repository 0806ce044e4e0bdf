package rdb

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"sync"
	"time"

	"example.com/beamredis/redisio/message"
)

const (
	// maxBulkParameter is the server's setting for the largest argument that it
	// takes. It answers a larger one by closing the connection, which looks like
	// any other broken connection and fails the whole batch, however often it is
	// sent: so sizes are compared before.
	maxBulkParameter = "proto-max-bulk-len"
	// defaultMaxBulk is what a server takes unless it is configured otherwise.
	defaultMaxBulk = 512 << 20
	// leastMaxBulk is the least that the setting can be: about smaller arguments
	// nobody has to be asked.
	leastMaxBulk = 1 << 20
	// maxBulkFor is how long the answer counts. The configuration may change, and
	// another server may take this one's place.
	maxBulkFor = 10 * time.Second
)

// limits is what the server is known to take.
type limits struct {
	mu      sync.Mutex
	maxBulk int
	asked   time.Time
}

// maxBulk returns the largest argument that the server takes. Where it does
// not tell, because the user may not ask or it knows no such setting, or cannot
// be reached, that is Redis' default.
func (c *Client) maxBulk(ctx context.Context) int {
	l := &c.limits
	l.mu.Lock()
	defer l.mu.Unlock()
	if time.Since(l.asked) < maxBulkFor {
		return l.maxBulk
	}
	settings, err := c.raw().ConfigGet(ctx, maxBulkParameter).Result()
	if _, isReply := reply(err); err != nil && !isReply {
		return defaultMaxBulk
	}
	l.maxBulk, l.asked = defaultMaxBulk, time.Now()
	if n, err := strconv.Atoi(settings[maxBulkParameter]); err == nil && n > 0 {
		l.maxBulk = n
	}
	return l.maxBulk
}

// TooLargeError says that an element has an argument that the server does not
// take. It is the entry's own fault: see [Classify].
type TooLargeError struct {
	What  string // which argument
	Bytes int    // its size
	Limit int    // what the server takes
}

func (e *TooLargeError) Error() string {
	return fmt.Sprintf("%s has %d bytes, the server takes %d (its setting %s)", e.What, e.Bytes, e.Limit, maxBulkParameter)
}

func isTooLarge(err error) bool {
	var large *TooLargeError
	return errors.As(err, &large)
}

// Faults returns an error for each of adds that the server can never take,
// whatever is tried; nil where there is none. It asks the server only about
// entries of more than 1 MiB.
func (c *Client) Faults(ctx context.Context, adds []Add) (errs []error) {
	return c.tooLarge(ctx, len(adds), func(i int) (part, int) { return largestOf(len(adds[i].Key), 0, adds[i].Fields) })
}

// documentFaults is [Client.Faults] for documents.
func (c *Client) documentFaults(ctx context.Context, docs []Document) (errs []error) {
	return c.tooLarge(ctx, len(docs), func(i int) (part, int) {
		return largestOf(len(docs[i].Key), len(docs[i].JSON), docs[i].Fields)
	})
}

func (c *Client) tooLarge(ctx context.Context, count int, largest func(i int) (part, int)) (errs []error) {
	limit := leastMaxBulk
	for i := range count {
		at, n := largest(i)
		if n > leastMaxBulk && limit == leastMaxBulk {
			limit = c.maxBulk(ctx)
		}
		if n <= limit {
			continue
		}
		if errs == nil {
			errs = make([]error, count)
		}
		errs[i] = &TooLargeError{at.String(), n, limit}
	}
	return errs
}

// part is an argument of a command: the number of a field, or one of those
// below.
type part int

const (
	theKey part = -1 - iota
	theDocument
)

func (p part) String() string {
	switch p {
	case theKey:
		return "the key"
	case theDocument:
		return "the document"
	}
	return fmt.Sprintf("field %d", int(p))
}

// largestOf returns the largest of a key, a JSON text and fields, and its size.
func largestOf(key, json int, fields []message.Field) (at part, bytes int) {
	at, bytes = theKey, key
	if json > bytes {
		at, bytes = theDocument, json
	}
	for i := range fields {
		if n := max(len(fields[i].Name), len(fields[i].Value)); n > bytes {
			at, bytes = part(i), n
		}
	}
	return at, bytes
}

// writeOthers writes those of adds that have no fault.
func (a *Adder) writeOthers(ctx context.Context, adds []Add, faults []error) []error {
	one := *a
	one.slots, one.cmds, one.errs = nil, nil, nil
	var part []Add
	var places []int
	for i := range adds {
		if faults[i] == nil {
			part, places = append(part, adds[i]), append(places, i)
		}
	}
	copy(a.errs, faults)
	for i, err := range one.Write(ctx, part) {
		a.errs[places[i]] = err
		a.keepSlot(places[i], one.slots[i])
	}
	return a.errs
}
