package sinks

import (
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"example.com/beamredis/redisio/internal/redistest"
	"example.com/beamredis/redisio/message"
)

// TestAnOutputThatCannotBeWrittenKeepsItsNumber: the outputs after it must not
// be taken for those before.
func TestAnOutputThatCannotBeWrittenKeepsItsNumber(t *testing.T) {
	server := redistest.Start(t)
	outputs := jobFrom(0).makes(1, "a", "b", "c")
	broken := slices.Clone(outputs)
	broken[0].Fields = nil
	for _, msgs := range [][]message.Message{broken, outputs} {
		s := newOnceSink(t, server, "a", func(w *WriteFn) { w.CollectFailed = true })
		if err := s.bundle(t.Context(), msgs...); err != nil {
			t.Fatal(err)
		}
	}
	wantTexts(t, server, "b", "c")
}

// failAfter has a bundle bury the first of msgs, calls change, writes the others,
// and fails.
func failAfter(t *testing.T, s *sink, change func(), msgs ...message.Message) {
	t.Helper()
	if err := s.StartBundle(t.Context(), s.emit, s.emitWritten); err != nil {
		t.Fatal(err)
	}
	for i, m := range msgs {
		if err := s.ProcessElement(t.Context(), 0, m, s.emit, s.emitWritten); err != nil {
			t.Fatal(err)
		}
		await(t, "it is dealt with", func() bool { return !s.lanes[0].batcher.isRunning() })
		if i == 0 {
			change()
		}
	}
	if n := s.failed.count.Load(); n != 1 {
		t.Fatalf("%d dead letters, want 1", n)
	}
	s.Teardown() // a runner discards what the bundle has emitted
}

// repeat runs the bundle of msgs again, twice, and wants the dead letters and the
// written messages of each time.
func repeat(t *testing.T, open func() *sink, dead, written int, msgs ...message.Message) {
	t.Helper()
	for range 2 {
		s := open()
		if err := s.bundle(t.Context(), msgs...); err != nil {
			t.Fatal(err)
		}
		if len(s.dead) != dead || len(s.written) != written {
			t.Errorf("%d dead letters and %d written, want %d and %d", len(s.dead), len(s.written), dead, written)
		}
	}
}

func collectAll(w *WriteFn) { w.CollectFailed, w.CollectWritten, w.Batch.MaxCount = true, true, 1 }

// TestADeadLetterOfAFailedBundleIsNotTakenForWritten: the dead letter went with
// the bundle, and the mark is beyond it.
func TestADeadLetterOfAFailedBundleIsNotTakenForWritten(t *testing.T) {
	msgs := jobFrom(0).reads(1, 2, 3)
	for _, tt := range []struct {
		name          string
		again         string // what the destination is when the bundle is repeated
		dead, written int
		want          []string
	}{
		{"the destination can be written", "stream", 0, 3, []string{"2", "3", "1"}},
		{"it cannot, as before", "text", 1, 2, nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			server := redistest.Start(t)
			set := func() { server.Client().Set(t.Context(), "single", "no stream", 0) }
			set()
			failAfter(t, newOnceSink(t, server, "a", collectAll), func() { server.Client().Del(t.Context(), "single") }, msgs...)
			if tt.again == "text" {
				set()
			}
			repeat(t, func() *sink { return newOnceSink(t, server, "a", collectAll) }, tt.dead, tt.written, msgs...)
			if tt.again == "stream" {
				wantTexts(t, server, tt.want...)
			}
		})
	}
}

// TestALargerLimitHasWhatWasTooLargeWritten in the repetition of a bundle that
// failed, although later outputs were written by then.
func TestALargerLimitHasWhatWasTooLargeWritten(t *testing.T) {
	server := redistest.Start(t)
	limit := func(bytes string) {
		if err := server.Client().ConfigSet(t.Context(), "proto-max-bulk-len", bytes).Err(); err != nil {
			t.Fatal(err)
		}
	}
	msgs := jobFrom(0).reads(1, 2, 3)
	msgs[0].Fields[0].Value = strings.Repeat("x", 2<<20)
	limit("1048576")
	failAfter(t, newOnceSink(t, server, "a", collectAll), func() {}, msgs...)
	repeat(t, func() *sink { return newOnceSink(t, server, "a", collectAll) }, 1, 2, msgs...)
	limit("536870912")
	cfg := server.Config()
	cfg.PoolSize = 3 // a client that has not asked for the limit yet
	repeat(t, func() *sink {
		return newSinkOn(t, cfg, func(w *WriteFn) {
			w.Topic, w.Once = single, &OnceOptions{Name: "a"}
			collectAll(w)
		})
	}, 0, 3, msgs...)
	wantTexts(t, server, "2", "3", msgs[0].Fields[0].Value)
}

// TestAGapIsOneHoweverManyOutputsItHas: they are buried batch by batch.
func TestAGapIsOneHoweverManyOutputsItHas(t *testing.T) {
	server := redistest.Start(t)
	server.Client().Set(t.Context(), "single", "no stream", 0)
	s := newOnceSink(t, server, "a", func(w *WriteFn) { collectAll(w); w.Batch.MaxCount = 2 })
	if err := s.StartBundle(t.Context(), s.emit, s.emitWritten); err != nil {
		t.Fatal(err)
	}
	add := func(msgs ...message.Message) {
		t.Helper()
		for _, m := range msgs {
			if err := s.ProcessElement(t.Context(), 0, m, s.emit, s.emitWritten); err != nil {
				t.Fatal(err)
			}
		}
		await(t, "they are dealt with", func() bool { return !s.lanes[0].batcher.isRunning() })
	}
	add(jobFrom(0).reads(1, 2, 3, 4, 5, 6, 7)...)
	server.Client().Del(t.Context(), "single")
	add(jobFrom(0).reads(8, 9)...)
	if err := s.FinishBundle(t.Context(), s.emit, s.emitWritten); err != nil {
		t.Fatal(err)
	}
	keys := server.Client().Keys(t.Context(), "beamredis:*:mark:*").Val()
	if len(keys) != 1 {
		t.Fatalf("marks %q, want one", keys)
	}
	if got := server.Client().HGet(t.Context(), keys[0], "0-0").Val(); got != "9-0:0 1-0:0~7-0:0" {
		t.Errorf("the mark says %q", got)
	}
}

func TestGapsSurviveTheirText(t *testing.T) {
	at := func(ms, n uint64) sequence { return sequence{message.EntryID{Ms: ms}, n} }
	want := []gap{{at(1, 0), at(1, 2)}, {at(4, 1), at(6, 0)}}
	last, got, err := parseSpan(spanText(at(9, 3), want))
	if err != nil || last != at(9, 3) {
		t.Errorf("last %v, error %v", last, err)
	}
	if diff := cmp.Diff(want, got, cmp.AllowUnexported(gap{}, sequence{})); diff != "" {
		t.Errorf("gaps (-want +got):\n%s", diff)
	}
	p := progress{spans: []span{{last: last, gaps: got}}}
	for _, tt := range []struct {
		s    sequence
		want bool
	}{{at(0, 1), false}, {at(1, 0), false}, {at(1, 2), false}, {at(1, 3), true}, {at(3, 0), true}, {at(5, 7), false}, {at(6, 1), true}, {at(9, 3), true}, {at(9, 4), false}} {
		if p.covers(tt.s) != tt.want {
			t.Errorf("%v is covered: %v, want %v", tt.s, !tt.want, tt.want)
		}
	}
}

func TestOutputsAreBuriedInAnyOrder(t *testing.T) {
	w := &onceWriter{marks: map[markID]*mark{}, bundle: 1}
	o := &outputs{source: source{stream: "in:0", incarnation: 1}}
	bury := func(id uint64, all bool) {
		w.isBuried(&entry{stream: "d", place: place{of: o, seq: sequence{id: message.EntryID{Ms: id}}}}, all)
	}
	bury(7, false)
	bury(3, false)
	m := w.mark(markID{"d", o.source})
	before, after := m.buriedBefore(sequence{id: message.EntryID{Ms: 5}}, 1)
	if len(before) != 1 || before[0].first.id.Ms != 3 || len(after) != 1 || after[0].last.id.Ms != 7 {
		t.Errorf("before %v, after %v", before, after)
	}
	bury(9, true)
	if len(m.buried) != 1 || m.buried[0].first.id.Ms != 3 || m.buried[0].last.id.Ms != 9 {
		t.Errorf("buried %v, want one from 3 to 9", m.buried)
	}
	bury(2, true) // one in the middle of a batch was found too large before the stream refused all of them
	if len(m.buried) != 1 || m.buried[0].first.id.Ms != 2 || m.buried[0].last.id.Ms != 9 {
		t.Errorf("buried %v, want one from 2 to 9", m.buried)
	}
	w.start()
	bury(4, false)
	if len(m.buried) != 1 || m.buried[0].first.id.Ms != 4 {
		t.Errorf("buried %v, want what this bundle has buried alone", m.buried)
	}
}

// TestWhatIsBuriedBeforeTheMarkIsKnownIsLookedAtAgain: a worker that repeats a
// bundle learns what the one before it wrote.
func TestWhatIsBuriedBeforeTheMarkIsKnownIsLookedAtAgain(t *testing.T) {
	at := func(ms, n uint64) sequence { return sequence{message.EntryID{Ms: ms}, n} }
	m := &mark{buried: []gap{{at(2, 0), at(2, 0)}, {at(4, 0), at(6, 1)}, {at(8, 0), at(8, 0)}}}
	m.progress.advance(message.EntryID{}, at(5, 3), []gap{{at(2, 0), at(2, 0)}})
	m.settled(message.EntryID{})
	want := []gap{{at(5, 4), at(6, 1)}, {at(8, 0), at(8, 0)}}
	if diff := cmp.Diff(want, m.buried, cmp.AllowUnexported(gap{}, sequence{})); diff != "" {
		t.Errorf("buried (-want +got):\n%s", diff)
	}
}

// TestAnEntryTooLargeAmongOthersThatAreRefused: those before it are in the gap as
// well.
func TestAnEntryTooLargeAmongOthersThatAreRefused(t *testing.T) {
	server := redistest.Start(t)
	msgs := jobFrom(0).reads(1, 2, 3, 4)
	msgs[2].Fields[0].Value = strings.Repeat("x", 2<<20)
	if err := server.Client().ConfigSet(t.Context(), "proto-max-bulk-len", "1048576").Err(); err != nil {
		t.Fatal(err)
	}
	server.Client().Set(t.Context(), "single", "no stream", 0)
	s := newOnceSink(t, server, "a", func(w *WriteFn) { collectAll(w); w.Batch.MaxCount = 3 })
	if err := s.StartBundle(t.Context(), s.emit, s.emitWritten); err != nil {
		t.Fatal(err)
	}
	for i, m := range msgs {
		if i == 3 {
			await(t, "three are dead letters", func() bool { return s.failed.count.Load() == 3 })
			server.Client().Del(t.Context(), "single")
		}
		if err := s.ProcessElement(t.Context(), 0, m, s.emit, s.emitWritten); err != nil {
			t.Fatal(err)
		}
	}
	await(t, "the last one is written", func() bool { return server.Client().XLen(t.Context(), "single").Val() == 1 })
	s.Teardown() // the bundle fails
	repeat(t, func() *sink { return newOnceSink(t, server, "a", collectAll) }, 1, 3, msgs...)
	wantTexts(t, server, "4", "1", "2")
	keys := server.Client().Keys(t.Context(), "beamredis:*:mark:*").Val()
	if len(keys) != 1 {
		t.Fatalf("marks %q, want one", keys)
	}
	// One gap, or several: that depends on which of them came in one batch.
	text := server.Client().HGet(t.Context(), keys[0], "0-0").Val()
	last, gaps, err := parseSpan(text)
	if err != nil || last.id.Ms != 4 || len(gaps) > 3 {
		t.Errorf("the mark says %q, error %v, want at most three gaps however often the bundle is repeated", text, err)
	}
}
