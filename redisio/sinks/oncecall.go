package sinks

import (
	"example.com/beamredis/redisio/internal/rdb"
	"example.com/beamredis/redisio/message"
)

// onceCall is one call for one stream.
type onceCall struct {
	share    *share
	batch    rdb.OnceBatch
	taken    []int // index of the entry behind each of batch.Adds
	marks    []*markUse
	covered  int // entries that are in the stream already
	consumed int // entries of the share that the call deals with
}

// markUse is what a call does with a mark.
type markUse struct {
	mark  *mark
	start message.EntryID
	// next is how far the job will have come.
	next sequence
	// moves: the mark gets a new version.
	moves bool
	// adds: entries depend on the mark.
	adds bool
}

// commit notes that the server has carried the call out.
func (u *markUse) commit(bundle int, version string) {
	m := u.mark
	m.compared = bundle
	if !u.moves {
		return
	}
	gaps := u.gapsAt(bundle)
	_, m.buried = m.buriedBefore(u.next, bundle)
	m.progress.advance(u.start, u.next, gaps)
	m.progress.version = version
	if u.next != emptySpan(u.start) {
		m.acked, m.ackedIn = u.next, bundle
	}
}

// Bounds of one call, which holds up the server's other clients while it runs.
const (
	mostCallEntries = 1000
	mostCallArgs    = 100_000
)

// plan decides what of a share goes into its next call. It returns nil if there
// is nothing to ask the server: what is left is known to be written.
func (w *onceWriter) plan(s *share, entries []entry) *onceCall {
	c := &onceCall{share: s}
	uses := map[*mark]*markUse{}
	args := 0
	for _, at := range s.left {
		e := &entries[at]
		if len(c.taken) == mostCallEntries || args > mostCallArgs {
			break
		}
		c.consumed++
		member, add := w.decide(c, uses, e)
		if !add {
			c.covered++
			continue
		}
		a := w.add(e)
		args += 2 * len(a.Fields)
		c.taken = append(c.taken, at)
		c.batch.Adds = append(c.batch.Adds, a)
		c.batch.Members = append(c.batch.Members, member)
	}
	if !w.complete(c) {
		w.repeated.Add(int64(c.covered))
		s.left = s.left[c.consumed:]
		return nil
	}
	return c
}

// decide says whether e is to be added, and which member of the window, if any,
// stands for it.
func (w *onceWriter) decide(c *onceCall, uses map[*mark]*markUse, e *entry) (member string, add bool) {
	if e.place.of == nil {
		return e.place.member, true
	}
	u := w.use(c, uses, e)
	p := &u.mark.progress
	if p.covers(e.place.seq) {
		return "", false
	}
	u.adds = true
	switch {
	case e.place.member != "":
		return e.place.member, true
	case p.foreign(u.start, e.place.seq.id), e.place.seq.compare(u.next) <= 0: // in a gap
		return e.place.of.member(e.place.seq), true
	}
	u.next, u.moves = e.place.seq, true
	return "", true
}

func (w *onceWriter) use(c *onceCall, uses map[*mark]*markUse, e *entry) *markUse {
	m := w.mark(markID{e.stream, e.place.of.source})
	u := uses[m]
	if u == nil {
		u = &markUse{mark: m, start: e.place.of.start}
		known := false
		u.next, known = m.progress.last(u.start)
		u.moves = !known // others have to see that this job exists
		uses[m] = u
		c.marks = append(c.marks, u)
	}
	return u
}

// complete fills in the batch, and reports whether it has to be sent: because
// it adds entries, or because a mark was not compared in this bundle yet. Where
// replicas have to be waited for, entries that turned out to be written need a
// command to wait for all the same.
func (w *onceWriter) complete(c *onceCall) bool {
	touch := w.adder.Replicas.Count > 0 && c.share.stale > 0
	needed := c.marks[:0]
	for _, u := range c.marks {
		if u.adds || touch || u.mark.compared != w.bundle {
			needed = append(needed, u)
		}
	}
	c.marks = needed
	if len(c.marks) == 0 && len(c.batch.Adds) == 0 {
		return false
	}
	for _, u := range c.marks {
		c.batch.Marks = append(c.batch.Marks, u.rdb(w.bundle))
	}
	b := &c.batch
	b.Stream = c.share.stream
	b.Window, b.PrevWindow = w.companion(b.Stream, "window", ""), w.companion(b.Stream, "before", "")
	b.WindowSize, b.TTL, b.WantIDs = w.opts.Window, w.opts.TTL, w.wantID
	if w.trim != nil {
		b.Trim = w.trim()
	}
	return true
}

func (u *markUse) rdb(bundle int) rdb.Mark {
	p := &u.mark.progress
	m := rdb.Mark{Key: u.mark.key, Version: p.version}
	if !u.moves {
		return m
	}
	m.Next, m.Field, m.Value = newVersion(), u.start.String(), spanText(u.next, u.gapsAt(bundle))
	_, known := p.find(u.start)
	if surplus, full := p.surplus(); full && !known {
		m.Drop = surplus.String()
	}
	return m
}
