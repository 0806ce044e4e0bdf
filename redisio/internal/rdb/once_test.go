package rdb

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"example.com/beamredis/redisio/internal/redistest"
	"example.com/beamredis/redisio/message"
)

func onceBatch(members ...string) OnceBatch {
	b := OnceBatch{Stream: "s", Window: CompanionKey("s", "w"), PrevWindow: CompanionKey("s", "b"), WindowSize: 100, TTL: time.Minute, WantIDs: true}
	for i, member := range members {
		b.Adds = append(b.Adds, Add{Fields: []message.Field{{Name: "n", Value: fmt.Sprint(i)}}})
		b.Members = append(b.Members, member)
	}
	return b
}

func writeOnce(t *testing.T, c *Client, b OnceBatch) OnceReply {
	t.Helper()
	return NewOnceAdder(c).Write(t.Context(), []OnceBatch{b})[0]
}

func openOn(t *testing.T, server *redistest.Server) *Client {
	t.Helper()
	c, err := Open(server.Config())
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// TestARefusedBatchLeavesNothing: the last ID that a stream can have makes the
// server refuse the third entry of a batch.
func TestARefusedBatchLeavesNothing(t *testing.T) {
	server := redistest.Start(t)
	const nearEnd = "18446744073709551615-18446744073709551613"
	if err := server.Client().Do(t.Context(), "XADD", "s", nearEnd, "a", "1").Err(); err != nil {
		t.Fatal(err)
	}
	b := onceBatch("", "member", "", "")
	b.Marks = []Mark{{Key: CompanionKey("s", "m"), Next: "1", Field: "0-0", Value: "5-0:0"}}
	got := writeOnce(t, openOn(t, server), b)
	if got.Err == nil || got.At != 2 || !strings.Contains(got.Err.Error(), "exhausted") {
		t.Errorf("reply %+v, want the refusal of entry 2", got)
	}
	if n := server.Client().XLen(t.Context(), "s").Val(); n != 1 {
		t.Errorf("the stream has %d entries, want 1", n)
	}
	if keys := server.Client().Keys(t.Context(), "beamredis:*").Val(); len(keys) != 0 {
		t.Errorf("keys %q are left", keys)
	}
}

// TestAWindowThatCannotBeAskedHasNothingWritten: the entry in order, which comes
// first, would be added with every repetition.
func TestAWindowThatCannotBeAskedHasNothingWritten(t *testing.T) {
	mixed := func(n string) OnceBatch {
		b := onceBatch("", "member "+n)
		b.Marks = []Mark{{Key: CompanionKey("s", "m"+n), Next: "1", Field: "0-0", Value: "5-0:0"}}
		return b
	}
	for name, spoil := range map[string]func(*redistest.Server){
		"no permission": func(s *redistest.Server) { allow(t, s, "-sismember") },
		"another type": func(s *redistest.Server) {
			if err := s.Client().Set(t.Context(), mixed("").PrevWindow, "x", 0).Err(); err != nil {
				t.Fatal(err)
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			server := redistest.Start(t)
			c := openOn(t, server)
			full := mixed("1")
			full.WindowSize = 1 // so that it becomes the window before
			if got := writeOnce(t, c, full); got.Err != nil {
				t.Fatal(got.Err)
			}
			spoil(server)
			for range 2 {
				if got := writeOnce(t, c, mixed("2")); got.Err == nil || Classify(got.Err) != Fatal {
					t.Errorf("reply %+v, want a fatal error", got)
				}
			}
			if n := server.Client().XLen(t.Context(), "s").Val(); n != 2 {
				t.Errorf("the stream has %d entries, want those 2 that were written", n)
			}
		})
	}
}

// TestABatchWithoutARightOfItsMarksIsKnownToBeThere: all of them are set before
// what may be refused.
func TestABatchWithoutARightOfItsMarksIsKnownToBeThere(t *testing.T) {
	for _, right := range []string{"pexpire", "hdel"} {
		t.Run(right, func(t *testing.T) {
			server := redistest.Start(t)
			c := openOn(t, server)
			allow(t, server, "-"+right)
			b := onceBatch("", "", "")
			for i := range 3 {
				b.Marks = append(b.Marks, Mark{Key: CompanionKey("s", fmt.Sprint("m", i)), Next: "v1", Field: "0-0", Value: "5-0:0", Drop: "none"})
			}
			if got := writeOnce(t, c, b); got.Err == nil || !IsNoPermission(got.Err) {
				t.Errorf("reply %+v, want the lack of a permission", got)
			}
			allow(t, server, "+"+right)
			got := writeOnce(t, c, b)
			if len(got.Stale) != 3 {
				t.Fatalf("reply %+v, want the contents of three marks", got)
			}
			for i, mark := range got.Stale {
				if mark["0-0"] != "5-0:0" {
					t.Errorf("mark %d holds %v", i, mark)
				}
			}
			if n := server.Client().XLen(t.Context(), "s").Val(); n != 3 {
				t.Errorf("the stream has %d entries, want 3", n)
			}
		})
	}
}

func TestABatchDecidedOnOtherContentsIsNotWritten(t *testing.T) {
	server := redistest.Start(t)
	c := openOn(t, server)
	mark := Mark{Key: CompanionKey("s", "m"), Next: "v1", Field: "0-0", Value: "5-0:0"}
	b := onceBatch("")
	b.Marks = []Mark{mark}
	if got := writeOnce(t, c, b); got.Err != nil || got.Stale != nil || len(got.IDs) != 1 || got.IDs[0].IsZero() {
		t.Fatalf("reply %+v", got)
	}
	got := writeOnce(t, c, b)
	if diff := cmp.Diff([]map[string]string{{"v": "v1", "0-0": "5-0:0"}}, got.Stale); diff != "" {
		t.Errorf("contents (-want +got):\n%s", diff)
	}
	b.Marks[0].Version, b.Marks[0].Next, b.Marks[0].Field, b.Marks[0].Drop = "v1", "v2", "7-0", "0-0"
	if got := writeOnce(t, c, b); got.Err != nil || got.Stale != nil {
		t.Fatalf("reply %+v", got)
	}
	want := map[string]string{"v": "v2", "7-0": "5-0:0"}
	if diff := cmp.Diff(want, server.Client().HGetAll(t.Context(), mark.Key).Val()); diff != "" {
		t.Errorf("contents (-want +got):\n%s", diff)
	}
	if n := server.Client().XLen(t.Context(), "s").Val(); n != 2 {
		t.Errorf("the stream has %d entries, want 2", n)
	}
}

func TestAFullServerRefusesAWholeOnceBatch(t *testing.T) {
	server := redistest.Start(t)
	c := openOn(t, server)
	if got := writeOnce(t, c, onceBatch("")); got.Err != nil { // the script is known
		t.Fatal(got.Err)
	}
	server.Client().ConfigSet(t.Context(), "maxmemory", "1")
	got := writeOnce(t, c, onceBatch("m1", "m2"))
	if got.Err == nil || Classify(got.Err) != Retryable {
		t.Errorf("error %v, want a retryable one", got.Err)
	}
	server.Client().ConfigSet(t.Context(), "maxmemory", "0")
	if got := writeOnce(t, c, onceBatch("m1", "m2", "m1")); got.Err != nil || got.Repeated != 1 || !got.IDs[2].IsZero() {
		t.Errorf("reply %+v, want the third entry left out", got)
	}
}

func TestABatchGoesOnWhenTheServerForgotItsScripts(t *testing.T) {
	server := redistest.Start(t)
	c := openOn(t, server)
	for range 3 {
		if err := server.Client().ScriptFlush(t.Context()).Err(); err != nil {
			t.Fatal(err)
		}
		other := onceBatch("")
		other.Stream, other.Window, other.PrevWindow = "t", CompanionKey("t", "w"), CompanionKey("t", "b")
		for _, got := range NewOnceAdder(c).Write(t.Context(), []OnceBatch{onceBatch(""), other}) {
			if got.Err != nil {
				t.Fatal(got.Err)
			}
		}
	}
	if s, o := server.Client().XLen(t.Context(), "s").Val(), server.Client().XLen(t.Context(), "t").Val(); s != 3 || o != 3 {
		t.Errorf("%d and %d entries, want 3 each", s, o)
	}
}

func TestAForeignKeyAmongTheCompanionsIsFatal(t *testing.T) {
	server := redistest.Start(t)
	b := onceBatch("m")
	server.Client().Set(t.Context(), b.Window, "x", 0)
	got := writeOnce(t, openOn(t, server), b)
	if got.Err == nil || Classify(got.Err) != Fatal {
		t.Errorf("error %v, want a fatal one", got.Err)
	}
}

func TestOnlyAnEvictingServerHasAPolicy(t *testing.T) {
	server := redistest.Start(t)
	c := openOn(t, server)
	for _, set := range []struct{ memory, policy, want string }{
		{"0", "allkeys-lru", ""}, {"1gb", "noeviction", ""}, {"1gb", "volatile-ttl", "volatile-ttl"},
	} {
		server.Client().ConfigSet(t.Context(), "maxmemory", set.memory)
		server.Client().ConfigSet(t.Context(), "maxmemory-policy", set.policy)
		if got, err := c.EvictionPolicy(t.Context()); got != set.want || err != nil {
			t.Errorf("maxmemory %s, %s: policy %q, error %v; want %q", set.memory, set.policy, got, err, set.want)
		}
	}
}
