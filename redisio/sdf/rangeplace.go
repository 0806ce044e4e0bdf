package sdf

import (
	"slices"

	"example.com/beamredis/redisio/message"
)

// place is what a sample saw from an ID on.
type place struct {
	at message.EntryID
	// ids are entries from there on; whole: they are all there are.
	ids   []message.EntryID
	whole bool
	// Where all of ids lie in one millisecond: its last entry, and the first one
	// behind it, 0-0 where there is none.
	lastInMs, next message.EntryID
}

func (p *place) first() message.EntryID { return p.ids[0] }

func (p *place) last() message.EntryID { return p.ids[len(p.ids)-1] }

func (p *place) crowded() bool { return !p.lastInMs.IsZero() }

// until is how many entries there are from the place up to end, which does not
// count; an estimate unless it is exact.
func (p *place) until(end message.EntryID) (n float64, exact bool) {
	inside := slices.IndexFunc(p.ids, func(id message.EntryID) bool { return !id.Less(end) })
	switch {
	case inside >= 0:
		return float64(inside), true
	case p.whole:
		return float64(len(p.ids)), true
	case !p.crowded():
		n = p.density() * idDistance(p.first(), end)
	case !p.lastInMs.Less(end):
		n = p.inMs() * float64(end.Seq-p.first().Seq) / float64(p.lastInMs.Seq-p.first().Seq+1)
	case p.next.IsZero() || !p.next.Less(end):
		n = p.inMs()
	default:
		n = p.density() * idDistance(message.EntryID{Ms: p.first().Ms}, end)
	}
	return max(n, float64(len(p.ids))), false
}

// inMs is how many entries a crowded place has up to the end of its millisecond:
// they may be numbered with holes.
func (p *place) inMs() float64 {
	return 1 + float64(len(p.ids)-1)*float64(p.lastInMs.Seq-p.first().Seq)/float64(p.last().Seq-p.first().Seq)
}

// density is how many entries come in a millisecond; 0 where it cannot be told.
// What was seen of the last millisecond is left out, because it is a part.
func (p *place) density() float64 {
	switch {
	case p.crowded() && p.next.IsZero() || len(p.ids) < 2 || p.first().Ms == p.last().Ms && !p.crowded():
		return 0
	case p.crowded():
		return p.inMs() / float64(p.next.Ms-p.first().Ms)
	}
	full := slices.IndexFunc(p.ids, func(id message.EntryID) bool { return id.Ms == p.last().Ms })
	return float64(full) / float64(p.last().Ms-p.first().Ms)
}

// between is where to look next between what was seen and end: in the middle of
// what is unknown, or behind a millisecond that holds more than most. ok is false
// where nothing fits in between.
func (p *place) between(end message.EntryID, most float64) (at, from message.EntryID, ok bool) {
	if len(p.ids) == 0 || !p.last().Less(end) {
		return at, from, false
	}
	from = p.last()
	if behind := p.lastInMs.Next(); p.crowded() && p.last().Less(p.lastInMs) {
		switch heavy := p.inMs() > most; {
		case behind.Less(end) && heavy:
			return behind, from, true
		case behind.Less(end):
			from = p.lastInMs
		case behind == end:
			end = p.lastInMs
		}
	}
	at = RangeRestriction{from, end}.at(0.5).Next()
	return at, from, at.Less(end)
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
	for i := range seen {
		next := end.Next()
		if i+1 < len(seen) {
			next = seen[i+1].at
		}
		if n, _ := seen[i].until(next); n > 0 {
			knots = append(knots, knot{seen[i].first(), before})
			before += n
		}
	}
	return append(knots, knot{end, before})
}

// cuts divides what the knots span into n parts of about equal entries, and
// returns where each part but the last one ends.
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
