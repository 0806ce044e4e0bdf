package sdf

import (
	"context"
	"slices"

	"example.com/beamredis/redisio/internal/rdb"
	"example.com/beamredis/redisio/message"
)

// A sample looks at the stream at evenly spaced IDs, a few entries at each, to
// learn how densely they lie: more places where more ranges are wanted, and
// less of everything where entries are large.
const (
	sampleLeast   = 32      // places
	sampleMost    = 512     // places
	samplePerCut  = 4       // places for each range
	sampleEntries = 20      // at each place
	sampleBytes   = 8 << 20 // of all that is looked at, about
)

// samplePlan is how many places a sample looks at, and how many entries it takes
// at each; no places where entries are too large to be looked at for this.
func samplePlan(ranges, entryBytes int) (places, entries int) {
	places, entries = min(sampleMost, max(sampleLeast, samplePerCut*ranges)), sampleEntries
	if most := sampleBytes / max(1, entryBytes); places*entries > most {
		entries = max(2, most/places)
		places = min(places, most/entries)
	}
	if places < 4 {
		return 0, 0
	}
	return places, entries
}

// place is what a sample saw at one place.
type place struct {
	at message.EntryID // the place
	// ids are entries from there on, up to the end; whole: it is all there are.
	ids   []message.EntryID
	whole bool
	// inMs is how many entries the millisecond holds that all of ids lie in.
	inMs float64
}

// sample looks at the range, whose bounds are those of entries.
func sample(ctx context.Context, client *rdb.Client, stream string, r RangeRestriction, places, entries int) (seen []place, entryBytes float64, err error) {
	seen = make([]place, places)
	points := make([]message.EntryID, places)
	for i := range seen {
		points[i] = r.at(float64(i) / float64(places)).Next()
		seen[i].at = points[i]
	}
	ids, bytes, err := client.Sample(ctx, stream, points, r.To, entries)
	if err != nil {
		return nil, 0, err
	}
	total := 0
	var crowded []uint64 // milliseconds that hold more than was seen of them
	var of []int
	for i := range seen {
		seen[i].ids, seen[i].whole = ids[i], len(ids[i]) < entries
		total += len(ids[i])
		if n := len(ids[i]); !seen[i].whole && ids[i][0].Ms == ids[i][n-1].Ms && r.After.Ms != r.To.Ms {
			crowded, of = append(crowded, ids[i][0].Ms), append(of, i)
		}
	}
	last, err := client.LastWithin(ctx, stream, crowded)
	if err != nil {
		return nil, 0, err
	}
	for i, id := range last {
		seen[of[i]].inMs = float64(id.Seq) + 1 // the server counts them from 0
	}
	return seen, float64(bytes) / float64(max(1, total)), nil
}

// knot says how many entries lie before an ID.
type knot struct {
	at     message.EntryID
	before float64
}

// knotsOf makes of a sample an estimate of how the entries up to end are spread.
func knotsOf(seen []place, end message.EntryID) []knot {
	var knots []knot
	before := 0.0
	for i, p := range seen {
		next := end.Next()
		if i+1 < len(seen) {
			next = seen[i+1].at
		}
		inside := slices.IndexFunc(p.ids, func(id message.EntryID) bool { return !id.Less(next) })
		switch {
		case len(p.ids) == 0 || inside == 0:
			continue
		case inside < 0 && p.whole:
			inside = len(p.ids)
		}
		knots = append(knots, knot{p.ids[0], before})
		if inside > 0 {
			before += float64(inside)
			continue
		}
		before += max(float64(len(p.ids)), p.rate()*spread(p.ids[0], next))
	}
	return append(knots, knot{end, before})
}

// spread is how far it is from a to b in the unit of rate: milliseconds, or,
// within one, sequence numbers.
func spread(a, b message.EntryID) float64 {
	if a.Ms == b.Ms {
		return float64(b.Seq - a.Seq)
	}
	return idDistance(a, b)
}

// rate is how many entries come in a unit of [spread] from the place on.
func (p *place) rate() float64 {
	if p.inMs > 0 {
		return p.inMs
	}
	return float64(len(p.ids)-1) / spread(p.ids[0], p.ids[len(p.ids)-1])
}

// cuts divides what the knots span into n parts of about equal entries, and
// returns the last ID of each part but the last one.
func cuts(knots []knot, n int) []message.EntryID {
	if len(knots) < 2 {
		return nil
	}
	var ids []message.EntryID
	end := knots[len(knots)-1]
	k := 0
	for part := 1; part < n; part++ {
		want := end.before * float64(part) / float64(n)
		for k+2 < len(knots) && knots[k+1].before <= want {
			k++
		}
		a, b := knots[k], knots[k+1]
		id := RangeRestriction{a.at, b.at}.at((want - a.before) / max(1, b.before-a.before))
		if id.Less(end.at) && (len(ids) == 0 || ids[len(ids)-1].Less(id)) {
			ids = append(ids, id)
		}
	}
	return ids
}
