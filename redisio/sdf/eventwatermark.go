package sdf

import "math"

// eventWatermark is the pure rule for event times that come in an order of their
// own: the watermark is behind the latest one, by as much as they may be out of
// order. Where nothing has come for a while, it is as much behind the server's
// clock, so that a quiet partition does not hold up the others.
type eventWatermark struct {
	latestMs int64 // the latest event time that was emitted; noWatermark if none
	behindMs int64 // how far event times may be out of order
	addedMs  int64 // when the last entry was added, by its ID
	idleMs   int64 // for how long nothing must have come
	emptyMs  int64 // the server's clock from before a read that found nothing
	caughtUp bool  // that read is later than anything that was emitted
	serverMs int64 // the latest server clock seen
	// held: redeliveries are still to come, and nobody knows their event times.
	held bool
}

func (w eventWatermark) value() int64 {
	if w.held {
		return noWatermark
	}
	ms := w.latestMs
	if w.caughtUp && w.emptyMs != noWatermark && w.emptyMs-w.addedMs >= w.idleMs {
		ms = max(ms, w.emptyMs)
	}
	ms = min(ms, w.serverMs)
	if ms < math.MinInt64+w.behindMs { // it would wrap around
		return noWatermark
	}
	return ms - w.behindMs
}

// watermarkMs is how far the watermark may go by what is known now.
func (t *turn) watermarkMs(rest Restriction) int64 {
	w := t.watermark(rest)
	if !t.cfg.FollowEventTimes {
		return w.value()
	}
	return eventWatermark{
		latestMs: t.r.latestMs,
		behindMs: t.cfg.OutOfOrderness.Milliseconds(),
		addedMs:  idTime(rest.Position.Ms),
		idleMs:   t.cfg.IdleAdvance.Milliseconds(),
		emptyMs:  w.emptyMs,
		caughtUp: w.caughtUp,
		serverMs: w.serverMs,
		held:     w.holdMs != math.MaxInt64,
	}.value()
}
