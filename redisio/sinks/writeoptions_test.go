package sinks

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/apache/beam/sdks/v2/go/pkg/beam"
	"github.com/apache/beam/sdks/v2/go/pkg/beam/core/util/reflectx"
	"github.com/google/go-cmp/cmp"

	"example.com/beamredis/redisio/internal/redistest"
	"example.com/beamredis/redisio/message"
	"example.com/beamredis/redisio/topic"
)

func TestStreamsAreTrimmedPlainAndOnce(t *testing.T) {
	const n = 1000
	for _, c := range []struct {
		name        string
		trim        TrimOptions
		least, most int64
	}{
		{"not", TrimOptions{}, n, n},
		{"exact length", TrimOptions{MaxLen: 150, Exact: true}, 150, 150},
		{"about a length", TrimOptions{MaxLen: 150}, 150, 150 + 100},
		{"a length, little at a time", TrimOptions{MaxLen: 1, Limit: 100}, n / 2, n - 1},
		{"an ID that all are before", TrimOptions{MinID: message.MaxID, Exact: true}, 0, 0},
		{"an ID that none is before", TrimOptions{MinID: message.EntryID{Ms: 1}, Exact: true}, n, n},
		{"an age that none has", TrimOptions{MaxAge: time.Hour, Exact: true}, n, n},
	} {
		for name, once := range map[string]*OnceOptions{"plain": nil, "once": {Name: "a"}} {
			t.Run(c.name+", "+name, func(t *testing.T) {
				server := redistest.Start(t)
				s := newSink(t, server, func(w *WriteFn) { w.Topic, w.Trim, w.Once, w.Batch.MaxCount = single, c.trim, once, 250 })
				if err := s.bundle(t.Context(), readsUpTo(n)...); err != nil {
					t.Fatal(err)
				}
				if got := server.Client().XLen(t.Context(), "single").Val(); got < c.least || got > c.most {
					t.Errorf("%d entries are left, want %d to %d", got, c.least, c.most)
				}
			})
		}
	}
}

func readsUpTo(n uint64) (msgs []message.Message) {
	for id := range n {
		msgs = append(msgs, jobFrom(0).reads(id+1)...)
	}
	return msgs
}

func TestAnErrorStreamIsNotTrimmed(t *testing.T) {
	server := redistest.Start(t)
	if err := server.Client().Set(t.Context(), "single", "no stream", 0).Err(); err != nil {
		t.Fatal(err)
	}
	s := newSink(t, server, func(w *WriteFn) {
		w.Topic, w.Trim, w.ErrorStream = single, TrimOptions{MaxLen: 1, Exact: true}, "errors"
	})
	if err := s.bundle(t.Context(), numbered(0, 20)...); err != nil {
		t.Fatal(err)
	}
	if n := server.Client().XLen(t.Context(), "errors").Val(); n != 20 {
		t.Errorf("the error stream has %d entries, want 20", n)
	}
}

func TestMistakesInTrimmingAreNamed(t *testing.T) {
	for want, o := range map[string]TrimOptions{
		"only one bounds": {MaxLen: 1, MaxAge: 1},
		"negative":        {MaxLen: -1},
		"no limit":        {MaxLen: 1, Exact: true, Limit: 5},
	} {
		if err := o.Validate(); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%+v: error %v, want %q", o, err, want)
		}
	}
}

// byNumber has a topic for each message; every seventh gets none.
func byNumber(m message.Message) topic.Topic {
	text, _ := m.Get("n")
	n, err := strconv.Atoi(text)
	if err != nil || n%7 == 0 {
		return topic.Topic{}
	}
	return topic.Topic{Name: "topic-" + text, Partitions: 1}
}

func TestEveryMessageHasATopicOfItsOwn(t *testing.T) {
	server := redistest.Start(t)
	s := newSink(t, server, func(w *WriteFn) {
		w.Topic, w.CollectFailed = topic.Topic{}, true
		w.TopicOf = &beam.EncodedFunc{Fn: reflectx.MakeFunc(byNumber)}
	})
	if err := s.bundle(t.Context(), numbered(0, 100)...); err != nil {
		t.Fatal(err)
	}
	for n := range 100 {
		got := len(stored(t, server, fmt.Sprint("topic-", n, ":0")))
		if want := min(n%7, 1); got != want {
			t.Errorf("topic of message %d has %d entries, want %d", n, got, want)
		}
	}
	if len(s.dead) != 15 || !strings.Contains(s.dead[0].Reason, "the topic for the message") {
		t.Errorf("%d dead letters, the first %+v; want 15", len(s.dead), s.dead[0])
	}
}

func TestMemoryIsBoundedWhereTopicsAreWithoutNumber(t *testing.T) {
	r := router{names: map[streamName]string{}}
	w := newOnceWriter(nil, OnceOptions{Name: "a"})
	for i := range 3 * mostNames {
		name := topic.Topic{Name: strconv.Itoa(i), Partitions: 1}
		if got, want := r.name(name, 0), name.Key(0); got != want {
			t.Fatalf("stream %q, want %q", got, want)
		}
		w.mark(markID{stream: name.Name})
		w.forgetSurplus()
	}
	if len(r.names) > mostNames || len(w.marks) > mostMarks {
		t.Errorf("%d names and %d marks are kept", len(r.names), len(w.marks))
	}
}

func TestWhatWasWrittenIsEmittedWithItsID(t *testing.T) {
	for name, once := range map[string]*OnceOptions{"plain": nil, "once": {Name: "a"}} {
		t.Run(name, func(t *testing.T) {
			server := redistest.Start(t)
			s := newSink(t, server, func(w *WriteFn) { w.Once, w.CollectWritten, w.CollectFailed = once, true, true })
			msgs := jobFrom(0).reads(1, 2, 3, 4, 5, 6, 7, 8)
			for i := range msgs {
				msgs[i].Key = strconv.Itoa(i)
			}
			msgs[3].Key, msgs[3].Fields = "", nil // a dead letter
			if err := s.bundle(t.Context(), msgs...); err != nil {
				t.Fatal(err)
			}
			if len(s.written) != 7 || len(s.dead) != 1 {
				t.Fatalf("%d written, %d dead letters; want 7 and 1", len(s.written), len(s.dead))
			}
			for _, m := range s.written {
				entry := server.Client().XRange(t.Context(), m.Stream, m.ID.String(), m.ID.String()).Val()
				if len(entry) != 1 || entry[0].Values["_key"] != m.Key || entry[0].Values["is"] != m.Fields[0].Value || m.Origin != nil {
					t.Errorf("%+v was emitted; the server has %+v", m, entry)
				}
			}
		})
	}
}

func TestOnceEmitsWhatItFindsWrittenWithoutAnID(t *testing.T) {
	server := redistest.Start(t)
	for _, known := range []bool{true, false} {
		s := newOnceSink(t, server, "a", func(w *WriteFn) { w.CollectWritten = true })
		if err := s.bundle(t.Context(), join(jobFrom(9).isGiven(1), jobFrom(9).reads(10))...); err != nil {
			t.Fatal(err)
		}
		if len(s.written) != 2 {
			t.Fatalf("%d messages emitted, want 2", len(s.written))
		}
		for _, m := range s.written {
			if m.ID.IsZero() == known {
				t.Errorf("%+v was emitted; want an ID: %v", m, known)
			}
		}
	}
}

func TestBatchesOfDifferentPartitionsAreOnTheirWayAtOnce(t *testing.T) {
	server := redistest.Start(t)
	out := topic.Topic{Name: "out", Partitions: 64}
	s := newSink(t, server, func(w *WriteFn) { w.Topic, w.Concurrency, w.Batch.MaxCount = out, 8, 10 })
	const n = 5000
	if err := s.StartBundle(t.Context(), s.emit, s.emitWritten); err != nil {
		t.Fatal(err)
	}
	server.Pause() // nothing comes back
	done := make(chan error, 1)
	go func() {
		for _, m := range numbered(0, n) {
			if err := s.ProcessElement(t.Context(), 0, m, s.emit, s.emitWritten); err != nil {
				done <- err
				return
			}
		}
		done <- s.FinishBundle(t.Context(), s.emit, s.emitWritten)
	}()
	await(t, "several lanes are busy", func() bool {
		busy := 0
		for _, l := range s.lanes {
			if l.batcher.isRunning() {
				busy++
			}
		}
		return busy > 2
	})
	server.Resume()
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	total := 0
	for i := range out.Len() {
		var ns []int
		for _, fields := range stored(t, server, out.Key(i)) {
			n, _ := strconv.Atoi(fields[slices.Index(fields, "n")+1])
			ns = append(ns, n)
		}
		if !slices.IsSorted(ns) {
			t.Errorf("partition %d is out of order: %v", i, ns)
		}
		total += len(ns)
	}
	if total != n {
		t.Errorf("%d entries, want %d", total, n)
	}
}

// replicaOf starts a replica of server that has caught up.
func replicaOf(t *testing.T, server *redistest.Server) *redistest.Server {
	t.Helper()
	host, port, _ := strings.Cut(server.Addr(), ":")
	replica := redistest.Start(t, redistest.Args("--replicaof", host+" "+port))
	await(t, "the replica is connected", func() bool {
		return strings.Contains(replica.Client().Info(t.Context(), "replication").Val(), "master_link_status:up")
	})
	return replica
}

func TestABatchWaitsForReplicas(t *testing.T) {
	for name, once := range map[string]*OnceOptions{"plain": nil, "once": {Name: "a"}} {
		t.Run(name, func(t *testing.T) {
			server := redistest.Start(t, redistest.Args("--repl-diskless-sync-delay", "0"))
			replica := replicaOf(t, server)
			s := newSink(t, server, func(w *WriteFn) {
				w.Topic, w.Once, w.Replicas = single, once, ReplicaOptions{Count: 1, Timeout: 5 * time.Second}
			})
			if err := s.bundle(t.Context(), jobFrom(0).reads(1, 2, 3)...); err != nil {
				t.Fatal(err)
			}
			if n := replica.Client().XLen(t.Context(), "single").Val(); n != 3 {
				t.Errorf("the replica has %d entries, want 3", n)
			}
			replica.Pause()
			defer replica.Resume()
			for range 2 { // the second finds its entries written, and has to wait all the same
				s = newSink(t, server, func(w *WriteFn) {
					w.Topic, w.Once, w.Replicas = single, once, ReplicaOptions{Count: 1, Timeout: 50 * time.Millisecond}
				})
				err := s.bundle(t.Context(), jobFrom(0).reads(4, 5)...)
				if err == nil || !strings.Contains(err.Error(), "only 0 of 1 replicas") {
					t.Errorf("error %v, want that a replica is missing", err)
				}
			}
			if once != nil {
				if diff := cmp.Diff([]string{"1", "2", "3", "4", "5"}, texts(t, server)); diff != "" {
					t.Errorf("entries (-want +got):\n%s", diff)
				}
			}
		})
	}
}
