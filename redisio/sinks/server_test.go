package sinks

import (
	"context"
	"errors"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/apache/beam/sdks/v2/go/pkg/beam"
	"github.com/google/go-cmp/cmp"

	"example.com/beamredis/redisio/conn"
	"example.com/beamredis/redisio/internal/redistest"
	"example.com/beamredis/redisio/message"
	"example.com/beamredis/redisio/topic"
)

var outTopic = topic.Topic{Name: "out", Partitions: 3}

// sink is a WriteFn with its dead letters, driven without a runner.
type sink struct {
	*WriteFn
	dead    []message.DeadLetter
	written []message.Message
}

func newSink(t *testing.T, server *redistest.Server, change func(*WriteFn)) *sink {
	t.Helper()
	return newSinkOn(t, server.Config(), change)
}

func newSinkOn(t *testing.T, cfg conn.Config, change func(*WriteFn)) *sink {
	t.Helper()
	s := &sink{WriteFn: &WriteFn{WriteConfig: WriteConfig{Conn: cfg, Topic: outTopic, KeyField: DefaultKeyField}}}
	if change != nil {
		change(s.WriteFn)
	}
	if err := s.Setup(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Teardown)
	return s
}

func (s *sink) emit(_ beam.EventTime, d message.DeadLetter) { s.dead = append(s.dead, d) }

func (s *sink) emitWritten(_ beam.EventTime, m message.Message) { s.written = append(s.written, m) }

func (s *sink) bundle(ctx context.Context, msgs ...message.Message) error {
	if err := s.StartBundle(ctx, s.emit, s.emitWritten); err != nil {
		return err
	}
	for _, m := range msgs {
		if err := s.ProcessElement(ctx, 0, m, s.emit, s.emitWritten); err != nil {
			return err
		}
	}
	return s.FinishBundle(ctx, s.emit, s.emitWritten)
}

// numbered returns n messages over a few keys, numbered from start.
func numbered(start, n int) []message.Message {
	msgs := make([]message.Message, n)
	for i := range msgs {
		msgs[i] = message.Message{
			Key:    "key-" + strconv.Itoa((start+i)%17),
			Fields: []message.Field{{Name: "n", Value: strconv.Itoa(start + i)}},
		}
	}
	return msgs
}

// stored returns the fields of the entries of a stream, in order.
func stored(t *testing.T, server *redistest.Server, stream string) [][]string {
	t.Helper()
	reply, err := server.Client().Do(context.Background(), "XRANGE", stream, "-", "+").Slice()
	if err != nil {
		t.Fatal(err)
	}
	var all [][]string
	for _, e := range reply {
		var fields []string
		for _, f := range e.([]any)[1].([]any) {
			fields = append(fields, f.(string))
		}
		all = append(all, fields)
	}
	return all
}

// storedNumbers returns the numbers of [numbered] by partition, in order.
func storedNumbers(t *testing.T, server *redistest.Server) (byPartition [][]int) {
	t.Helper()
	for i := range outTopic.Len() {
		var ns []int
		for _, fields := range stored(t, server, outTopic.Key(i)) {
			n, err := strconv.Atoi(fields[slices.Index(fields, "n")+1])
			if err != nil {
				t.Fatal(err)
			}
			ns = append(ns, n)
		}
		byPartition = append(byPartition, ns)
	}
	return byPartition
}

// wantAllOnceInOrder fails the test unless the numbers from 0 to n-1 are there
// once each, and ascend in every partition.
func wantAllOnceInOrder(t *testing.T, server *redistest.Server, n int) {
	t.Helper()
	var all []int
	for i, ns := range storedNumbers(t, server) {
		if !slices.IsSorted(ns) {
			t.Errorf("partition %d is out of order: %v", i, ns)
		}
		all = append(all, ns...)
	}
	slices.Sort(all)
	if diff := cmp.Diff(numbers(n), all); diff != "" {
		t.Errorf("entries (-want +got):\n%s", diff)
	}
}

func TestEntriesHoldKeyAndFieldsAsTheyAre(t *testing.T) {
	server := redistest.Start(t)
	binary := "\x00\r\n\xff\xfe*3\r\n"
	for _, c := range []struct {
		name     string
		keyField string
		msg      message.Message
		want     []string
	}{
		{"key first, then fields in order", "_key",
			message.Message{Key: "k", Fields: []message.Field{{Name: "b", Value: "1"}, {Name: "a", Value: "2"}}},
			[]string{"_key", "k", "b", "1", "a", "2"}},
		{"duplicate fields are kept", "_key",
			message.Message{Key: "k", Fields: []message.Field{{Name: "a", Value: "1"}, {Name: "a", Value: "2"}}},
			[]string{"_key", "k", "a", "1", "a", "2"}},
		{"bytes are bytes", "_key",
			message.Message{Key: binary, Fields: []message.Field{{Name: binary, Value: binary}, {Name: "", Value: ""}}},
			[]string{"_key", binary, binary, binary, "", ""}},
		{"an empty key is a key", "_key",
			message.Message{EmptyKey: true, Fields: []message.Field{{Name: "a", Value: "1"}}},
			[]string{"_key", "", "a", "1"}},
		{"no key is no key", "_key",
			message.Message{Fields: []message.Field{{Name: "a", Value: "1"}}}, []string{"a", "1"}},
		{"a key is enough", "_key", message.Message{Key: "k"}, []string{"_key", "k"}},
		{"another field for the key", "id",
			message.Message{Key: "k", Fields: []message.Field{{Name: "a", Value: "1"}}}, []string{"id", "k", "a", "1"}},
		{"the key is not written", "",
			message.Message{Key: "k", Fields: []message.Field{{Name: "a", Value: "1"}}}, []string{"a", "1"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			if err := server.Client().FlushAll(t.Context()).Err(); err != nil {
				t.Fatal(err)
			}
			s := newSink(t, server, func(w *WriteFn) { w.KeyField = c.keyField })
			if err := s.bundle(t.Context(), c.msg); err != nil {
				t.Fatal(err)
			}
			got := stored(t, server, outTopic.Key(outTopic.PartitionOf(&c.msg)))
			if diff := cmp.Diff([][]string{c.want}, got); diff != "" {
				t.Errorf("entries (-want +got):\n%s", diff)
			}
		})
	}
}

func TestAMessageWithNothingToWriteIsADeadLetter(t *testing.T) {
	server := redistest.Start(t)
	s := newSink(t, server, func(w *WriteFn) { w.CollectFailed = true })
	if err := s.bundle(t.Context(), append(numbered(0, 5), message.Message{Stream: "in:0", ID: message.EntryID{Ms: 5}})...); err != nil {
		t.Fatal(err)
	}
	if len(s.dead) != 1 || s.dead[0].Message.Stream != "in:0" || s.dead[0].Reason != errNothingToWrite.Error() {
		t.Errorf("dead letters %+v", s.dead)
	}
	wantAllOnceInOrder(t, server, 5)
}

// spoil makes partition i something that is no stream.
func spoil(t *testing.T, server *redistest.Server, i int) {
	t.Helper()
	if err := server.Client().Set(t.Context(), outTopic.Key(i), "not a stream", 0).Err(); err != nil {
		t.Fatal(err)
	}
}

func TestWrongTypeBecomesADeadLetterAndNothingElseIsLost(t *testing.T) {
	server := redistest.Start(t)
	spoil(t, server, 1)
	s := newSink(t, server, func(w *WriteFn) { w.CollectFailed = true; w.Batch.MaxCount = 10 })
	msgs := numbered(0, 100)
	if err := s.bundle(t.Context(), msgs...); err != nil {
		t.Fatal(err)
	}
	var want []message.Message
	for _, m := range msgs {
		if outTopic.PartitionOf(&m) == 1 {
			want = append(want, m)
		}
	}
	var got []message.Message
	for _, d := range s.dead {
		got = append(got, d.Message)
		if d.Destination != "out:1" || !strings.HasPrefix(d.Reason, "WRONGTYPE") || d.Attempts != 1 {
			t.Errorf("dead letter %+v", d)
		}
	}
	if diff := cmp.Diff(want, got); diff != "" || len(want) == 0 {
		t.Errorf("dead letters (-want +got):\n%s", diff)
	}
	written := len(stored(t, server, "out:0")) + len(stored(t, server, "out:2"))
	if written != len(msgs)-len(want) {
		t.Errorf("%d entries written, want %d", written, len(msgs)-len(want))
	}
}

func TestDeadLettersAreOnTheErrorStreamWhenTheBundleEnds(t *testing.T) {
	server := redistest.Start(t)
	for i := range outTopic.Len() {
		spoil(t, server, i)
	}
	s := newSink(t, server, func(w *WriteFn) { w.ErrorStream = "errors" })
	msg := message.Message{
		Stream: "in:0", ID: message.EntryID{Ms: 7, Seq: 1}, Key: "k",
		Fields: []message.Field{{Name: "reason", Value: "mine"}, {Name: "reason", Value: "again"}},
	}
	if err := s.bundle(t.Context(), msg, message.Message{}); err != nil {
		t.Fatal(err)
	}
	want := [][]string{
		{"reason", string(wrongType), "attempts", "1", "destination", outTopic.Key(outTopic.PartitionOf(&msg)),
			"stream", "in:0", "id", "7-1", "key", "k", "field:reason", "mine", "field:reason", "again"},
		{"reason", errNothingToWrite.Error(), "attempts", "0", "destination", outTopic.Key(outTopic.PartitionOf(&message.Message{}))},
	}
	got := stored(t, server, "errors")
	slices.SortFunc(got, func(a, b []string) int { return len(b) - len(a) })
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("error stream (-want +got):\n%s", diff)
	}
	if len(s.dead) != 0 {
		t.Errorf("%d dead letters emitted that nobody asked for", len(s.dead))
	}
}

func TestAFaultThatNobodyCollectsFailsTheBundle(t *testing.T) {
	server := redistest.Start(t)
	msg := numbered(0, 1)[0]
	at := outTopic.PartitionOf(&msg)
	spoil(t, server, at)
	err := newSink(t, server, nil).bundle(t.Context(), msg)
	if err == nil {
		t.Fatal("no error")
	}
	for _, part := range []string{`key "key-0"`, strconv.Quote(outTopic.Key(at)), "WRONGTYPE", "error stream", "Failed"} {
		if !strings.Contains(err.Error(), part) {
			t.Errorf("error %q does not say %q", err, part)
		}
	}
	if err := newSink(t, server, nil).bundle(t.Context(), message.Message{}); !errors.Is(err, errNothingToWrite) {
		t.Errorf("error %v, want %v", err, errNothingToWrite)
	}
}

func TestAnErrorStreamThatCannotBeWrittenFailsTheBundle(t *testing.T) {
	server := redistest.Start(t)
	msg := numbered(0, 1)[0]
	spoil(t, server, outTopic.PartitionOf(&msg))
	if err := server.Client().Set(t.Context(), "errors", "not a stream", 0).Err(); err != nil {
		t.Fatal(err)
	}
	s := newSink(t, server, func(w *WriteFn) { w.ErrorStream = "errors"; w.CollectFailed = true })
	err := s.bundle(t.Context(), msg)
	if err == nil || !strings.Contains(err.Error(), `error stream "errors"`) {
		t.Errorf("error %v", err)
	}
	if len(s.dead) != 0 {
		t.Error("a dead letter was emitted by a bundle that failed")
	}
}
