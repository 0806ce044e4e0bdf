package integration_test

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"testing"
	"unicode/utf16"

	"github.com/redis/go-redis/v9"

	"example.com/beamredis/redisio"
)

// The entries of these tests follow from their number n alone, so that what
// arrives can be compared with what was sent by the number that it carries.

const keyCount = 997

// keyOf returns entry n's key. Entries of one key are n, n+keyCount, …
func keyOf(n int) string {
	switch k := n % keyCount; k {
	case 0:
		return "" // a key like any other
	case 1:
		return "polygenelubricants" // hashes to the smallest int32
	case 2:
		return "schlüssel-ключ-鍵-🔑"
	default:
		return "key-" + strconv.Itoa(k)
	}
}

// binary is no valid UTF-8, and holds the protocol's own line ends.
const binary = "\x00\xff\xfe\r\n$3\r\n\xc3(\x80"

// fieldsOf returns entry n's fields besides the key, name after value.
// Names repeat, and values may be empty or binary.
func fieldsOf(n int) []string {
	fields := []string{"n", strconv.Itoa(n), "tag", "first", "", "no name", "tag", ""}
	if n%7 == 0 {
		fields = append(fields, "bin\x00ary", binary)
	}
	return append(fields, "order", strings.Repeat("x", 20+n%50))
}

// entryOf returns entry n as another program writes it: the key is somewhere
// among the fields.
func entryOf(n int) []string {
	fields := fieldsOf(n)
	at := 2 * (n % (len(fields)/2 + 1))
	entry := append(append([]string{}, fields[:at]...), "_key", keyOf(n))
	return append(entry, fields[at:]...)
}

// partitionOf is where the tests write entry n: not where the hash of its key
// says, but all entries of a key in one place.
func partitionOf(n, partitions int) int { return n % keyCount % partitions }

// load adds entries from to to-1 to the topic, in pipelines.
func (s *server) load(t redisio.Topic, from, to int, entry func(int) []string) {
	s.t.Helper()
	if err := s.tryLoad(s.t.Context(), t, from, to, entry); err != nil {
		s.t.Fatal(err)
	}
}

func (s *server) tryLoad(ctx context.Context, t redisio.Topic, from, to int, entry func(int) []string) error {
	parts := t.Parts()
	for from < to {
		next := min(to, from+500)
		_, err := s.client.Pipelined(ctx, func(pipe redis.Pipeliner) error {
			for ; from < next; from++ {
				pipe.XAdd(ctx, &redis.XAddArgs{Stream: parts[partitionOf(from, len(parts))].Stream, Values: entry(from)})
			}
			return nil
		})
		if err != nil {
			return fmt.Errorf("load: %w", err)
		}
	}
	return nil
}

// entry is what XRANGE shows, in order. Package go-redis makes a map of it.
type entry struct {
	id     string
	fields []string
}

// scan calls visit for every entry of a stream.
func (s *server) scan(stream string, visit func(entry)) {
	s.t.Helper()
	for from := "-"; ; {
		page, err := s.client.Do(s.t.Context(), "xrange", stream, from, "+", "count", 2000).Slice()
		if err != nil {
			s.t.Fatal(err)
		}
		for _, row := range page {
			e := parseEntry(row)
			from = "(" + e.id
			visit(e)
		}
		if len(page) < 2000 {
			return
		}
	}
}

func parseEntry(row any) entry {
	pair := row.([]any)
	e := entry{id: pair[0].(string)}
	for _, f := range pair[1].([]any) {
		e.fields = append(e.fields, f.(string))
	}
	return e
}

// length is the number of entries in the topic.
func (s *server) length(t redisio.Topic) int {
	s.t.Helper()
	n, err := s.tryLength(s.t.Context(), t)
	if err != nil {
		s.t.Fatal(err)
	}
	return n
}

func (s *server) tryLength(ctx context.Context, t redisio.Topic) (int, error) {
	total := 0
	for _, p := range t.Parts() {
		n, err := s.client.XLen(ctx, p.Stream).Result()
		if err != nil {
			return 0, err
		}
		total += int(n)
	}
	return total, nil
}

// javaHash is String.hashCode of Java, written down once more.
func javaHash(s string) int32 {
	var h int32
	for _, u := range utf16.Encode([]rune(s)) {
		h = 31*h + int32(u)
	}
	return h
}

// sinkPartition is abs(javaHash(key)) % n, with the absolute value of the
// smallest int32 taken as Java's would be, had it the bits.
func sinkPartition(key string, n int) int {
	return int(max(int64(javaHash(key)), -int64(javaHash(key))) % int64(n))
}

func TestSinkPartitionOfTheTestsIsJavas(t *testing.T) {
	for key, want := range map[string]int32{"": 0, "abc": 96354, "polygenelubricants": -1 << 31, "🔑": 0xD83D*31 + 0xDD11} {
		if got := javaHash(key); got != want {
			t.Errorf("hash of %q = %d, want %d", key, got, want)
		}
	}
}
