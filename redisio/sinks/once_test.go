package sinks

import (
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"example.com/beamredis/redisio/internal/redistest"
	"example.com/beamredis/redisio/message"
	"example.com/beamredis/redisio/topic"
)

// single is a topic of one stream, so that all entries meet.
var single = topic.Topic{Keys: []string{"single"}}

// job is one run of a pipeline that reads in:0 and writes once.
type job struct {
	stream      string
	incarnation uint64
	start       uint64
}

func jobFrom(start uint64) job { return job{stream: "in:0", incarnation: 1, start: start} }

func (j job) message(order message.Order, id uint64, text string) message.Message {
	return message.Message{
		Stream: j.stream, ID: message.EntryID{Ms: id},
		Fields: []message.Field{{Name: "is", Value: text}},
		Origin: message.NewOrigin(j.incarnation, message.EntryID{Ms: j.start}, order),
	}
}

// reads returns one message for each entry, as an undisturbed Read gives them.
func (j job) reads(ids ...uint64) (msgs []message.Message) {
	for _, id := range ids {
		msgs = append(msgs, j.message(message.Ordered, id, strconv.FormatUint(id, 10)))
	}
	return msgs
}

// isGiven returns entries that were pending before the job began.
func (j job) isGiven(ids ...uint64) (msgs []message.Message) {
	for _, id := range ids {
		msgs = append(msgs, j.message(message.Redelivered, id, strconv.FormatUint(id, 10)))
	}
	return msgs
}

// shuffled returns messages that were encoded on their way.
func (j job) shuffled(ids ...uint64) (msgs []message.Message) {
	for _, id := range ids {
		msgs = append(msgs, j.message(message.Unordered, id, strconv.FormatUint(id, 10)))
	}
	return msgs
}

// makes returns several outputs of one entry.
func (j job) makes(id uint64, texts ...string) (msgs []message.Message) {
	for _, text := range texts {
		msgs = append(msgs, j.message(message.Ordered, id, text))
	}
	return msgs
}

func newOnceSink(t *testing.T, server *redistest.Server, name string, change func(*WriteFn)) *sink {
	t.Helper()
	return newSink(t, server, func(w *WriteFn) {
		w.Topic = single
		w.Once = &OnceOptions{Name: name}
		if change != nil {
			change(w)
		}
	})
}

// texts is what the entries of single say, in order.
func texts(t *testing.T, server *redistest.Server) (all []string) {
	t.Helper()
	for _, fields := range stored(t, server, "single") {
		all = append(all, fields[1])
	}
	return all
}

func wantTexts(t *testing.T, server *redistest.Server, want ...string) {
	t.Helper()
	if diff := cmp.Diff(want, texts(t, server)); diff != "" {
		t.Errorf("entries (-want +got):\n%s", diff)
	}
}

// step is one bundle of a sink that knows nothing of those before.
type step struct {
	name string // of the sink, "a" unless set
	msgs []message.Message
}

func steps(bundles ...[]message.Message) (all []step) {
	for _, msgs := range bundles {
		all = append(all, step{msgs: msgs})
	}
	return all
}

func join(parts ...[]message.Message) []message.Message { return slices.Concat(parts...) }

func TestEveryOutputIsWrittenOnce(t *testing.T) {
	recreated := jobFrom(0)
	recreated.incarnation = 2
	other := jobFrom(0)
	other.stream = "in:1"
	for _, c := range []struct {
		name  string
		steps []step
		want  string
	}{
		// Ways in which a high-water mark alone would drop what is not written.
		{"one entry makes several outputs", steps(jobFrom(0).makes(5, "a", "b", "c")), "a b c"},
		{"equal outputs of one entry", steps(jobFrom(0).makes(5, "a", "a")), "a a"},
		{"two sinks on one destination", []step{{"a", jobFrom(0).reads(1, 2)}, {"b", jobFrom(0).reads(1, 2)}}, "1 2 1 2"},
		{"two streams into one destination", steps(jobFrom(0).reads(7, 8), other.reads(1, 7)), "7 8 1 7"},
		{"two groups read one stream", steps(jobFrom(0).reads(1, 2), recreated.reads(1, 2)), "1 2 1 2"},
		{"the source was made anew with lower IDs", steps(jobFrom(0).reads(8, 9), recreated.reads(1, 8)), "8 9 1 8"},
		{"bundles of a shuffle come in any order", steps(jobFrom(0).shuffled(5, 7, 9), jobFrom(0).shuffled(6, 8)), "5 7 9 6 8"},
		{"a shuffle's bundle is out of order", steps(jobFrom(0).shuffled(7, 5)), "7 5"},
		{"different outputs of one entry after a shuffle",
			steps([]message.Message{jobFrom(0).message(message.Unordered, 5, "a"), jobFrom(0).message(message.Unordered, 5, "b")}), "a b"},
		{"redelivery of what was never written", steps(jobFrom(9).reads(10, 11), jobFrom(9).isGiven(4)), "10 11 4"},
		{"redelivery between entries in order", steps(join(jobFrom(9).reads(10), jobFrom(9).isGiven(4, 3), jobFrom(9).reads(11))), "10 4 3 11"},
		{"several outputs of a redelivered entry",
			steps([]message.Message{jobFrom(9).message(message.Redelivered, 4, "a"), jobFrom(9).message(message.Redelivered, 4, "a")}), "a a"},
		{"a new job is given what the old one had not written", steps(jobFrom(0).reads(1, 2), jobFrom(9).isGiven(3), jobFrom(9).reads(10)), "1 2 3 10"},
		{"a new job is given an entry of which the old one wrote a part",
			steps(jobFrom(0).makes(3, "3a"), []message.Message{jobFrom(9).message(message.Redelivered, 3, "3a"), jobFrom(9).message(message.Redelivered, 3, "3b")}), "3a 3b"},
		{"an old job is restored and reads what the new one was not given", steps(jobFrom(0).reads(1), jobFrom(9).reads(10), jobFrom(0).reads(2, 3, 10, 11)), "1 10 2 3 11"},
		{"entries that made nothing leave no hole", steps(jobFrom(0).reads(1), jobFrom(0).reads(5)), "1 5"},

		// Kinds of duplicates.
		{"a bundle is run again", steps(jobFrom(0).reads(1, 2, 3), jobFrom(0).reads(1, 2, 3)), "1 2 3"},
		{"the job goes back behind what was written", steps(jobFrom(0).reads(1, 2), jobFrom(0).reads(3, 4), jobFrom(0).reads(2, 3, 4, 5)), "1 2 3 4 5"},
		{"bundles are cut elsewhere", steps(jobFrom(0).reads(1, 2, 3), jobFrom(0).reads(2), jobFrom(0).reads(3, 4)), "1 2 3 4"},
		{"several outputs are made again", steps(jobFrom(0).makes(5, "a", "b"), jobFrom(0).makes(5, "a", "b")), "a b"},
		{"a new job is given what the old one wrote", steps(jobFrom(0).reads(1, 2, 3), jobFrom(9).isGiven(2, 3, 4)), "1 2 3 4"},
		{"redelivered twice", steps(jobFrom(9).isGiven(3, 4), jobFrom(9).isGiven(3, 4)), "3 4"},
		{"redelivered to two jobs one after the other", steps(jobFrom(9).isGiven(3), jobFrom(20).isGiven(3, 15)), "3 15"},
		{"a shuffled bundle is run again", steps(jobFrom(0).shuffled(5, 7), jobFrom(0).shuffled(7, 6, 5)), "5 7 6"},
		{"the group was set back between two jobs", steps(jobFrom(0).reads(1, 2, 3, 4), jobFrom(2).reads(3, 4, 5)), "1 2 3 4 5"},
		{"an old job is restored behind a new one", steps(jobFrom(0).reads(1), jobFrom(9).isGiven(2), jobFrom(9).reads(10, 11), jobFrom(0).reads(2, 3, 10, 11, 12)), "1 2 10 11 3 12"},
		{"a worker of the old job wakes up after the new one was given its entries", steps(jobFrom(9).isGiven(2), jobFrom(0).reads(1, 2)), "2 1"},
	} {
		t.Run(c.name, func(t *testing.T) {
			server := redistest.Start(t)
			for _, s := range c.steps {
				if s.name == "" {
					s.name = "a"
				}
				if err := newOnceSink(t, server, s.name, nil).bundle(t.Context(), s.msgs...); err != nil {
					t.Fatal(err)
				}
			}
			wantTexts(t, server, strings.Fields(c.want)...)
		})
	}
}

// TestABatchThatEndsWithinAnEntrysOutputs: what a bundle wrote before it failed
// stands, to the output.
func TestABatchThatEndsWithinAnEntrysOutputs(t *testing.T) {
	server := redistest.Start(t)
	outputs := join(jobFrom(0).makes(1, "1a", "1b", "1c"), jobFrom(0).makes(2, "2a", "2b", "2c"))
	for n := 1; n < len(outputs); n++ { // bundles that fail after n outputs
		s := newOnceSink(t, server, "a", func(w *WriteFn) { w.Batch.MaxCount = 1 })
		if err := s.StartBundle(t.Context(), s.emit, s.emitWritten); err != nil {
			t.Fatal(err)
		}
		for _, m := range outputs[:n] {
			if err := s.ProcessElement(t.Context(), 0, m, s.emit, s.emitWritten); err != nil {
				t.Fatal(err)
			}
		}
		await(t, "they are written", func() bool { return !s.lanes[0].batcher.isRunning() })
		s.Teardown()
	}
	if err := newOnceSink(t, server, "a", nil).bundle(t.Context(), outputs...); err != nil {
		t.Fatal(err)
	}
	wantTexts(t, server, "1a", "1b", "1c", "2a", "2b", "2c")
}

func TestOneSinkGoesOnFromBundleToBundle(t *testing.T) {
	server := redistest.Start(t)
	s := newOnceSink(t, server, "a", nil)
	for _, msgs := range [][]message.Message{jobFrom(0).reads(1, 2), jobFrom(0).reads(3), jobFrom(0).reads(2, 3, 4), jobFrom(0).reads(1)} {
		if err := s.bundle(t.Context(), msgs...); err != nil {
			t.Fatal(err)
		}
	}
	wantTexts(t, server, "1", "2", "3", "4")
	if n := s.lanes[0].once.repeated.Load(); n != 3 {
		t.Errorf("%d outputs counted as repeated, want 3", n)
	}
}

func TestWhatCannotBeToldApartFailsTheBundle(t *testing.T) {
	server := redistest.Start(t)
	unknown := jobFrom(0).reads(1)[0]
	unknown.Origin = message.UnknownOrigin("NOPERM this user")
	shuffled, err := message.DecodeMessage(message.AppendMessage(nil, unknown))
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name string
		msgs []message.Message
		want string
	}{
		{"out of order", jobFrom(0).reads(2, 1), "entry 1-0 of in:0 came after entry 2-0"},
		{"back to an entry", jobFrom(0).reads(1, 2, 1), "entry 1-0 of in:0 came after entry 2-0"},
		{"two Reads of one group", join(jobFrom(0).reads(1), jobFrom(5).reads(6)), "two Reads"},
		{"made by the pipeline", numbered(0, 1), "WithIdempotenceKey"},
		{"read without the right to know the stream", []message.Message{unknown}, "entry 1-0 of in:0 may have been written before, or be that of another stream which had this key: NOPERM this user"},
		{"the same, shuffled", []message.Message{shuffled}, "lacks a right on the stream; grant the user that reads what docs/security.md lists"},
	} {
		t.Run(c.name, func(t *testing.T) {
			err := newOnceSink(t, server, "a", nil).bundle(t.Context(), c.msgs...)
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("error %v, want one that says %q", err, c.want)
			}
		})
	}
}

// TestLostStateIsNoticedWithinABundle: a server that forgets what it had
// acknowledged would otherwise be left with the second half of a bundle.
func TestLostStateIsNoticedWithinABundle(t *testing.T) {
	server := redistest.Start(t)
	s := newOnceSink(t, server, "a", func(w *WriteFn) { w.Batch.MaxCount = 1 })
	if err := s.StartBundle(t.Context(), s.emit, s.emitWritten); err != nil {
		t.Fatal(err)
	}
	msgs := jobFrom(0).reads(1, 2)
	if err := s.ProcessElement(t.Context(), 0, msgs[0], s.emit, s.emitWritten); err != nil {
		t.Fatal(err)
	}
	await(t, "it is written", func() bool { return !s.lanes[0].batcher.isRunning() })
	if err := server.Client().FlushAll(t.Context()).Err(); err != nil {
		t.Fatal(err)
	}
	err := s.ProcessElement(t.Context(), 0, msgs[1], s.emit, s.emitWritten)
	if err == nil {
		err = s.FinishBundle(t.Context(), s.emit, s.emitWritten)
	}
	if err == nil || !strings.Contains(err.Error(), "lost entries") {
		t.Fatalf("error %v, want that entries are lost", err)
	}
	if err := s.bundle(t.Context(), msgs...); err != nil {
		t.Fatal(err)
	}
	wantTexts(t, server, "1", "2")
}

func TestOnceFaultsOfTheDestinationAreDeadLettersEveryTime(t *testing.T) {
	server := redistest.Start(t)
	if err := server.Client().Set(t.Context(), "single", "no stream", 0).Err(); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		s := newOnceSink(t, server, "a", func(w *WriteFn) { w.CollectFailed = true })
		if err := s.bundle(t.Context(), jobFrom(0).reads(1, 2, 3)...); err != nil {
			t.Fatal(err)
		}
		if len(s.dead) != 3 || !strings.HasPrefix(s.dead[2].Reason, "WRONGTYPE") || s.dead[2].Attempts != 1 {
			t.Errorf("dead letters %+v", s.dead)
		}
	}
	if err := server.Client().Del(t.Context(), "single").Err(); err != nil {
		t.Fatal(err)
	}
	if err := newOnceSink(t, server, "a", nil).bundle(t.Context(), jobFrom(0).reads(1, 2, 3)...); err != nil {
		t.Fatal(err)
	}
	wantTexts(t, server, "1", "2", "3")
}
