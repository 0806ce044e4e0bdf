package rdb

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"example.com/beamredis/redisio/conn"
	"example.com/beamredis/redisio/internal/redistest"
	"example.com/beamredis/redisio/message"
)

func newAdder(t testing.TB, cfg conn.Config) *Adder {
	t.Helper()
	c, err := Open(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return NewAdder(c)
}

// addOf is an XADD with fields name, value, name, value...
func addOf(stream string, fields ...string) Add {
	add := Add{Stream: stream}
	for i := 0; i < len(fields); i += 2 {
		add.Fields = append(add.Fields, message.Field{Name: fields[i], Value: fields[i+1]})
	}
	return add
}

// streamOf returns the IDs and the fields of a stream.
func streamOf(t *testing.T, server *redistest.Server, stream string) (ids []string, fields []string) {
	t.Helper()
	reply, err := server.Client().Do(t.Context(), "XRANGE", stream, "-", "+").Slice()
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range reply {
		entry := e.([]any)
		ids = append(ids, entry[0].(string))
		fields = append(fields, fmt.Sprint(entry[1]))
	}
	return ids, fields
}

func TestWriteTellsTheFateOfEveryEntry(t *testing.T) {
	server := redistest.Start(t)
	if err := server.Client().Set(t.Context(), "taken", "not a stream", 0).Err(); err != nil {
		t.Fatal(err)
	}
	a := newAdder(t, server.Config())
	errs := a.Write(t.Context(), []Add{addOf("s", "n", "1"), addOf("taken", "n", "2"), addOf("s", "n", "3")})
	if errs[0] != nil || errs[2] != nil {
		t.Errorf("good entries failed: %v", errs)
	}
	if !IsWrongType(errs[1]) || ClassifyAdd(errs[1]) != ElementFault {
		t.Errorf("entry for a string: %v, want WRONGTYPE", errs[1])
	}
	ids, fields := streamOf(t, server, "s")
	if diff := cmp.Diff([]string{"[n 1]", "[n 3]"}, fields); diff != "" {
		t.Errorf("stream (-want +got):\n%s", diff)
	}
	for i, at := range []int{0, 2} {
		if id, err := a.ID(at); err != nil || id.String() != ids[i] {
			t.Errorf("ID(%d) = %v, %v; want %s", at, id, err, ids[i])
		}
	}
}

func TestOneAdderWritesEntriesOfAnyShape(t *testing.T) {
	server := redistest.Start(t)
	a := newAdder(t, server.Config())
	var want []string
	for round := range 6 {
		var adds []Add
		for i := range 4 {
			add := addOf("s")
			add.Fields = make([]message.Field, (round+i)%3)
			for f := range add.Fields {
				add.Fields[f] = message.Field{Name: "f", Value: fmt.Sprint(round, i, f)}
			}
			add.KeyField, add.Key = "_key", fmt.Sprint(round, i)
			adds = append(adds, add)
			shown := []string{"_key", add.Key}
			for _, f := range add.Fields {
				shown = append(shown, f.Name, f.Value)
			}
			want = append(want, fmt.Sprint(shown))
		}
		for _, err := range a.Write(t.Context(), adds) {
			if err != nil {
				t.Fatal(err)
			}
		}
	}
	if _, got := streamOf(t, server, "s"); !cmp.Equal(want, got) {
		t.Errorf("stream (-want +got):\n%s", cmp.Diff(want, got))
	}
}

func TestAFullServerRefusesTheWholeBatch(t *testing.T) {
	server := redistest.Start(t, redistest.Args("--maxmemory", "1"))
	a := newAdder(t, server.Config())
	for i, err := range a.Write(t.Context(), []Add{addOf("a", "n", "1"), addOf("b", "n", "2")}) {
		if ClassifyAdd(err) != Retryable || !strings.Contains(err.Error(), "OOM") {
			t.Errorf("entry %d: %v (%v), want a retryable OOM", i, err, ClassifyAdd(err))
		}
	}
	if n := server.Client().DBSize(t.Context()).Val(); n != 0 {
		t.Errorf("%d keys were written", n)
	}
}

func TestARefusedCommandIsNamedAsTheCauseOfTheOthers(t *testing.T) {
	server := redistest.Start(t)
	acl := []any{"ACL", "SETUSER", "default", "on", "nopass", "resetkeys", "~allowed", "+@all"}
	if err := server.Client().Do(t.Context(), acl...).Err(); err != nil {
		t.Fatal(err)
	}
	a := newAdder(t, server.Config())
	errs := a.Write(t.Context(), []Add{addOf("allowed", "n", "1"), addOf("secret", "n", "2")})
	if !IsNoPermission(errs[1]) {
		t.Errorf("forbidden entry: %v, want NOPERM", errs[1])
	}
	var abort *AbortError
	if !errors.As(errs[0], &abort) || !IsNoPermission(abort.Cause) || ClassifyAdd(errs[0]) != Fatal || !strings.Contains(errs[0].Error(), "XADD secret: NOPERM") {
		t.Errorf("the other entry: %v (%v), want an AbortError caused by NOPERM", errs[0], ClassifyAdd(errs[0]))
	}
	if n := server.Client().XLen(t.Context(), "allowed").Val(); n != 0 {
		t.Error("a part of a refused batch was written")
	}
}

// Trimming comes behind the entries, which are all in order.
func TestARefusedTrimmingIsNamedAsTheCause(t *testing.T) {
	server := redistest.Start(t)
	if err := server.Client().Do(t.Context(), "ACL", "SETUSER", "default", "-xtrim").Err(); err != nil {
		t.Fatal(err)
	}
	a := newAdder(t, server.Config())
	a.Trim = func() []any { return TrimArgs(10, message.EntryID{}, true, 0) }
	for i, err := range a.Write(t.Context(), []Add{addOf("s", "n", "1"), addOf("s", "n", "2")}) {
		if !IsNoPermission(err) || ClassifyAdd(err) != Fatal || !strings.Contains(err.Error(), "XTRIM s: NOPERM") {
			t.Errorf("entry %d: %v (%v), want a fatal error that names XTRIM", i, err, ClassifyAdd(err))
		}
	}
	if n := server.Client().XLen(t.Context(), "s").Val(); n != 0 {
		t.Error("a part of a refused batch was written")
	}
}

// The replies that go-redis leaves unread after a refused MULTI must not be
// taken for those of later commands.
func TestARefusedMultiFailsTheBatchAndLeavesTheClientInStep(t *testing.T) {
	server := redistest.Start(t)
	acl := []any{"ACL", "SETUSER", "default", "on", "nopass", "~*", "+@all", "-multi"}
	if err := server.Client().Do(t.Context(), acl...).Err(); err != nil {
		t.Fatal(err)
	}
	a := newAdder(t, server.Config())
	for range 5 {
		for i, err := range a.Write(t.Context(), []Add{addOf("s", "n", "1"), addOf("s", "n", "2")}) {
			if ClassifyAdd(err) != Fatal || !IsNoPermission(err) {
				t.Errorf("entry %d: %v (%v), want a fatal NOPERM", i, err, ClassifyAdd(err))
			}
		}
		if got, err := a.c.raw().Echo(t.Context(), "hello").Result(); got != "hello" {
			t.Fatalf("ECHO hello = %q, %v", got, err)
		}
	}
}

func TestAnEntryIsNotAtFaultForItsCompany(t *testing.T) {
	if got := ClassifyAdd(&AbortError{Cause: replyError("WRONGTYPE ...")}); got != Retryable {
		t.Errorf("class %v, want %v", got, Retryable)
	}
	if got := ClassifyAdd(&AbortError{Cause: replyError("NOAUTH ...")}); got != Fatal {
		t.Errorf("class %v, want %v", got, Fatal)
	}
}

func TestWithoutAServerEveryEntryMayBeTriedAgain(t *testing.T) {
	a := newAdder(t, conn.Config{Addr: "127.0.0.1:1"})
	for i, err := range a.Write(t.Context(), []Add{addOf("s", "n", "1"), addOf("s", "n", "2")}) {
		if ClassifyAdd(err) != Retryable {
			t.Errorf("entry %d: %v is %v", i, err, ClassifyAdd(err))
		}
	}
}

func TestAServerThatHangsEndsWithTheContext(t *testing.T) {
	server := redistest.Start(t)
	a := newAdder(t, server.Config())
	if errs := a.Write(t.Context(), []Add{addOf("s", "n", "1")}); errs[0] != nil {
		t.Fatal(errs[0])
	}
	server.Pause()
	defer server.Resume()
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	start := time.Now()
	if errs := a.Write(ctx, []Add{addOf("s", "n", "2")}); errs[0] == nil {
		t.Error("written to a server that hangs")
	}
	if took := time.Since(start); took > 2*time.Second {
		t.Errorf("took %v, want 50 ms", took)
	}
}

// A cluster takes one transaction per stream; the same code runs here against
// a single server.
func TestTransactionsPerStreamKeepOrderErrorsAndIDs(t *testing.T) {
	server := redistest.Start(t)
	if err := server.Client().Set(t.Context(), "taken", "not a stream", 0).Err(); err != nil {
		t.Fatal(err)
	}
	a := newAdder(t, server.Config())
	adds := []Add{addOf("a", "n", "1"), addOf("taken", "n", "2"), addOf("b", "n", "3"), addOf("a", "n", "4")}
	a.errs = make([]error, len(adds))
	a.writePerStream(t.Context(), adds)
	if a.errs[0] != nil || a.errs[2] != nil || a.errs[3] != nil || !IsWrongType(a.errs[1]) {
		t.Errorf("errors %v", a.errs)
	}
	ids, fields := streamOf(t, server, "a")
	if diff := cmp.Diff([]string{"[n 1]", "[n 4]"}, fields); diff != "" {
		t.Errorf("stream (-want +got):\n%s", diff)
	}
	if id, err := a.ID(3); err != nil || id.String() != ids[1] {
		t.Errorf("ID(3) = %v, %v; want %s", id, err, ids[1])
	}
}

func TestAnEmptyBatchIsNothing(t *testing.T) {
	if errs := newAdder(t, conn.Config{Addr: "127.0.0.1:1"}).Write(t.Context(), nil); len(errs) != 0 {
		t.Errorf("errors %v", errs)
	}
}

func benchAdds() []Add {
	adds := make([]Add, 1000)
	for i := range adds {
		adds[i] = Add{Stream: fmt.Sprintf("s:%d", i%4), KeyField: "_key", Key: fmt.Sprintf("key-%d", i)}
		for f := range 4 {
			adds[i].Fields = append(adds[i].Fields, message.Field{Name: fmt.Sprintf("field-%d", f), Value: strings.Repeat("x", 20)})
		}
	}
	return adds
}

// BenchmarkAdderAgainstPlainPipeline shows what the transaction costs: both
// sides use the same commands, and go first in turn. Ratio 1 is as fast, higher
// is faster.
func BenchmarkAdderAgainstPlainPipeline(b *testing.B) {
	server := redistest.Start(b)
	a, adds := newAdder(b, server.Config()), benchAdds()
	contestants := [2]func(*testing.B, *Adder, []Add){transaction, plainPipeline}
	var took [2]time.Duration
	round := 0
	for b.Loop() {
		for i := range contestants {
			at := (i + round) % 2
			start := time.Now()
			contestants[at](b, a, adds)
			took[at] += time.Since(start)
		}
		if round++; round%100 == 0 {
			if err := server.Client().FlushAll(b.Context()).Err(); err != nil {
				b.Fatal(err)
			}
		}
	}
	b.ReportMetric(took[1].Seconds()/took[0].Seconds(), "ratio")
	b.ReportMetric(float64(b.N*len(adds))/took[0].Seconds(), "entries/s")
}

func transaction(b *testing.B, a *Adder, adds []Add) {
	for _, err := range a.Write(b.Context(), adds) {
		if err != nil {
			b.Fatal(err)
		}
	}
}

func plainPipeline(b *testing.B, a *Adder, adds []Add) {
	pipe := a.c.raw().Pipeline()
	for i := range adds {
		_ = pipe.Process(b.Context(), a.prepare(b.Context(), i, &adds[i])) // a pipeline only queues
	}
	if _, err := pipe.Exec(b.Context()); err != nil {
		b.Fatal(err)
	}
}

func TestEntriesOfOneShapeCostAboutOneAllocation(t *testing.T) {
	server := redistest.Start(t)
	a, adds := newAdder(t, server.Config()), benchAdds()
	allocs := testing.AllocsPerRun(5, func() {
		for _, err := range a.Write(t.Context(), adds) {
			if err != nil {
				t.Fatal(err)
			}
		}
	})
	// The one is go-redis's: it makes a string of every "QUEUED".
	if perEntry := allocs / float64(len(adds)); perEntry > 1.2 {
		t.Errorf("%.2f allocations per entry, want at most 1.2", perEntry)
	}
}
