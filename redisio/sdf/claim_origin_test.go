package sdf

import (
	"strings"
	"testing"

	"example.com/beamredis/redisio/message"
)

func orders(msgs []message.Message) (all []message.Order) {
	for _, m := range msgs {
		all = append(all, m.Origin.Order())
	}
	return all
}

func TestMessagesTellWhetherTheyCameInOrder(t *testing.T) {
	r := newRunner(t)
	r.createGroup("0")
	r.add(stream, 3)
	r.take(Defaults().Consumer, 2)
	r.open(stream)
	b := r.bundle().want(1, 2, 3)
	wantEqual(t, "orders", orders(b.got)[0], message.Redelivered)
	wantEqual(t, "orders", orders(b.got)[1], message.Redelivered)
	wantEqual(t, "orders", orders(b.got)[2], message.Ordered)
	for _, m := range b.got {
		wantEqual(t, "start", m.Origin.Start(), b.got[1].ID)
		wantEqual(t, "incarnation", m.Origin.Incarnation(), b.got[0].Origin.Incarnation())
	}
}

// incarnation is that of the only message in the next bundle.
func (r *runner) incarnation() uint64 {
	r.t.Helper()
	b := r.bundle()
	if len(b.got) != 1 {
		r.t.Fatalf("%d messages, want 1", len(b.got))
	}
	return b.got[0].Origin.Incarnation()
}

func TestAnIncarnationStaysUntilIDsMeanSomethingElse(t *testing.T) {
	r := newRunner(t)
	r.add(stream, 1)
	r.open(stream)
	first := r.incarnation()
	for _, step := range []struct {
		name   string
		change func()
		same   bool
	}{
		{"the same worker", func() {}, true},
		{"another worker", r.newWorker, true},
		{"the group was destroyed", func() { r.redis.XGroupDestroy(t.Context(), stream, group) }, false},
		{"the stream was made anew", func() { r.redis.Del(t.Context(), stream) }, false},
	} {
		step.change()
		r.add(stream, 1)
		now := r.incarnation()
		if (now == first) != step.same || now == 0 {
			t.Errorf("%s: incarnation %d after %d, want the same: %v", step.name, now, first, step.same)
		}
		first = now
	}
}

func TestAColdReaderKnowsTheIncarnationThoughTheServerIsFull(t *testing.T) {
	r := newRunner(t)
	r.add(stream, 1)
	r.open(stream)
	r.must(r.redis.ConfigSet(t.Context(), "maxmemory", "1").Err())
	b := r.bundle()
	if len(b.got) != 1 || b.got[0].Origin.Incarnation() == 0 || b.got[0].Origin.Order() != message.Ordered {
		t.Errorf("messages %+v, want one that came in order", b.got)
	}
}

// goesBack makes the stream an older copy of itself, which the reader has not
// seen yet. It returns the incarnation until then.
func (r *runner) goesBack() (first uint64) {
	r.t.Helper()
	r.add(stream, 1)
	r.open(stream)
	first = r.incarnation()
	copied, err := r.redis.Dump(r.t.Context(), stream).Result()
	r.must(err)
	r.add(stream, 1)
	wantEqual(r.t, "incarnation", r.incarnation(), first)
	r.must(r.redis.RestoreReplace(r.t.Context(), stream, 0, copied).Err())
	return first
}

// wantAnotherThan fails the test unless the incarnation is another one now.
func (r *runner) wantAnotherThan(first uint64) {
	r.t.Helper()
	if now := r.incarnation(); now == first || now == 0 {
		r.t.Errorf("incarnation %d after %d, want another", now, first)
	}
}

// TestAnOlderCopyOfAStreamIsAnotherIncarnation: what is added to it can have the
// IDs of what was lost.
func TestAnOlderCopyOfAStreamIsAnotherIncarnation(t *testing.T) {
	r := newRunner(t)
	first := r.goesBack()
	r.bundle().want()
	r.newWorker() // an idle partition is not looked at every time
	r.bundle()
	r.add(stream, 1)
	r.wantAnotherThan(first)
}

// TestARenewalThatFailsIsDoneLater: a server without the replicas that it wants
// can be looked at, and not be written to.
func TestARenewalThatFailsIsDoneLater(t *testing.T) {
	r := newRunner(t)
	first := r.goesBack()
	r.newWorker()
	r.must(r.redis.ConfigSet(t.Context(), "min-replicas-to-write", "1").Err())
	r.bundle().want()
	r.must(r.redis.ConfigSet(t.Context(), "min-replicas-to-write", "0").Err())
	r.newWorker()
	r.bundle()
	r.add(stream, 1)
	r.wantAnotherThan(first)
}

// TestWithoutItsRightAReaderGoesOnAndSaysSo: messages without an incarnation,
// and none with one that is not good any more.
func TestWithoutItsRightAReaderGoesOnAndSaysSo(t *testing.T) {
	r := newRunner(t)
	right := func(rule string) { r.must(r.redis.Do(t.Context(), "acl", "setuser", "default", rule).Err()) }
	first := r.goesBack()
	right("-xgroup|delconsumer")
	for range 2 {
		r.newWorker()
		r.bundle()
		r.add(stream, 1)
		b := r.bundle()
		if len(b.got) != 1 || !strings.Contains(b.got[0].Origin.Unknown(), "NOPERM") || b.got[0].Origin.Order() != message.Unordered {
			t.Fatalf("messages %+v, want one of an unknown origin", b.got)
		}
	}
	right("+xgroup|delconsumer")
	r.newWorker()
	r.bundle()
	r.add(stream, 1)
	r.wantAnotherThan(first)
}
