package redisio

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"
	"github.com/apache/beam/sdks/v2/go/pkg/beam"
	"github.com/apache/beam/sdks/v2/go/pkg/beam/runners/direct" //nolint:staticcheck // deprecated, and still in use
	"github.com/google/go-cmp/cmp"
	"github.com/redis/go-redis/v9"

	"example.com/beamredis/redisio/internal/redistest"
)

func TestEveryMistakeOfARangeIsReportedAtOnce(t *testing.T) {
	_, err := TryReadRange(beam.Scope{}, Conn{Addr: "no-port"}, Topic{Name: "t"}, AtID(EntryID{Ms: 9}), AtID(EntryID{Ms: 5}),
		WithRangeEntries(0), WithGroupAtEnd(""), WithEventTimeField("at"), WithEventTime(functionalTime), WithReadRetry(-1))
	for _, want := range []string{"not a valid scope", "no-port", "Partitions is 0", "from 9-0 is after to 5-0", "WithRangeEntries: 0", "WithGroupAtEnd: is empty",
		"WithEventTime and WithEventTimeField exclude", "WithReadRetry: -1ns"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q is not in the error:\n%v", want, err)
		}
	}
	if !errors.Is(err, ErrBounds) {
		t.Error("the error is no ErrBounds")
	}
	s := beam.NewPipeline().Root()
	_, err = TryReadRange(s, somehost, orders, Earliest(), Latest(), WithErrorStream("orders:1"))
	if err == nil || !strings.Contains(err.Error(), "WithErrorStream") {
		t.Errorf("an error stream within the topic: %v", err)
	}
	_, err = TryReadRanges(s, somehost, beam.Create(s, 1), WithGroupAtEnd("g"))
	for _, want := range []string{"reqs: a PCollection of int", "WithGroupAtEnd: it is for ReadRange"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q is not in the error:\n%v", want, err)
		}
	}
	wantPanic(t, "from 9-0", func() { ReadRange(s, somehost, orders, AtID(EntryID{Ms: 9}), AtID(EntryID{Ms: 5})) })
	wantPanic(t, "from is latest", func() { ReadRangeWithFailed(s, somehost, orders, Latest(), Latest()) })
	wantPanic(t, "reqs: not a valid", func() { ReadRanges(s, somehost, beam.PCollection{}) })
}

func TestBoundsAreReadFromText(t *testing.T) {
	for text, want := range map[string]Bound{
		"earliest": Earliest(), "latest": Latest(), "5-7": AtID(EntryID{Ms: 5, Seq: 7}), "5": AtID(EntryID{Ms: 5}),
		"1970-01-01T00:00:01.5Z": AtTime(time.UnixMilli(1500)),
	} {
		got, err := ParseBound(text)
		if got != want || err != nil {
			t.Errorf("%s: %+v, %v; want %+v", text, got, err, want)
		}
		if again, err := ParseBound(got.String()); again != got || err != nil {
			t.Errorf("%s: %v is read as %+v, %v", text, got, again, err)
		}
	}
	for _, text := range []string{"", "newest", "-1", "5-", "2026-01-02"} {
		if got, err := ParseBound(text); err == nil || !strings.Contains(err.Error(), "earliest") {
			t.Errorf("%q: %+v, %v; want an error that lists what is possible", text, got, err)
		}
	}
}

// addTo adds an entry of each ID to a stream, with the key that its number makes.
func addTo(t *testing.T, s *redistest.Server, stream string, from, to int) {
	t.Helper()
	for n := from; n <= to; n++ {
		add := &redis.XAddArgs{Stream: stream, ID: fmt.Sprintf("%d-0", n), Values: []string{"_key", fmt.Sprint("k", n), "n", fmt.Sprint(n)}}
		if err := s.Client().XAdd(t.Context(), add).Err(); err != nil {
			t.Fatal(err)
		}
	}
}

// collectedEntries are the collected messages as stream and milliseconds.
func collectedEntries() []string {
	got := []string{}
	for _, m := range collected.messages {
		got = append(got, fmt.Sprint(m.Stream, " ", m.ID.Ms))
	}
	slices.Sort(got)
	return got
}

func wantCollected(t *testing.T, want ...string) {
	t.Helper()
	slices.Sort(want)
	if diff := cmp.Diff(append([]string{}, want...), collectedEntries()); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestDirectRunnerReadsARangeWithoutAGroup(t *testing.T) {
	s := redistest.Start(t)
	addTo(t, s, "orders:0", 1, 5)
	addTo(t, s, "orders:1", 3, 9)
	resetCollected()
	p, root := beam.NewPipelineWithRoot()
	beam.ParDo0(root, collect, ReadRange(root, s.Config(), orders, AtID(EntryID{Ms: 4}), AtTime(time.UnixMilli(7)), WithRangeEntries(1)))
	if _, err := direct.Execute(t.Context(), p); err != nil {
		t.Fatal(err)
	}
	wantCollected(t, "orders:0 4", "orders:0 5", "orders:1 4", "orders:1 5", "orders:1 6")
	for _, m := range collected.messages {
		if want := fmt.Sprint("k", m.ID.Ms); m.Key != want || len(m.Fields) != 1 {
			t.Errorf("message %+v, want the key %s and one field", m, want)
		}
	}
	if groups := s.Client().XInfoGroups(t.Context(), "orders:0").Val(); len(groups) != 0 {
		t.Errorf("groups %+v", groups)
	}
}

func TestRequestsReadRangesOfManyTopics(t *testing.T) {
	s := redistest.Start(t)
	addTo(t, s, "orders:0", 1, 5)
	addTo(t, s, "returns", 1, 5)
	resetCollected()
	p, root := beam.NewPipelineWithRoot()
	reqs := beam.CreateList(root, []RangeRequest{
		{Topic: orders, To: AtID(EntryID{Ms: 2})},
		{Topic: Topic{Keys: []string{"returns"}}, From: AtID(EntryID{Ms: 4})},
	})
	beam.ParDo0(root, collect, ReadRanges(root, s.Config(), reqs))
	if _, err := direct.Execute(t.Context(), p); err != nil {
		t.Fatal(err)
	}
	wantCollected(t, "orders:0 1", "orders:0 2", "returns 4", "returns 5")
}

func TestRangeOfAnUnknownTopicFailsByName(t *testing.T) {
	s := redistest.Start(t)
	run := func(opts ...RangeOption) error {
		resetCollected()
		p, root := beam.NewPipelineWithRoot()
		beam.ParDo0(root, collect, ReadRange(root, s.Config(), orders, Earliest(), Latest(), opts...))
		_, err := direct.Execute(t.Context(), p)
		return err
	}
	if err := run(); err == nil || !strings.Contains(err.Error(), ErrNoTopic.Error()) || !strings.Contains(err.Error(), "orders:0") {
		t.Errorf("error %v, want one that names the topic", err)
	}
	if err := run(WithMissingTopic()); err != nil {
		t.Error(err)
	}
	wantCollected(t)
}

func TestSeveralTopicsAreReadAtOnce(t *testing.T) {
	s := redistest.Start(t)
	addTo(t, s, "orders:0", 1, 2)
	addTo(t, s, "returns:0", 1, 2)
	both, err := JoinTopics(orders, Topic{Name: "returns", Partitions: 1})
	if err != nil {
		t.Fatal(err)
	}
	for name, read := range map[string]func(beam.Scope) beam.PCollection{
		"live": func(root beam.Scope) beam.PCollection {
			return Read(root, s.Config(), both, "g", WithStart(StartEarliest()), WithStopAtLatest())
		},
		"range": func(root beam.Scope) beam.PCollection { return ReadRange(root, s.Config(), both, Earliest(), Latest()) },
	} {
		t.Run(name, func(t *testing.T) {
			resetCollected()
			p, root := beam.NewPipelineWithRoot()
			beam.ParDo0(root, collect, read(root))
			if _, err := direct.Execute(t.Context(), p); err != nil {
				t.Fatal(err)
			}
			wantCollected(t, "orders:0 1", "orders:0 2", "returns:0 1", "returns:0 2")
		})
	}
}

// TestGroupStandsAtTheEndOfWhatWasRead, wherever it was before, unless it has
// come further.
func TestGroupStandsAtTheEndOfWhatWasRead(t *testing.T) {
	for name, tc := range map[string]struct{ before, want string }{
		"missing": {"", "7-0"},
		"behind":  {"2-0", "7-0"},
		"ahead":   {"8-0", "8-0"},
	} {
		t.Run(name, func(t *testing.T) {
			s := redistest.Start(t)
			addTo(t, s, "orders:0", 1, 9)
			if tc.before != "" {
				if err := s.Client().XGroupCreate(t.Context(), "orders:0", "g", tc.before).Err(); err != nil {
					t.Fatal(err)
				}
			}
			resetCollected()
			p, root := beam.NewPipelineWithRoot()
			beam.ParDo0(root, collect, ReadRange(root, s.Config(), orders, Earliest(), AtID(EntryID{Ms: 7}), WithRangeEntries(1), WithGroupAtEnd("g")))
			if _, err := direct.Execute(t.Context(), p); err != nil {
				t.Fatal(err)
			}
			if n := len(collected.messages); n != 7 {
				t.Errorf("%d messages, want 7", n)
			}
			for stream, want := range map[string]string{"orders:0": tc.want, "orders:1": "0-0"} {
				groups := s.Client().XInfoGroups(t.Context(), stream).Val()
				if len(groups) != 1 || groups[0].LastDeliveredID != want {
					t.Errorf("groups of %s: %+v, want one that stands at %s", stream, groups, want)
				}
			}
		})
	}
}

// TestHistoryAndLiveMeetWithoutAGap is the recipe of docs/replay.md: a range up
// to P, and a read that starts after P, whatever is added meanwhile.
func TestHistoryAndLiveMeetWithoutAGap(t *testing.T) {
	s := redistest.Start(t)
	addTo(t, s, "orders:0", 1, 20)
	seam := EntryID{Ms: 12}
	resetCollected()
	p, root := beam.NewPipelineWithRoot()
	history := ReadRange(root, s.Config(), orders, Earliest(), AtID(seam))
	live := Read(root, s.Config(), orders, "g", WithStart(StartAfter(seam)), WithStopAt(EntryID{Ms: 30}))
	addTo(t, s, "orders:0", 21, 31)
	addTo(t, s, "orders:1", 31, 31)
	beam.ParDo0(root, collect, beam.Flatten(root, history, live))
	if _, err := direct.Execute(t.Context(), p); err != nil {
		t.Fatal(err)
	}
	var want []string
	for n := 1; n <= 30; n++ {
		want = append(want, fmt.Sprint("orders:0 ", n))
	}
	wantCollected(t, want...)
}

func TestHistoryAndLiveMeetAtATime(t *testing.T) {
	s := redistest.Start(t)
	addTo(t, s, "orders:0", 1, 20)
	at := time.UnixMilli(12)
	resetCollected()
	p, root := beam.NewPipelineWithRoot()
	history := ReadRange(root, s.Config(), orders, Earliest(), AtTime(at))
	live := Read(root, s.Config(), orders, "g", WithStart(StartAt(at)), WithStopAtLatest())
	beam.ParDo0(root, collect, beam.Flatten(root, history, live))
	if _, err := direct.Execute(t.Context(), p); err != nil {
		t.Fatal(err)
	}
	var want []string
	for n := 1; n <= 20; n++ {
		want = append(want, fmt.Sprint("orders:0 ", n))
	}
	wantCollected(t, want...)
}

func TestNoSecretTravelsWithARange(t *testing.T) {
	const secret = "s3cr3t-of-the-worker"
	t.Setenv("READ_TEST_PASSWORD", secret)
	c, err := ParseURL("redis://app@redis.example.com?password_env=READ_TEST_PASSWORD")
	if err != nil {
		t.Fatal(err)
	}
	p, s := beam.NewPipelineWithRoot()
	beam.ParDo0(s, collect, ReadRange(s, c, orders, Earliest(), Latest(), WithGroupAtEnd("g")))
	if job := marshalled(t, p); strings.Contains(job, secret) || !strings.Contains(job, "READ_TEST_PASSWORD") {
		t.Error("want the pipeline to hold the name of the variable, and not what is in it")
	}
}

// TestCopyOfARangeKeepsItsIDs, however often it is made.
func TestCopyOfARangeKeepsItsIDs(t *testing.T) {
	s := redistest.Start(t)
	addTo(t, s, "orders:0", 1, 50)
	addTo(t, s, "orders:1", 60, 70)
	for range 2 {
		resetCollected()
		p, root := beam.NewPipelineWithRoot()
		msgs := ReadRange(root, s.Config(), orders, Earliest(), Latest(), WithOrder())
		res := Write(root, s.Config(), Topic{Name: "copy", Partitions: 1}, msgs, WithEntryIDs())
		beam.ParDo0(root, collect, res.Written())
		if _, err := direct.Execute(t.Context(), p); err != nil {
			t.Fatal(err)
		}
		entries := s.Client().XRange(t.Context(), "copy:0", "-", "+").Val()
		if len(entries) != 61 || entries[0].ID != "1-0" || entries[0].Values["_key"] != "k1" || entries[60].ID != "70-0" {
			t.Fatalf("%d entries: %v", len(entries), entries)
		}
		if n := len(collected.messages); n != 61 || collected.messages[60].ID.Ms != 70 || collected.messages[60].Stream != "copy:0" {
			t.Errorf("%d messages were told to be written, want 61: %+v", n, collected.messages)
		}
	}
}

func TestMessageWithoutAnIDCannotKeepIt(t *testing.T) {
	s := redistest.Start(t)
	resetCollected()
	p, root := beam.NewPipelineWithRoot()
	msgs := beam.CreateList(root, []Message{{Key: "a", Fields: []Field{{Name: "n", Value: "1"}}}})
	beam.ParDo0(root, collectFailed, Write(root, s.Config(), Topic{Name: "copy", Partitions: 1}, msgs, WithEntryIDs()).Failed())
	if _, err := direct.Execute(t.Context(), p); err != nil {
		t.Fatal(err)
	}
	if len(collected.failed) != 1 || !strings.Contains(collected.failed[0].Reason, "no entry ID") {
		t.Errorf("dead letters %+v", collected.failed)
	}
	_, err := TryWrite(root, s.Config(), orders, msgs, WithEntryIDs(), WithIdempotence("sink"))
	if err == nil || !strings.Contains(err.Error(), "WithEntryIDs and WithIdempotence exclude") {
		t.Errorf("error %v", err)
	}
}

func TestEmbeddedRedisServesRanges(t *testing.T) {
	server := miniredis.RunT(t)
	for i := range 10 {
		if _, err := server.XAdd("orders:0", fmt.Sprintf("%d-0", i+1), []string{"n", fmt.Sprint(i)}); err != nil {
			t.Fatal(err)
		}
	}
	resetCollected()
	p, root := beam.NewPipelineWithRoot()
	beam.ParDo0(root, collect, ReadRange(root, Conn{Addr: server.Addr()}, orders, AtID(EntryID{Ms: 4}), AtID(EntryID{Ms: 6}), WithGroupAtEnd("g")))
	if _, err := direct.Execute(t.Context(), p); err != nil {
		t.Fatal(err)
	}
	wantCollected(t, "orders:0 4", "orders:0 5", "orders:0 6")
}
