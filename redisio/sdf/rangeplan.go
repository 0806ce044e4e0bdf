package sdf

import (
	"context"
	"errors"
	"fmt"

	"github.com/apache/beam/sdks/v2/go/pkg/beam/register"

	"example.com/beamredis/redisio/internal/logs"
	"example.com/beamredis/redisio/internal/rdb"
	"example.com/beamredis/redisio/message"
)

func init() {
	register.DoFn4x1[context.Context, RangeRequest, func(Range), func(string, string), error](&PlanFn{})
	register.Emitter1[Range]()
	register.Emitter2[string, string]()
}

const (
	// mostRanges bounds the ranges of one partition.
	mostRanges = 1024
	// rangeBytes bounds the size of a range, about.
	rangeBytes = 64 << 20
)

// PlanFn turns a request into ranges: it fixes the bounds, once, by what is
// there when the job starts, and cuts each partition into ranges of about equal
// entries. Its second output is, for each stream, the ID up to which is read.
type PlanFn struct {
	Config RangeConfig

	client *rdb.Client
}

// ErrNoTopic says that none of the streams of a topic exists.
var ErrNoTopic = errors.New("none of the topic's streams exists")

// Setup connects to nothing yet.
func (fn *PlanFn) Setup() (err error) {
	fn.client, err = rdb.Open(fn.Config.Conn)
	return err
}

// ProcessElement plans one request.
func (fn *PlanFn) ProcessElement(ctx context.Context, req RangeRequest, emit func(Range), emitEnd func(string, string)) error {
	if err := errors.Join(req.Topic.Validate(), CheckBounds(req.From, req.To)); err != nil {
		return err
	}
	missing := 0
	for _, part := range req.Topic.Parts() {
		var p rangePlan
		err := fn.client.RetryFor(ctx, fn.Config.RetryFor, func(ctx context.Context) (err error) {
			p, err = fn.plan(ctx, part.Stream, req)
			return err
		})
		if err != nil {
			return fmt.Errorf("partition %s: %w", part.Stream, err)
		}
		if p.missing {
			missing++
		}
		for _, r := range p.ranges {
			emit(r)
		}
		emitEnd(part.Stream, p.end.String())
	}
	if missing == req.Topic.Len() && !fn.Config.AllowMissing {
		return fmt.Errorf("%w: %s; is its name right, and its number of partitions? (WithMissingTopic takes it for an empty one)",
			ErrNoTopic, req.Topic.Key(0))
	}
	if missing > 0 {
		logs.Log.With("partition", req.Topic.Key(0)).WarnContext(ctx, "streams of the topic do not exist; they count as empty", "missing", missing, "of", req.Topic.Len())
	}
	return nil
}

// rangePlan is how a partition is read.
type rangePlan struct {
	missing bool
	end     message.EntryID // everything up to here is read, or lies before the range
	ranges  []Range
}

func (fn *PlanFn) plan(ctx context.Context, stream string, req RangeRequest) (rangePlan, error) {
	st, err := fn.client.StreamState(ctx, stream)
	if err != nil {
		return rangePlan{}, err
	}
	p := rangePlan{missing: !st.Exists, end: st.LastGenerated}
	if last := req.To.last(); last.Less(p.end) {
		p.end = last
	}
	from := req.From.first()
	if p.end.Less(from) {
		return p, nil
	}
	first, last, ok, err := fn.client.Ends(ctx, stream, from, p.end)
	if err != nil || !ok {
		return p, err
	}
	whole := Range{Stream: stream, After: first.Prev(), To: last, First: first, Last: last, Added: st.EntriesAdded,
		Entries: float64(st.Length), EntryBytes: float64(st.EntryBytes), MostBytes: st.EntryBytes}
	all := !st.First.Less(from) && p.end == st.LastGenerated
	p.ranges, err = fn.cut(ctx, whole, all)
	return p, err
}

// cut divides what is read of a partition into ranges of about equal entries;
// all says that it is all that the stream has.
func (fn *PlanFn) cut(ctx context.Context, whole Range, all bool) ([]Range, error) {
	size := max(1, min(fn.Config.RangeEntries, rangeBytes/max(1, whole.MostBytes)))
	if fn.Config.Ordered || int(whole.Entries) <= size {
		return []Range{whole}, nil
	}
	ranges := parts(whole.Entries, size)
	sample := newSampler(fn.client, whole, ranges, all)
	if err := sample.run(ctx, whole.First); err != nil {
		return nil, err
	}
	if len(sample.places[0].ids) == 0 {
		return []Range{whole}, nil // all of it has just been trimmed
	}
	knots := knotsOf(sample.places, whole.To)
	whole.EntryBytes = sample.entryBytes()
	if estimate := knots[len(knots)-1].before; !all {
		whole.Entries = min(whole.Entries, estimate)
	}
	ranges = parts(whole.Entries, max(1, min(fn.Config.RangeEntries, int(rangeBytes/max(1, whole.EntryBytes)))))
	at, err := sample.ids(ctx, cuts(knots, ranges), 2)
	return divide(whole, at), err
}

// parts is how many ranges of a size make up so many entries.
func parts(entries float64, size int) int {
	return max(1, min(mostRanges, int(entries)/size+1))
}

// divide cuts a range at entries: each of at is one that ends a range, and the
// one behind it, which begins the next.
func divide(whole Range, at [][]message.EntryID) []Range {
	var ranges []Range
	rest := whole
	for _, ids := range at {
		if len(ids) == 2 && !ids[0].Less(rest.First) {
			r := rest
			r.To, rest.After, rest.First = ids[0], ids[0], ids[1]
			ranges = append(ranges, r)
		}
	}
	ranges = append(ranges, rest)
	for i := range ranges {
		ranges[i].Entries /= float64(len(ranges))
	}
	return ranges
}
