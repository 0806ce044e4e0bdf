package rdb

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/redis/go-redis/v9"

	"example.com/beamredis/redisio/internal/redistest"
	"example.com/beamredis/redisio/message"
)

func TestFetchTellsTheStateBeforeItsEntries(t *testing.T) {
	onEachServer(t, func(b bench) {
		b.fill(5)
		b.do("xgroup create s g 0")
		for _, want := range []struct{ from, first, last int }{{0, 1, 3}, {3, 4, 5}, {5, 6, 5}} {
			f, err := b.c.Fetch(b.Context(), "s", "g", "c", 3, false)
			if err != nil {
				b.Fatal(err)
			}
			b.equal("entries", entriesOf(want.first, want.last), f.Entries)
			if !f.Group.Exists || f.Group.LastDelivered != eid(uint64(want.from), 0) || f.Now == 0 {
				b.Errorf("state %+v, want the group at %d-0", f.State, want.from)
			}
			if len(f.Entries) > 0 && f.Bytes < 20*len(f.Entries) {
				b.Errorf("%d bytes for %d entries", f.Bytes, len(f.Entries))
			}
		}
		rows, err := b.c.Pending(b.Context(), "s", "g", PendingQuery{To: message.MaxID, Count: 10})
		if err != nil || len(rows) != 5 || rows[0].Consumer != "c" {
			b.Errorf("pending %+v, %v; want 5 of c", rows, err)
		}
	})
}

func TestFetchWithoutAckLeavesNothingPending(t *testing.T) {
	onEachServer(t, func(b bench) {
		b.fill(3)
		b.do("xgroup create s g 0")
		f, err := b.c.Fetch(b.Context(), "s", "g", "c", 10, true)
		if err != nil || len(f.Entries) != 3 {
			b.Fatalf("%d entries, %v", len(f.Entries), err)
		}
		st, err := b.c.State(b.Context(), "s", "g")
		if err != nil || st.Group.Pending != 0 || st.Group.LastDelivered != eid(3, 0) {
			b.Errorf("group %+v, %v; want none pending at 3-0", st.Group, err)
		}
	})
}

func TestFetchTakesAMissingStreamOrGroupForAState(t *testing.T) {
	onEachServer(t, func(b bench) {
		f, err := b.c.Fetch(b.Context(), "s", "g", "c", 3, false)
		if err != nil || f.Stream.Exists || f.Group.Exists || f.Now == 0 {
			b.Errorf("without a stream: %+v, %v", f, err)
		}
		b.fill(3)
		f, err = b.c.Fetch(b.Context(), "s", "g", "c", 3, false)
		if err != nil || !f.Stream.Exists || f.Group.Exists || len(f.Entries) != 0 {
			b.Errorf("without a group: %+v, %v", f, err)
		}
		if n := b.plain.XLen(b.Context(), "s").Val(); n != 3 {
			b.Errorf("the stream has %d entries, want 3", n)
		}
	})
}

func TestFetchKeepsAnyBytesAndTheOrderOfFields(t *testing.T) {
	onEachServer(t, func(b bench) {
		big := strings.Repeat("x", 200_000)
		fields := []string{"b", "1", "a", "2", "b", "3", "", "", "bin\x00\r\n", "\xff\r\n", "big", big}
		if err := b.plain.XAdd(b.Context(), &redis.XAddArgs{Stream: "s", ID: "18446744073709551615-18446744073709551615", Values: fields}).Err(); err != nil {
			b.Fatal(err)
		}
		b.do("xgroup create s g 0")
		f, err := b.c.Fetch(b.Context(), "s", "g", "c", 3, false)
		if err != nil {
			b.Fatal(err)
		}
		want := Entry{ID: message.MaxID}
		for i := 0; i < len(fields); i += 2 {
			want.Fields = append(want.Fields, message.Field{Name: fields[i], Value: fields[i+1]})
		}
		b.equal("entries", []Entry{want}, f.Entries)
	})
}

func TestErrorsOfReadingAreNamedAndClassified(t *testing.T) {
	acl := func(rule string) func(b bench) { return func(b bench) { b.do("acl setuser default " + rule) } }
	onEachServer(t, func(b bench) {
		b.fill(1)
		b.do("xgroup create s g 0", "set text v")
		at := []Position{{"s", eid(1, 0)}, {"text", eid(0, 0)}}
		read := map[string]func(stream string) error{
			"fetch": func(s string) error { _, err := b.c.Fetch(b.Context(), s, "g", "c", 3, false); return err },
			"state": func(s string) error { _, err := b.c.State(b.Context(), s, "g"); return err },
			"range": func(s string) error {
				_, _, err := b.c.Range(b.Context(), s, eid(0, 0), message.MaxID, 10)
				return err
			},
			"wait": func(string) error { _, _, err := b.c.WaitForEntries(b.Context(), at, time.Second); return err },
			"claim": func(s string) error {
				_, _, err := b.c.Claim(b.Context(), s, "g", "c", 0, []message.EntryID{eid(1, 0)}, CountOne)
				return err
			},
			"ack": func(s string) error {
				_, err := b.c.Ack(b.Context(), s, "g", []message.EntryID{eid(1, 0)})
				return err
			},
			"give back": func(s string) error {
				_, err := b.c.GiveBack(b.Context(), s, "g", eid(1, 0), eid(0, 0), nil)
				return err
			},
		}
		for what, op := range read {
			if err := op("text"); err == nil || !strings.Contains(err.Error(), "WRONGTYPE") {
				b.Errorf("%s of a string: error %v, want WRONGTYPE", what, err)
			}
		}
		for what, tc := range map[string]func(b bench){
			"fetch": acl("-xreadgroup"), "state": acl("-xinfo"), "range": acl("-xrange"), "wait": acl("-xread"), "claim": acl("-xclaim"), "ack": acl("-xack"),
		} {
			tc(b)
			err := read[what]("s")
			b.do("acl setuser default +@all")
			if err == nil || !strings.Contains(err.Error(), "NOPERM") || Classify(err) != Fatal {
				b.Errorf("%s without permission: error %v, want a fatal NOPERM", what, err)
			}
		}
	})
}

func TestUnreachableServerIsRetryableWhateverIsRead(t *testing.T) {
	s := redistest.Start(t)
	c := clientOf(t, s, 3)
	if _, err := c.State(t.Context(), "s", "g"); err != nil {
		t.Fatal(err)
	}
	s.Kill()
	_, fetch := c.Fetch(t.Context(), "s", "g", "c", 3, false)
	_, state := c.State(t.Context(), "s", "g")
	_, _, wait := c.WaitForEntries(t.Context(), []Position{{"s", eid(0, 0)}}, time.Second)
	_, pending := c.Pending(t.Context(), "s", "g", PendingQuery{To: message.MaxID, Count: 1})
	for what, err := range map[string]error{"fetch": fetch, "state": state, "wait": wait, "pending": pending} {
		if err == nil || Classify(err) != Retryable {
			t.Errorf("%s: error %v, want a retryable one", what, err)
		}
	}
}

func TestRangeIsExclusiveThenInclusive(t *testing.T) {
	onEachServer(t, func(b bench) {
		b.fill(9)
		b.do("xadd s 9-18446744073709551615 f 10", "xdel s 5-0")
		last := Entry{ID: message.EntryID{Ms: 9, Seq: message.MaxID.Seq}, Fields: []message.Field{{Name: "f", Value: "10"}}}
		for name, tc := range map[string]struct {
			from, to message.EntryID
			count    int
			want     []Entry
		}{
			"inner":                 {eid(2, 0), eid(4, 0), 100, entriesOf(3, 4)},
			"nothing between":       {eid(4, 0), eid(5, 0), 100, nil},
			"first page":            {eid(0, 0), eid(9, 0), 3, entriesOf(1, 3)},
			"from the very start":   {eid(0, 0), eid(1, 0), 100, entriesOf(1, 1)},
			"to the very end":       {eid(8, 0), message.MaxID, 100, append(entriesOf(9, 9), last)},
			"after a last sequence": {message.EntryID{Ms: 9, Seq: message.MaxID.Seq}, message.MaxID, 100, nil},
			"after the largest ID":  {message.MaxID, message.MaxID, 100, nil},
			"backwards":             {eid(4, 0), eid(2, 0), 100, nil},
		} {
			got, size, err := b.c.Range(b.Context(), "s", tc.from, tc.to, tc.count)
			if err != nil {
				b.Errorf("%s: %v", name, err)
			}
			b.equal(name, tc.want, got)
			if len(got) > 0 && size == 0 {
				b.Errorf("%s: size 0", name)
			}
		}
		if got, _, err := b.c.Range(b.Context(), "missing", eid(0, 0), message.MaxID, 1); err != nil || got != nil {
			b.Errorf("of a missing stream: %v, %v", got, err)
		}
	})
}

func TestWaitEndsWithTheStreamsThatHaveEntries(t *testing.T) {
	onEachServer(t, func(b bench) {
		b.do("xadd a 1-0 f v", "xadd b 5-0 f v", "xadd c 3-0 f v", "xadd c 4-0 f v")
		at := []Position{{"a", eid(1, 0)}, {"b", eid(4, 9)}, {"c", eid(0, 0)}, {"missing", eid(0, 0)}}
		ready, ms, err := b.c.WaitForEntries(b.Context(), at, 10*time.Second)
		if err != nil || ms == 0 {
			b.Fatalf("%v, %d, %v", ready, ms, err)
		}
		b.equal("ready", []string{"b", "c"}, ready)
	})
}

func TestWaitIsWokenByWhatIsAdded(t *testing.T) {
	onEachServer(t, func(b bench) {
		at := []Position{{"a", eid(1, 0)}, {"missing", eid(0, 0)}}
		done := make(chan error, 1)
		start := time.Now()
		go func() {
			ready, _, err := b.c.WaitForEntries(b.Context(), at, 900*time.Millisecond)
			if diff := cmp.Diff([]string{"missing"}, ready); err == nil && diff != "" {
				err = errors.New(diff)
			}
			done <- err
		}()
		pollUntil(b.T, "the wait blocks", func() bool {
			return strings.Contains(b.plain.Info(b.Context(), "clients").Val(), "blocked_clients:1")
		})
		b.do("xadd missing 7-0 f v")
		if err := <-done; err != nil || time.Since(start) > 800*time.Millisecond {
			b.Errorf("after %v: %v", time.Since(start), err)
		}
	})
}

func TestWaitInVainTellsTheClockFromBefore(t *testing.T) {
	onEachServer(t, func(b bench) {
		const block = 50 * time.Millisecond
		before := time.Now().UnixMilli()
		start := time.Now()
		ready, ms, err := b.c.WaitForEntries(b.Context(), []Position{{"a", eid(1, 0)}}, block)
		if err != nil || len(ready) != 0 {
			b.Fatalf("%v, %v; want nothing", ready, err)
		}
		if took := time.Since(start); took < block || took > 5*time.Second {
			b.Errorf("took %v, want %v", took, block)
		}
		if after := time.Now().UnixMilli(); ms < before-1 || ms > after-block.Milliseconds()+1 {
			b.Errorf("clock %d, want it from before the wait, which began at %d", ms, before)
		}
	})
}

// TestWaitOutlastsNoReadTimeout: the reply to a wait in vain has to come before
// the client gives up on it.
func TestWaitOutlastsNoReadTimeout(t *testing.T) {
	s := redistest.Start(t)
	cfg := s.Config()
	cfg.ReadTimeout = time.Second
	c, err := Open(cfg)
	if err != nil {
		t.Fatal(err)
	}
	if _, _, err := c.WaitForEntries(t.Context(), []Position{{"a", eid(1, 0)}}, 1200*time.Millisecond); err != nil {
		t.Fatal(err)
	}
}

func TestWaitKeepsThePasswordOutOfItsErrors(t *testing.T) {
	const secret = "s3cr3t"
	s := redistest.Start(t, redistest.Args("--rename-command", "AUTH", "", "--rename-command", "HELLO", ""))
	cfg := s.Config()
	cfg.Password, cfg.PasswordMayTravel = secret, true
	c, err := Open(cfg)
	if err != nil {
		t.Fatal(err)
	}
	_, _, err = c.WaitForEntries(t.Context(), []Position{{"a", eid(1, 0)}}, time.Millisecond)
	if err == nil || strings.Contains(err.Error(), secret) {
		t.Errorf("error %v, want one without the password", err)
	}
}

func TestWaitEndsWithItsContext(t *testing.T) {
	c := clientOf(t, redistest.Start(t), 3)
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	start := time.Now()
	if _, _, err := c.WaitForEntries(ctx, []Position{{"a", eid(1, 0)}}, time.Second); err == nil || time.Since(start) > 900*time.Millisecond {
		t.Errorf("after %v: error %v, want one at the end of the context", time.Since(start), err)
	}
}

func TestIDsAreFormattedInOneBlock(t *testing.T) {
	list := []message.EntryID{{}, eid(1, 2), message.MaxID}
	want := []string{"0-0", "1-2", "18446744073709551615-18446744073709551615"}
	if diff := cmp.Diff(want, idTexts(list)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	many := make([]message.EntryID, 1000)
	args := make([]any, 0, len(many))
	if allocs := testing.AllocsPerRun(10, func() { idArgs(args, many) }); allocs > 5 {
		t.Errorf("%.0f allocations for 1000 IDs", allocs)
	}
}

// BenchmarkFetch1000Entries compares Fetch with what go-redis offers, on the
// same server and the same entries.
func BenchmarkFetch1000Entries(b *testing.B) {
	const n = 1000
	s := redistest.Start(b)
	c, err := Open(s.Config())
	if err != nil {
		b.Fatal(err)
	}
	for i := range n {
		fields := []string{"_key", fmt.Sprintf("key-%04d", i), "data", strings.Repeat("x", 100)}
		if err := s.Client().XAdd(b.Context(), &redis.XAddArgs{Stream: "s", ID: fmt.Sprintf("%d-0", i+1), Values: fields}).Err(); err != nil {
			b.Fatal(err)
		}
	}
	if _, err := c.CreateGroup(b.Context(), "s", "g", "0"); err != nil {
		b.Fatal(err)
	}
	plain := func() int {
		got, err := c.raw().XReadGroup(b.Context(), &redis.XReadGroupArgs{Group: "g", Consumer: "c", Streams: []string{"s", ">"}, Count: n, Block: -1, NoAck: true}).Result()
		if err != nil {
			b.Fatal(err)
		}
		return len(got[0].Messages)
	}
	ours := func() int {
		f, err := c.Fetch(b.Context(), "s", "g", "c", n, true)
		if err != nil {
			b.Fatal(err)
		}
		return len(f.Entries)
	}
	for name, fetch := range map[string]func() int{"ours": ours, "go-redis": plain} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				b.StopTimer()
				if err := c.SetGroup(b.Context(), "s", "g", eid(0, 0)); err != nil {
					b.Fatal(err)
				}
				b.StartTimer()
				if got := fetch(); got != n {
					b.Fatalf("%d entries, want %d", got, n)
				}
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/n, "ns/entry")
		})
	}
}
