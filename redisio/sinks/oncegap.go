package sinks

import (
	"slices"
	"strings"

	"example.com/beamredis/redisio/internal/rdb"
	"example.com/beamredis/redisio/message"
)

// gap is a run of outputs that became dead letters because of what the server
// said of them or of their stream. When they come again, it may say something
// else: that a later output was written must not have them taken for written.
type gap struct{ first, last sequence }

// mostGaps bounds the gaps of a span, the latest. What was in an older one
// counts as done.
const mostGaps = 32

func within(gaps []gap, s sequence) bool {
	return slices.ContainsFunc(gaps, func(g gap) bool { return g.first.compare(s) <= 0 && s.compare(g.last) <= 0 })
}

// spanText is how a mark holds a span: its last, and its gaps.
func spanText(last sequence, gaps []gap) string {
	if len(gaps) == 0 {
		return last.text()
	}
	parts := []string{last.text()}
	for _, g := range gaps {
		parts = append(parts, g.first.text()+"~"+g.last.text())
	}
	return strings.Join(parts, " ")
}

func parseSpan(text string) (last sequence, gaps []gap, err error) {
	parts := strings.Split(text, " ")
	last, err = parseSequence(parts[0])
	for _, part := range parts[1:] {
		first, end, _ := strings.Cut(part, "~")
		var g gap
		if err == nil {
			g.first, err = parseSequence(first)
		}
		if err == nil {
			g.last, err = parseSequence(end)
		}
		gaps = append(gaps, g)
	}
	return last, gaps, err
}

// isBuried notes that an output in order becomes a dead letter, so that the next
// one which is written leaves a gap. all: so do all outputs that are not written
// by now.
func (w *onceWriter) isBuried(e *entry, all bool) {
	if e.place.of == nil || e.place.member != "" {
		return // no mark will move over it
	}
	m, s := w.mark(markID{e.stream, e.place.of.source}), e.place.seq
	if m.buriedIn != w.bundle {
		m.buried, m.buriedIn = nil, w.bundle
	}
	if last, _ := m.progress.last(e.place.of.start); s.compare(last) <= 0 {
		return // it is written, or in a gap
	}
	if n := len(m.buried); all && n > 0 {
		g := gap{m.buried[0].first, m.buried[n-1].last}
		if s.compare(g.first) < 0 {
			g.first = s
		}
		if g.last.compare(s) < 0 {
			g.last = s
		}
		m.buried = append(m.buried[:0], g)
		return
	}
	at, _ := slices.BinarySearchFunc(m.buried, s, func(g gap, s sequence) int { return g.first.compare(s) })
	m.buried = slices.Insert(m.buried, at, gap{s, s})
}

// settled lets go of what was buried before it was known how far the job of start
// has come: that is written, or in a gap.
func (m *mark) settled(start message.EntryID) {
	last, _ := m.progress.last(start)
	m.buried = slices.DeleteFunc(m.buried, func(g gap) bool { return g.last.compare(last) <= 0 })
	for i := range m.buried {
		if g := &m.buried[i]; g.first.compare(last) <= 0 {
			g.first = last.next()
		}
	}
}

// buriedBefore divides what was buried in this bundle at next.
func (m *mark) buriedBefore(next sequence, bundle int) (before, after []gap) {
	if m.buriedIn != bundle {
		return nil, nil
	}
	at, _ := slices.BinarySearchFunc(m.buried, next, func(g gap, s sequence) int { return g.first.compare(s) })
	return m.buried[:at], m.buried[at:]
}

// gapsAt are the gaps of the mark's span when it has moved.
func (u *markUse) gapsAt(bundle int) []gap {
	before, _ := u.mark.buriedBefore(u.next, bundle)
	gaps := slices.Concat(u.mark.progress.gaps(u.start), before)
	return gaps[max(0, len(gaps)-mostGaps):]
}

// isFault reports whether err makes a dead letter.
func isFault(err error) bool { return err != nil && classify(err) == rdb.ElementFault }
