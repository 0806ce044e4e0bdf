package sdf

import (
	"cmp"
	"context"
	"slices"

	"example.com/beamredis/redisio/internal/rdb"
	"example.com/beamredis/redisio/message"
)

// A sample looks at a few entries at places of the stream, to learn how densely
// they lie. It begins with a few places, and goes on where a gap between two of
// them may hold too much of a range; also where all that it has seen is far less
// than what the stream holds: the rest is somewhere between. So it ends with
// most places where most entries are.
const (
	samplePerCut  = 4       // places for each range, at the least
	sampleLeast   = 64      // places, at the least
	sampleEntries = 8       // at each place
	sampleShare   = 8       // one entry of so many is looked at, at the most,
	sampleFew     = 1000    // or so many entries
	sampleMost    = 1 << 15 // entries, at the most
	sampleBytes   = 8 << 20 // of all that is looked at, about
	sampleRounds  = 64      // of looking, each at all gaps that call for it
)

// sampler takes the sample of a range, whose bounds are those of entries.
type sampler struct {
	client *rdb.Client
	stream string
	to     message.EntryID
	size   entrySize

	// most is how much one gap may hold, total how much there is: where it is
	// known, the sum of all gaps should come near it, else it is 0.
	most, total float64
	least       int // places

	places  []place // by their IDs
	left    int     // entries that may still be looked at
	entries int     // that were looked at
	bytes   int
}

func newSampler(client *rdb.Client, whole Range, ranges int, all bool) *sampler {
	s := &sampler{client: client, stream: whole.Stream, to: whole.To, most: whole.Entries / float64(ranges*samplePerCut),
		least: max(sampleLeast, samplePerCut*ranges), left: min(sampleMost, max(sampleFew, int(whole.Entries)/sampleShare))}
	s.size.look(whole.MostBytes)
	if all {
		s.total = whole.Entries
	}
	return s
}

// run looks at places until the gaps are known well enough, or enough was
// looked at.
func (s *sampler) run(ctx context.Context, first message.EntryID) error {
	budget := s.left
	next := []message.EntryID{first}
	for range sampleRounds {
		seen, err := s.look(ctx, next)
		if err != nil {
			return err
		}
		s.places = append(s.places, seen...)
		slices.SortFunc(s.places, func(a, b place) int { return a.at.Compare(b.at) })
		s.left = budget - s.entries
		if s.size.mean > 0 {
			s.left = min(s.left, int(float64(sampleBytes-s.bytes)/s.size.mean))
		}
		if next = s.doubtful(s.left > budget/4); len(next) == 0 || s.left < sampleEntries {
			return nil
		}
		next = next[:min(len(next), s.left/sampleEntries)]
	}
	return nil
}

// stretch is what lies between what was seen at one place and the next place.
type stretch struct {
	at     message.EntryID // where to look next
	long   float64         // in milliseconds
	weight float64         // entries that it may hold
}

// doubtful returns where to look next, the most doubtful first: in gaps that may
// hold too many entries; or, if there are none and it may explore, in the longest.
func (s *sampler) doubtful(explore bool) []message.EntryID {
	var open, heavy []stretch
	sum, longest := 0.0, 0.0
	for i := range s.places {
		p, next := &s.places[i], s.to.Next()
		density := 0.0 // at its far end
		if i+1 < len(s.places) {
			next, density = s.places[i+1].at, s.places[i+1].density()
		}
		n, exact := p.until(next)
		sum += n
		at, from, ok := p.between(next, s.most)
		if exact || !ok {
			continue
		}
		g := stretch{at: at, long: idDistance(from, next)}
		g.weight = max(n, density*g.long)
		longest = max(longest, g.long)
		if open = append(open, g); g.weight > s.most {
			heavy = append(heavy, g)
		}
	}
	few := len(s.places) < s.least || sum < 0.8*s.total
	if (len(heavy) == 0 || len(s.places) < s.least) && few && explore {
		for _, g := range open {
			if g.long > longest/2 && g.weight <= s.most {
				heavy = append(heavy, g)
			}
		}
	}
	slices.SortFunc(heavy, func(a, b stretch) int { return cmp.Or(cmp.Compare(b.weight, a.weight), a.at.Compare(b.at)) })
	at := make([]message.EntryID, len(heavy))
	for i := range heavy {
		at[i] = heavy[i].at
	}
	return at
}

// look looks at places, a few entries at each.
func (s *sampler) look(ctx context.Context, at []message.EntryID) ([]place, error) {
	ids, err := s.ids(ctx, at, sampleEntries)
	if err != nil {
		return nil, err
	}
	seen := make([]place, len(at))
	var crowded []*place
	for i := range seen {
		p := &seen[i]
		*p = place{at: at[i], ids: ids[i], whole: len(ids[i]) < sampleEntries}
		if !p.whole && p.first().Ms == p.last().Ms {
			crowded = append(crowded, p)
		}
	}
	for len(crowded) > 0 {
		n := min(len(crowded), s.size.count())
		if err := s.lookBehind(ctx, crowded[:n]); err != nil {
			return nil, err
		}
		crowded = crowded[n:]
	}
	return seen, nil
}

// lookBehind looks at what follows the milliseconds that are full of entries.
func (s *sampler) lookBehind(ctx context.Context, crowded []*place) error {
	ms, behind := make([]uint64, len(crowded)), make([]message.EntryID, len(crowded))
	for i, p := range crowded {
		ms[i] = p.first().Ms
		behind[i] = message.EntryID{Ms: ms[i], Seq: message.MaxID.Seq}.Next()
	}
	last, err := s.client.LastWithin(ctx, s.stream, ms)
	if err != nil {
		return err
	}
	s.entries += len(ms)
	s.bytes += int(float64(len(ms)) * s.size.mean)
	next, err := s.ids(ctx, behind, 1)
	for i := range next {
		p := crowded[i]
		if p.lastInMs = last[i]; s.to.Less(p.lastInMs) {
			p.lastInMs = s.to
		}
		if len(next[i]) > 0 {
			p.next = next[i][0]
		}
	}
	return err
}

// ids returns the IDs of up to count entries from each of the points on, in round
// trips of about 1 MiB.
func (s *sampler) ids(ctx context.Context, points []message.EntryID, count int) ([][]message.EntryID, error) {
	ids := make([][]message.EntryID, 0, len(points))
	for len(points) > 0 {
		n := min(len(points), max(1, s.size.count()/count))
		some, bytes, err := s.client.Sample(ctx, s.stream, points[:n], s.to, count)
		if err != nil {
			return nil, err
		}
		found := 0
		for _, at := range some {
			found += len(at)
		}
		s.size.observe(bytes, found)
		s.entries, s.bytes = s.entries+found, s.bytes+bytes
		ids, points = append(ids, some...), points[n:]
	}
	return ids, nil
}

// entryBytes is what an entry takes in a reply, by the mean of what was seen.
func (s *sampler) entryBytes() float64 { return float64(s.bytes) / float64(max(1, s.entries)) }
