package sinks

import (
	"errors"
	"fmt"
	"math"
	"slices"

	"example.com/beamredis/redisio/message"
)

// progress is what a destination has of one source: for each job, told apart by
// where the group stood when it began, how far its outputs in order were
// written. Everything after a span's start and up to its last is in the
// destination, except for what is in a gap: there the window decides.
type progress struct {
	version string
	spans   []span // by start
}

type span struct {
	start message.EntryID
	last  sequence
	gaps  []gap
}

// mostSpans bounds a progress. The oldest span goes first: entries that are
// pending since before the job began that came so many jobs later are then not
// known to be written.
const mostSpans = 64

// emptySpan is the last of a span that holds nothing yet.
func emptySpan(start message.EntryID) sequence { return sequence{start, math.MaxUint64} }

// covers reports whether the output of s is in the destination.
func (p *progress) covers(s sequence) bool {
	for _, sp := range p.spans {
		if sp.start.Less(s.id) && s.compare(sp.last) <= 0 && !within(sp.gaps, s) {
			return true
		}
	}
	return false
}

// foreign reports whether a job that began after the one of start is to
// redeliver entry id: then order says nothing about it, for either job.
func (p *progress) foreign(start, id message.EntryID) bool {
	for _, sp := range p.spans {
		if start.Less(sp.start) && !sp.start.Less(id) {
			return true
		}
	}
	return false
}

// last returns how far the job of start has come, and whether it has a span.
func (p *progress) last(start message.EntryID) (sequence, bool) {
	i, ok := p.find(start)
	if !ok {
		return emptySpan(start), false
	}
	return p.spans[i].last, true
}

func (p *progress) find(start message.EntryID) (int, bool) {
	return slices.BinarySearchFunc(p.spans, start, func(sp span, start message.EntryID) int { return sp.start.Compare(start) })
}

// gaps returns those of the job of start.
func (p *progress) gaps(start message.EntryID) []gap {
	if i, ok := p.find(start); ok {
		return p.spans[i].gaps
	}
	return nil
}

// advance moves the job of start on to last. Where that makes one span too
// many, the one of surplus goes.
func (p *progress) advance(start message.EntryID, last sequence, gaps []gap) {
	i, ok := p.find(start)
	if ok {
		p.spans[i].last, p.spans[i].gaps = last, gaps
		return
	}
	surplus, full := p.surplus()
	p.spans = slices.Insert(p.spans, i, span{start, last, gaps})
	if full {
		p.spans = slices.DeleteFunc(p.spans, func(sp span) bool { return sp.start == surplus })
	}
}

// surplus is the start of the span that has to go before another one comes, if
// any has to.
func (p *progress) surplus() (start message.EntryID, full bool) {
	if len(p.spans) < mostSpans {
		return message.EntryID{}, false
	}
	return p.spans[0].start, true
}

// parseProgress reads the fields of a mark.
func parseProgress(fields map[string]string, versionField string) (progress, error) {
	p := progress{version: fields[versionField]}
	for name, text := range fields {
		if name == versionField {
			continue
		}
		start, err := message.ParseEntryID(name)
		last, gaps, textErr := parseSpan(text)
		if err = errors.Join(err, textErr); err != nil {
			return progress{}, fmt.Errorf("the state of idempotent writing cannot be read (field %q: %q): was it written by another release? %w", name, text, err)
		}
		p.spans = append(p.spans, span{start, last, gaps})
	}
	slices.SortFunc(p.spans, func(a, b span) int { return a.start.Compare(b.start) })
	return p, nil
}
