package sinks

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strconv"
	"sync/atomic"
	"time"

	"example.com/beamredis/redisio/internal/rdb"
	"example.com/beamredis/redisio/message"
)

// Defaults of [OnceOptions].
const (
	DefaultOnceTTL    = 7 * 24 * time.Hour
	DefaultOnceWindow = 1_000_000
)

// OnceOptions say how a sink writes every output once.
type OnceOptions struct {
	// Name is the sink's, the same for every run of the pipeline.
	Name string `json:"name"`
	// TTL is how long the state in Redis outlives the last write; 0 means
	// [DefaultOnceTTL].
	TTL time.Duration `json:"ttl,omitempty"`
	// Window is how many of the outputs that do not come in order are remembered
	// for each stream, the latest, and at most twice as many; 0 means
	// [DefaultOnceWindow].
	Window int `json:"window,omitempty"`
	// Sink tells apart the sinks of one pipeline; it is different in every run.
	Sink string `json:"sink"`
}

// onceWriter adds entries to their streams once. It is the memory of what each
// stream has, as far as the sink knows; the server compares that before it adds
// anything.
type onceWriter struct {
	opts   OnceOptions
	adder  *rdb.OnceAdder
	add    func(*entry) rdb.Add
	trim   func() []any
	wantID bool

	bundle   int
	marks    map[markID]*mark
	repeated atomic.Int64

	errs []error
	ids  []message.EntryID
	adds []rdb.Add // reused
}

// markID names what one stream has of one source.
type markID struct {
	stream string
	source source
}

// mark is what the sink knows of it.
type mark struct {
	key      string
	progress progress
	// compared is the last bundle in which the server agreed.
	compared int
	// acked is how far the last bundle that wrote here is known to have come.
	acked   sequence
	ackedIn int
	// buried are the outputs after progress that became dead letters in bundle
	// buriedIn.
	buried   []gap
	buriedIn int
}

// mostMarks bounds the memory where destinations are without number, beside marks
// of dead letters. What is forgotten is asked for again.
const mostMarks = 10_000

func newOnceWriter(client *rdb.Client, opts OnceOptions) *onceWriter {
	if opts.TTL == 0 {
		opts.TTL = DefaultOnceTTL
	}
	if opts.Window == 0 {
		opts.Window = DefaultOnceWindow
	}
	return &onceWriter{opts: opts, adder: rdb.NewOnceAdder(client), marks: map[markID]*mark{}}
}

// start begins a bundle: what was known before it has to be compared again,
// because another worker may have had the partition meanwhile.
func (w *onceWriter) start() { w.bundle++ }

func (w *onceWriter) mark(id markID) *mark {
	m := w.marks[id]
	if m == nil {
		m = &mark{key: w.companion(id.stream, "mark:"+strconv.FormatUint(id.source.incarnation, 16), ":"+id.source.stream)}
		w.marks[id] = m
	}
	return m
}

// companion names a key beside stream. The length keeps apart the names that
// follow one another.
func (w *onceWriter) companion(stream, kind, rest string) string {
	return rdb.CompanionKey(stream, fmt.Sprint("once:", w.opts.Name, ":", kind, ":", len(stream), ":", stream, rest))
}

// share is the part of a batch that goes to one stream: indexes of the entries
// that are left.
type share struct {
	stream string
	left   []int
	stale  int
}

// mostStale bounds how often a share is decided anew because somebody else
// wrote meanwhile.
const mostStale = 100

var errRivals = errors.New("another job goes on writing under the same idempotence name: give each job a name of its own")

// write adds entries and returns one error each, nil for those that are in
// their stream now, be it since earlier.
func (w *onceWriter) write(ctx context.Context, entries []entry) []error {
	w.errs = append(w.errs[:0], make([]error, len(entries))...)
	w.ids = append(w.ids[:0], make([]message.EntryID, len(entries))...)
	w.forgetSurplus()
	w.refuse(ctx, entries)
	for shares := w.sharesOf(entries); len(shares) > 0; {
		calls := make([]*onceCall, 0, len(shares))
		for _, s := range shares {
			if c := w.plan(s, entries); c != nil {
				calls = append(calls, c)
			}
		}
		w.send(ctx, calls, entries)
		shares = unfinished(shares)
	}
	return w.errs
}

func (w *onceWriter) forgetSurplus() {
	if len(w.marks) <= mostMarks {
		return
	}
	for id, m := range w.marks {
		if len(m.buried) == 0 || m.buriedIn != w.bundle {
			delete(w.marks, id)
		}
	}
}

// refuse sets aside what the server can never take, before it is looked up:
// where a later entry was written, the mark covers it, although it is not there.
func (w *onceWriter) refuse(ctx context.Context, entries []entry) {
	w.adds = w.adds[:0]
	for i := range entries {
		w.adds = append(w.adds, w.add(&entries[i]))
	}
	copy(w.errs, w.adder.Faults(ctx, w.adds))
	clear(w.adds) // lets go of the elements' memory
	for i, err := range w.errs {
		if isFault(err) {
			w.isBuried(&entries[i], false)
		}
	}
}

// sharesOf divides the entries that have no error yet.
func (w *onceWriter) sharesOf(entries []entry) (shares []*share) {
	byStream := map[string]*share{}
	for i := range entries {
		if w.errs[i] != nil {
			continue
		}
		stream := entries[i].stream
		s := byStream[stream]
		if s == nil {
			s = &share{stream: stream}
			byStream[stream] = s
			shares = append(shares, s)
		}
		s.left = append(s.left, i)
	}
	return shares
}

func unfinished(shares []*share) []*share {
	left := shares[:0]
	for _, s := range shares {
		if len(s.left) > 0 {
			left = append(left, s)
		}
	}
	return left
}

func (w *onceWriter) send(ctx context.Context, calls []*onceCall, entries []entry) {
	if len(calls) == 0 {
		return
	}
	batches := make([]rdb.OnceBatch, len(calls))
	for i, c := range calls {
		batches[i] = c.batch
	}
	replies := w.adder.Write(ctx, batches)
	for i, c := range calls {
		w.settle(c, entries, &replies[i])
	}
}

// settle takes what became of a call.
func (w *onceWriter) settle(c *onceCall, entries []entry, reply *rdb.OnceReply) {
	switch {
	case reply.Stale != nil:
		c.share.stale++
		err := w.learn(c, reply.Stale)
		if err == nil && c.share.stale > mostStale {
			err = errRivals
		}
		if err != nil {
			w.fail(c, entries, err, -1)
		}
	case reply.Err != nil:
		w.fail(c, entries, reply.Err, reply.At)
	default:
		w.done(c, reply)
	}
}

// learn takes the server's view of the marks of a call.
func (w *onceWriter) learn(c *onceCall, contents []map[string]string) error {
	for i, m := range c.marks {
		if i >= len(contents) {
			break
		}
		p, err := parseProgress(contents[i], rdb.VersionField)
		if err != nil {
			return err
		}
		if m.mark.ackedIn == w.bundle && !p.covers(m.mark.acked) {
			return fmt.Errorf("stream %s: the server has lost entries that it had acknowledged in this bundle (a failover, or its data was removed): "+
				"the bundle has to be written again", c.share.stream)
		}
		m.mark.progress, m.mark.compared = p, w.bundle
		m.mark.settled(m.start)
	}
	return nil
}

// fail gives up what is left of a share for now. at is the entry of the call
// that is to blame, -1 for none.
func (w *onceWriter) fail(c *onceCall, entries []entry, err error, at int) {
	rest := err
	if at >= 0 && !rdb.IsWrongType(err) { // a key of another type refuses them all
		rest = &rdb.AbortError{Cause: err}
	}
	for _, i := range c.share.left {
		w.errs[i] = rest
	}
	if at >= 0 && at < len(c.taken) {
		w.errs[c.taken[at]] = err
	}
	for _, i := range c.share.left {
		if isFault(w.errs[i]) {
			w.isBuried(&entries[i], isFault(rest))
		}
	}
	c.share.left = nil
}

func (w *onceWriter) done(c *onceCall, reply *rdb.OnceReply) {
	for i := range c.marks {
		c.marks[i].commit(w.bundle, c.batch.Marks[i].Next)
	}
	w.repeated.Add(int64(reply.Repeated + c.covered))
	if reply.IDs != nil {
		for i, at := range c.taken {
			w.ids[at] = reply.IDs[i]
		}
	}
	c.share.left = c.share.left[c.consumed:]
}

// newVersion is different from every other one.
func newVersion() string { return strconv.FormatUint(rand.Uint64(), 36) }
