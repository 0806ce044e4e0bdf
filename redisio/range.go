package redisio

import (
	"errors"
	"fmt"
	"reflect"
	"time"

	"github.com/apache/beam/sdks/v2/go/pkg/beam"

	"example.com/beamredis/redisio/message"
	"example.com/beamredis/redisio/sdf"
)

// Bound is one end of a part of a topic's history. The zero value bounds
// nothing.
type Bound = sdf.Bound

// Earliest is the oldest entry that each partition has when the job starts; for
// the beginning of a range.
func Earliest() Bound { return Bound{Kind: sdf.BoundEarliest} }

// Latest is the newest entry that each partition has when the job starts; for
// the end of a range.
func Latest() Bound { return Bound{Kind: sdf.BoundLatest} }

// AtID is the entry of this ID, which is within the range.
func AtID(id EntryID) Bound { return Bound{Kind: sdf.BoundID, ID: id} }

// AtTime is the time t, to the millisecond: a range from t has what was added
// at t or later, a range to t what was added before.
func AtTime(t time.Time) Bound { return sdf.TimeBound(t) }

// ParseBound reads "earliest", "latest", an entry ID, or a time in RFC 3339.
func ParseBound(s string) (Bound, error) {
	switch s {
	case string(sdf.BoundEarliest):
		return Earliest(), nil
	case string(sdf.BoundLatest):
		return Latest(), nil
	}
	if id, err := message.ParseEntryID(s); err == nil {
		return AtID(id), nil
	}
	if t, err := time.Parse(time.RFC3339Nano, s); err == nil {
		return AtTime(t), nil
	}
	return Bound{}, fmt.Errorf("%q is no bound: want earliest, latest, an entry ID such as 1700000000000-0, or a time such as 2026-01-02T15:04:05Z", s)
}

// RangeRequest asks [ReadRanges] for a part of a topic's history. Its zero
// bounds are the topic's ends.
type RangeRequest = sdf.RangeRequest

var (
	// ErrNoTopic says that none of the streams of a topic exists.
	ErrNoTopic = sdf.ErrNoTopic
	// ErrBounds says that the bounds of a range exclude each other.
	ErrBounds = sdf.ErrBounds
	// ErrReplaced says that a stream was deleted, replaced, or rolled back by a
	// failover, while a range of it was read.
	ErrReplaced = sdf.ErrReplaced
	// ErrTrimmed says that entries were removed before they were read; see
	// [WithFailOnLoss].
	ErrTrimmed = sdf.ErrTrimmed
)

// ReadRange reads what a topic holds between two bounds, and returns a bounded
// PCollection of [Message]. It needs no consumer group and changes none (but
// see [WithGroupAtEnd]).
//
// The bounds are fixed once, on a worker, when the job starts: entries that are
// added later are not read, whatever the bounds. Entries that are trimmed before
// they were read are missing; a warning says so, and the counter losses_uncounted
// goes up, or the bundle fails (see [WithFailOnLoss]). Single ones that are
// deleted are missing without a word. A stream that is gone fails the bundle by
// an error that wraps [ErrReplaced]. An empty range gives nothing; a topic none of
// whose streams exists is an error that wraps [ErrNoTopic].
//
// Each partition is cut into ranges of about equal numbers of entries, which
// are read in parallel, so that there is no order; see [WithOrder].
//
// Event times are those of the entry IDs, unless [WithEventTime] or
// [WithEventTimeField] say otherwise. The watermark stays at the beginning until
// all is read, so that no entry is ever late.
//
// ReadRange panics if the configuration is wrong; see [TryReadRange].
func ReadRange(s beam.Scope, c Conn, t Topic, from, to Bound, opts ...RangeOption) beam.PCollection {
	return must(TryReadRange(s, c, t, from, to, opts...))
}

// TryReadRange is [ReadRange], but returns an error that names every mistake in
// the configuration.
func TryReadRange(s beam.Scope, c Conn, t Topic, from, to Bound, opts ...RangeOption) (beam.PCollection, error) {
	msgs, _, err := readRange(s, c, t, from, to, false, opts)
	return msgs, err
}

// ReadRangeWithFailed is [ReadRange] with a second PCollection, of
// [DeadLetter]: entries whose event time cannot be told.
//
// ReadRangeWithFailed panics if the configuration is wrong; see
// [TryReadRangeWithFailed].
func ReadRangeWithFailed(s beam.Scope, c Conn, t Topic, from, to Bound, opts ...RangeOption) (msgs, failed beam.PCollection) {
	msgs, failed, err := TryReadRangeWithFailed(s, c, t, from, to, opts...)
	return must(msgs, err), failed
}

// TryReadRangeWithFailed is [ReadRangeWithFailed], but returns an error that
// names every mistake in the configuration.
func TryReadRangeWithFailed(s beam.Scope, c Conn, t Topic, from, to Bound, opts ...RangeOption) (msgs, failed beam.PCollection, err error) {
	return readRange(s, c, t, from, to, true, opts)
}

func readRange(s beam.Scope, c Conn, t Topic, from, to Bound, collectFailed bool, opts []RangeOption) (msgs, failed beam.PCollection, err error) {
	cfg, err := rangeConfig(s, c, opts)
	cfg.CollectFailed = collectFailed
	err = errors.Join(err, t.Validate(), sdf.CheckBounds(from, to), checkErrorStream(cfg.ErrorStream, t, "read"))
	if err != nil {
		return beam.PCollection{}, beam.PCollection{}, err
	}
	s = scope(s, "ReadRange")
	msgs, failed = readRanges(s, cfg, beam.Create(s, RangeRequest{Topic: t, From: from, To: to}))
	return msgs, failed, nil
}

// ReadRanges is [ReadRange] for requests that a pipeline makes: reqs is a
// PCollection of [RangeRequest], each of which may name another topic. A
// message tells by its Stream where it comes from. A request that is wrong
// fails its bundle. Requests must be at the smallest timestamp there is, as those
// of beam.Create are: behind one that is later, history is late, and windows drop
// it.
//
// ReadRanges panics if the configuration is wrong; see [TryReadRanges].
func ReadRanges(s beam.Scope, c Conn, reqs beam.PCollection, opts ...RangeOption) beam.PCollection {
	return must(TryReadRanges(s, c, reqs, opts...))
}

// TryReadRanges is [ReadRanges], but returns an error that names every mistake
// in the configuration.
func TryReadRanges(s beam.Scope, c Conn, reqs beam.PCollection, opts ...RangeOption) (beam.PCollection, error) {
	cfg, err := rangeConfig(s, c, opts)
	errs := []error{err}
	if cfg.GroupAtEnd != "" {
		errs = append(errs, errors.New("WithGroupAtEnd: it is for ReadRange, whose end is known"))
	}
	switch {
	case !reqs.IsValid():
		errs = append(errs, errors.New("reqs: not a valid PCollection"))
	case reqs.Type().Type() != reflect.TypeFor[RangeRequest]():
		errs = append(errs, fmt.Errorf("reqs: a PCollection of %v, want one of redisio.RangeRequest", reqs.Type()))
	}
	if err := errors.Join(errs...); err != nil {
		return beam.PCollection{}, err
	}
	msgs, _ := readRanges(scope(s, "ReadRanges"), cfg, reqs)
	return msgs, nil
}

// rangeConfig collects every mistake before it gives up.
func rangeConfig(s beam.Scope, c Conn, opts []RangeOption) (sdf.RangeConfig, error) {
	cfg := sdf.RangeDefaults()
	cfg.Conn = c
	errs := []error{validScope(s), c.Validate()}
	for _, o := range opts {
		errs = append(errs, o.applyRange(&cfg))
	}
	if cfg.EventTimeField != "" && cfg.EventTimeFn != nil {
		errs = append(errs, errTwoEventTimes)
	}
	return cfg, errors.Join(errs...)
}

// readRanges plans the ranges, spreads them over the workers, and reads them.
// The ranges are elements of their own, and not splits of one, because Flink
// reads all splits of an element on one subtask.
func readRanges(s beam.Scope, cfg sdf.RangeConfig, reqs beam.PCollection) (msgs, failed beam.PCollection) {
	ranges, planned := beam.ParDo2(s, &sdf.PlanFn{Config: cfg}, reqs)
	msgs, failed, read := beam.ParDo3(s, &sdf.RangeFn{Config: cfg}, beam.Reshuffle(s, ranges))
	if !cfg.CollectFailed {
		anchor(s, failed)
	}
	if cfg.GroupAtEnd != "" {
		ends := beam.GroupByKey(s, beam.Flatten(s, planned, read))
		beam.ParDo0(s, &sdf.AdvanceFn{Config: cfg}, ends)
	}
	return msgs, failed
}
