package sdf

import (
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/redis/go-redis/v9"

	"example.com/beamredis/redisio/internal/telemetry"
	"example.com/beamredis/redisio/message"
)

const stream = "s"

// What tests do to streams and groups with a plain client, and how they name
// entries: by the number in the field n, counted from 1 in each stream.

// add adds n entries to stream, numbered on from those that were ever added.
func (r *runner) add(stream string, n int) []message.EntryID {
	r.t.Helper()
	first := int64(0)
	if info, err := r.redis.XInfoStream(r.t.Context(), stream).Result(); err == nil {
		first = info.EntriesAdded
	}
	pipe := r.redis.Pipeline()
	for i := range n {
		pipe.XAdd(r.t.Context(), &redis.XAddArgs{Stream: stream, Values: []string{"n", strconv.FormatInt(first+int64(i)+1, 10)}})
	}
	cmds, err := pipe.Exec(r.t.Context())
	r.must(err)
	ids := make([]message.EntryID, n)
	for i, cmd := range cmds {
		ids[i] = parseID(r.t, cmd.(*redis.StringCmd).Val())
	}
	return ids
}

func parseID(t testing.TB, s string) message.EntryID {
	t.Helper()
	id, err := message.ParseEntryID(s)
	if err != nil {
		t.Fatal(err)
	}
	return id
}

// take has another consumer of the group take n entries.
func (r *runner) take(consumer string, n int) {
	r.t.Helper()
	got, err := r.redis.XReadGroup(r.t.Context(), &redis.XReadGroupArgs{
		Group: group, Consumer: consumer, Streams: []string{stream, ">"}, Count: int64(n)}).Result()
	r.must(err)
	if len(got) != 1 || len(got[0].Messages) != n {
		r.t.Fatalf("consumer %s was to take %d entries, got %v", consumer, n, got)
	}
}

func (r *runner) createGroup(start string) {
	r.t.Helper()
	r.must(r.redis.XGroupCreateMkStream(r.t.Context(), stream, group, start).Err())
}

// pending lists the numbers of the group's pending entries; 0 for one that the
// stream no longer has.
func (r *runner) pending() []int {
	r.t.Helper()
	rows, err := r.redis.XPendingExt(r.t.Context(), &redis.XPendingExtArgs{
		Stream: stream, Group: group, Start: "-", End: "+", Count: 100_000}).Result()
	r.must(err)
	numbers := []int{}
	for _, row := range rows {
		numbers = append(numbers, r.numberOf(row.ID))
	}
	return numbers
}

// numberOf is the number of the entry with that ID; 0 if there is none.
func (r *runner) numberOf(id string) int {
	r.t.Helper()
	entries, err := r.redis.XRange(r.t.Context(), stream, id, id).Result()
	r.must(err)
	if len(entries) == 0 {
		return 0
	}
	n, err := strconv.Atoi(entries[0].Values["n"].(string))
	r.must(err)
	return n
}

func (r *runner) groupInfo() redis.XInfoGroup {
	r.t.Helper()
	groups, err := r.redis.XInfoGroups(r.t.Context(), stream).Result()
	r.must(err)
	for _, g := range groups {
		if g.Name == group {
			return g
		}
	}
	r.t.Fatalf("stream %s has no group %s", stream, group)
	return redis.XInfoGroup{}
}

func (r *runner) wantPending(want ...int) {
	r.t.Helper()
	if want == nil {
		want = []int{}
	}
	if diff := cmp.Diff(want, r.pending()); diff != "" {
		r.t.Errorf("pending entries (-want +got):\n%s", diff)
	}
}

// want checks the numbers of the entries that the bundle emitted.
func (b *bundle) want(numbers ...int) *bundle {
	b.runner.t.Helper()
	wantNumbers(b.runner.t, b.got, numbers...)
	return b
}

func wantNumbers(t testing.TB, got []message.Message, want ...int) {
	t.Helper()
	if want == nil {
		want = []int{}
	}
	if diff := cmp.Diff(want, numbersOf(t, got)); diff != "" {
		t.Errorf("emitted entries (-want +got):\n%s", diff)
	}
}

func numbersOf(t testing.TB, msgs []message.Message) []int {
	t.Helper()
	numbers := []int{}
	for _, m := range msgs {
		v, _ := m.Get("n")
		n, err := strconv.Atoi(v)
		if err != nil {
			t.Fatalf("message %+v has no number", m)
		}
		numbers = append(numbers, n)
	}
	return numbers
}

// upTo lists first to last.
func upTo(first, last int) []int {
	numbers := []int{}
	for n := first; n <= last; n++ {
		numbers = append(numbers, n)
	}
	return numbers
}

const patience = time.Minute

// read runs and commits bundles until n messages have come.
func (r *runner) read(n int) []message.Message {
	r.t.Helper()
	var all []message.Message
	for deadline := time.Now().Add(patience); len(all) < n; {
		all = append(all, r.bundle().commit().got...)
		if time.Now().After(deadline) {
			r.t.Fatalf("after %v only %d of %d messages have come: %v", patience, len(all), n, numbersOf(r.t, all))
		}
	}
	return all
}

// untilEnded runs and commits bundles until the read has ended.
func (r *runner) untilEnded() []message.Message {
	r.t.Helper()
	var all []message.Message
	for deadline := time.Now().Add(patience); !r.ended(); {
		all = append(all, r.bundle().commit().got...)
		if time.Now().After(deadline) {
			r.t.Fatalf("the read has not ended after %v: %+v", patience, r.restriction(stream))
		}
	}
	return all
}

func (r *runner) ended() bool {
	for _, d := range r.state {
		if !d.ended {
			return false
		}
	}
	return true
}

// eventually polls until ok holds.
func eventually(t testing.TB, what string, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(patience); !ok(); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("not within %v: %s", patience, what)
		}
	}
}

// counting returns how much c has counted since.
func counting(c *telemetry.Counter) func() int64 {
	before := c.Process()
	return func() int64 { return c.Process() - before }
}

// commandCalls returns how often the server has run the commands since.
func (r *runner) commandCalls(names ...string) func() int {
	r.t.Helper()
	count := func() (n int) {
		info, err := r.redis.InfoMap(r.t.Context(), "commandstats").Result()
		r.must(err)
		for _, name := range names {
			n += callsIn(info["Commandstats"]["cmdstat_"+name])
		}
		return n
	}
	before := count()
	return func() int { return count() - before }
}

// callsIn reads "calls=12,usec=...".
func callsIn(stat string) int {
	stat, _, _ = strings.Cut(strings.TrimPrefix(stat, "calls="), ",")
	n, _ := strconv.Atoi(stat)
	return n
}

func wantEqual[T any](t testing.TB, what string, got, want T) {
	t.Helper()
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("%s (-want +got):\n%s", what, diff)
	}
}
