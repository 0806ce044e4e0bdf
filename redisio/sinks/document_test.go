package sinks

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/apache/beam/sdks/v2/go/pkg/beam"
	"github.com/apache/beam/sdks/v2/go/pkg/beam/core/util/reflectx"
	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"example.com/beamredis/redisio/conn"
	"example.com/beamredis/redisio/internal/rdb"
	"example.com/beamredis/redisio/internal/redistest"
	"example.com/beamredis/redisio/message"
)

// item is what the tests write; its number is the last word on its key.
type item struct {
	Key string `json:"-" redis:"-"`
	N   int    `json:"n"`
	Pad string `json:"pad,omitempty"`
	// Bad cannot be serialized.
	Bad fault `json:"bad,omitempty"`
}

type fault string

func (f fault) MarshalText() ([]byte, error) {
	if f != "" {
		return nil, errors.New(string(f))
	}
	return nil, nil
}

func itemKey(i item) string { return i.Key }

func funcOf(fn any) *beam.EncodedFunc { return &beam.EncodedFunc{Fn: reflectx.MakeFunc(fn)} }

// documentSink is a DocumentFn with its dead letters, driven without a runner.
type documentSink struct {
	*DocumentFn
	dead []message.DeadLetter
}

func newDocumentSink(t *testing.T, cfg conn.Config, format Format, change func(*DocumentFn)) *documentSink {
	t.Helper()
	s := &documentSink{DocumentFn: &DocumentFn{DocumentConfig: DocumentConfig{
		Conn: cfg, Format: format, Key: funcOf(itemKey), Path: DefaultPath,
	}}}
	if change != nil {
		change(s.DocumentFn)
	}
	if err := s.Setup(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Teardown)
	return s
}

func (s *documentSink) emit(_ beam.EventTime, d message.DeadLetter) { s.dead = append(s.dead, d) }

func (s *documentSink) bundle(ctx context.Context, elems ...any) error {
	s.StartBundle(ctx, s.emit)
	for _, e := range elems {
		if err := s.ProcessElement(ctx, 0, e, s.emit); err != nil {
			return err
		}
	}
	return s.FinishBundle(ctx, s.emit)
}

// keyCount is the number of keys of items; the last items of a key come last.
const keyCount = 7

func items(n int) []any {
	all := make([]any, n)
	for i := range all {
		all[i] = item{Key: fmt.Sprint("key-", i%keyCount), N: i}
	}
	return all
}

// wantLast fails the test unless every key holds the last of n items.
func wantLast(t *testing.T, server *redistest.Server, format Format, n int) {
	t.Helper()
	for i := n - keyCount; i < n; i++ {
		key := fmt.Sprint("key-", i%keyCount)
		if got := storedNumber(t, server, format, key); got != i {
			t.Errorf("%s %s holds %d, want %d", format, key, got, i)
		}
	}
}

func storedNumber(t *testing.T, server *redistest.Server, format Format, key string) int {
	t.Helper()
	text := server.Client().HGet(t.Context(), key, "n").Val()
	if format == JSON {
		text, _ = server.Client().Do(t.Context(), "JSON.GET", key, ".n").Text()
	}
	n, err := strconv.Atoi(text)
	if err != nil {
		t.Errorf("%s holds no number: %v", key, err)
	}
	return n
}

// eachFormat runs test on a server, for JSON and hashes, without and with a
// time to live, and for replaced hashes.
func eachFormat(t *testing.T, test func(t *testing.T, server *redistest.Server, format Format, change func(*DocumentFn))) {
	for name, tc := range map[string]struct {
		format  Format
		ttl     time.Duration
		replace bool
	}{
		"JSON": {JSON, 0, false}, "JSON with a TTL": {JSON, time.Hour, false},
		"hash": {Hash, 0, false}, "hash with a TTL": {Hash, time.Hour, false}, "replaced hash": {Hash, 0, true},
	} {
		t.Run(name, func(t *testing.T) {
			opts := []redistest.Option{redistest.Durable()}
			if tc.format == JSON {
				opts = append(opts, redistest.JSON(t))
			}
			test(t, redistest.Start(t, opts...), tc.format, func(d *DocumentFn) { d.TTL, d.Replace = tc.ttl, tc.replace })
		})
	}
}

func TestTheLastDocumentOfAKeyStays(t *testing.T) {
	eachFormat(t, func(t *testing.T, server *redistest.Server, format Format, change func(*DocumentFn)) {
		s := newDocumentSink(t, server.Config(), format, change)
		if err := s.bundle(t.Context(), items(5000)...); err != nil {
			t.Fatal(err)
		}
		wantLast(t, server, format, 5000)
	})
}

// One in a hundred cannot be serialized, and one in a hundred has a key that
// is somebody else's.
func TestPoisonBecomesDeadLettersAndTheRestIsWritten(t *testing.T) {
	eachFormat(t, func(t *testing.T, server *redistest.Server, format Format, change func(*DocumentFn)) {
		s := newDocumentSink(t, server.Config(), format, func(d *DocumentFn) {
			change(d)
			d.KeyPrefix, d.ErrorStream, d.CollectFailed, d.Batch.MaxCount = "p:", "errors", true, 100
		})
		const n = 5000
		elems := make([]any, n)
		want := map[string]string{}
		for i := range elems {
			e := item{Key: strconv.Itoa(i), N: i}
			switch i % 100 {
			case 42:
				e.Bad = "rotten"
				want[e.Key] = "serialize: "
			case 77:
				want[e.Key] = map[Format]string{JSON: "Existing key has wrong Redis type", Hash: "WRONGTYPE "}[format]
				if err := server.Client().Set(t.Context(), "p:"+e.Key, "somebody's", 0).Err(); err != nil {
					t.Fatal(err)
				}
			}
			elems[i] = e
		}
		if err := s.bundle(t.Context(), elems...); err != nil {
			t.Fatal(err)
		}
		for i := range n {
			if _, bad := want[strconv.Itoa(i)]; bad {
				continue
			}
			if got := storedNumber(t, server, format, "p:"+strconv.Itoa(i)); got != i {
				t.Fatalf("document %d holds %d", i, got)
			}
		}
		reasons := map[string]string{}
		for _, d := range s.dead {
			reasons[d.Message.Key] = d.Reason
			if d.Destination != "p:"+d.Message.Key {
				t.Errorf("dead letter for %q: %+v", d.Destination, d)
			}
		}
		wantReasons(t, "Failed", want, reasons)
		reasons = map[string]string{}
		for _, fields := range stored(t, server, "errors") {
			entry := map[string]string{}
			for i := 0; i < len(fields); i += 2 {
				entry[fields[i]] = fields[i+1]
			}
			reasons[entry["key"]] = entry["reason"]
		}
		wantReasons(t, "the error stream", want, reasons)
		for key, reason := range want {
			if strings.HasPrefix(reason, "serialize") {
				continue
			}
			if got := server.Client().Get(t.Context(), "p:"+key).Val(); got != "somebody's" {
				t.Errorf("%s holds %q now", key, got)
			}
			if ttl := server.Client().TTL(t.Context(), "p:"+key).Val(); ttl != -1 {
				t.Errorf("%s has %v to live now", key, ttl)
			}
		}
	})
}

// wantReasons compares by the reasons' beginnings.
func wantReasons(t *testing.T, where string, want, got map[string]string) {
	t.Helper()
	for key, reason := range got {
		if prefix, ok := want[key]; ok && strings.HasPrefix(reason, prefix) {
			got[key] = prefix
		}
	}
	if diff := cmp.Diff(want, got); diff != "" || len(want) != 100 {
		t.Errorf("%s (-want +got):\n%s", where, diff)
	}
}

// described is the message of a dead letter whose element has no other form.
func described(key, text string) message.Message {
	return message.Message{Key: key, Fields: []message.Field{{Name: "element", Value: text}}}
}

func TestADeadLetterHoldsTheElement(t *testing.T) {
	server := redistest.Start(t, redistest.JSON(t))
	if err := server.Client().Set(t.Context(), "p:k", "x", 0).Err(); err != nil {
		t.Fatal(err)
	}
	msg := message.Message{Stream: "in:0", ID: message.EntryID{Ms: 7}, Key: "k", Fields: []message.Field{{Name: "n", Value: "1"}}}
	for name, tc := range map[string]struct {
		format Format
		elem   any
		change func(*DocumentFn)
		want   message.Message
	}{
		"JSON":             {JSON, item{Key: "k", N: 1}, nil, message.Message{Key: "k", Fields: []message.Field{{Name: "data", Value: `{"n":1}`}}}},
		"hash":             {Hash, struct{ A, B int }{1, 2}, func(d *DocumentFn) { d.Key = funcOf(constantKey) }, message.Message{Key: "k", Fields: []message.Field{{Name: "A", Value: "1"}, {Name: "B", Value: "2"}}}},
		"message as JSON":  {JSON, msg, func(d *DocumentFn) { d.Key = nil }, msg},
		"message as hash":  {Hash, msg, func(d *DocumentFn) { d.Key = nil }, msg},
		"not serializable": {JSON, item{Key: "k", N: 7, Bad: "rotten"}, nil, described("k", "{Key:k N:7 Pad: Bad:rotten}")},
		"no hash":          {Hash, item{Key: "k", N: 7, Bad: "rotten"}, nil, described("k", "{Key:k N:7 Pad: Bad:rotten}")},
		"no key":           {JSON, item{N: 1}, nil, message.Message{Fields: []message.Field{{Name: "data", Value: `{"n":1}`}}}},
		"neither":          {JSON, item{N: 1, Bad: "rotten"}, nil, described("", "{Key: N:1 Pad: Bad:rotten}")},
		"no field":         {Hash, map[string]string{}, func(d *DocumentFn) { d.Key = funcOf(constantMapKey) }, described("k", "map[]")},
	} {
		t.Run(name, func(t *testing.T) {
			s := newDocumentSink(t, server.Config(), tc.format, func(d *DocumentFn) {
				d.KeyPrefix, d.CollectFailed = "p:", true
				if tc.change != nil {
					tc.change(d)
				}
			})
			if err := s.bundle(t.Context(), tc.elem); err != nil {
				t.Fatal(err)
			}
			if len(s.dead) != 1 {
				t.Fatalf("%d dead letters, want 1", len(s.dead))
			}
			if diff := cmp.Diff(tc.want, s.dead[0].Message, cmpopts.EquateComparable(message.EntryID{}), cmpopts.EquateEmpty()); diff != "" {
				t.Errorf("dead letter's message (-want +got):\n%s", diff)
			}
		})
	}
}

func constantKey(struct{ A, B int }) string   { return "k" }
func constantMapKey(map[string]string) string { return "k" }

func TestADocumentThatNobodyCollectsFailsTheBundle(t *testing.T) {
	server := redistest.Start(t)
	if err := server.Client().Set(t.Context(), "key-0", "x", 0).Err(); err != nil {
		t.Fatal(err)
	}
	for want, elem := range map[string]item{"WRONGTYPE": {Key: "key-0"}, "rotten": {Key: "key-1", Bad: "rotten"}} {
		err := newDocumentSink(t, server.Config(), Hash, nil).bundle(t.Context(), elem)
		for _, part := range []string{want, strconv.Quote(elem.Key), "error stream", "Failed"} {
			if err == nil || !strings.Contains(err.Error(), part) {
				t.Errorf("error %v does not say %q", err, part)
			}
		}
	}
}

func TestAServerWithoutRedisJSONFailsTheBundleAndSaysWhatToInstall(t *testing.T) {
	server := redistest.Start(t)
	s := newDocumentSink(t, server.Config(), JSON, func(d *DocumentFn) { d.CollectFailed = true })
	err := s.bundle(t.Context(), items(10)...)
	if !errors.Is(err, rdb.ErrNoJSON) || !strings.Contains(err.Error(), "Redis Stack") || strings.Contains(err.Error(), "\n") {
		t.Errorf("error %v, want one line that says what to install", err)
	}
	if len(s.dead) != 0 {
		t.Errorf("%d dead letters of what is not the elements' fault", len(s.dead))
	}
}

func TestAnErrorStreamThatCannotBeWrittenFailsTheBundleOfDocuments(t *testing.T) {
	server := redistest.Start(t)
	if err := server.Client().MSet(t.Context(), "key-0", "x", "errors", "not a stream").Err(); err != nil {
		t.Fatal(err)
	}
	s := newDocumentSink(t, server.Config(), Hash, func(d *DocumentFn) { d.ErrorStream = "errors" })
	if err := s.bundle(t.Context(), items(3)...); err == nil || !strings.Contains(err.Error(), `error stream "errors"`) {
		t.Errorf("error %v", err)
	}
}

func TestSerializersSayWhatIsWritten(t *testing.T) {
	server := redistest.Start(t, redistest.JSON(t))
	for name, tc := range map[string]struct {
		format Format
		fn     any
		reason string
	}{
		"JSON":  {JSON, func(i item) ([]byte, error) { return fmt.Appendf(nil, `{"n":%d}`, i.N), nil }, ""},
		"a map": {Hash, func(i item) (map[string]string, error) { return map[string]string{"n": strconv.Itoa(i.N)}, nil }, ""},
		"fields": {Hash, func(i item) ([]message.Field, error) {
			return []message.Field{{Name: "n", Value: strconv.Itoa(i.N)}}, nil
		}, ""},
		"more than it": {JSON, func(item) ([]byte, error) { return []byte(`{} x`), nil }, "serialize: the serializer's result is not JSON"},
		"an error":     {JSON, func(item) ([]byte, error) { return nil, errors.New("cannot") }, "serialize: cannot"},
		"no fields":    {Hash, func(item) (map[string]string, error) { return nil, nil }, errNoFields.Error()},
	} {
		t.Run(name, func(t *testing.T) {
			server.Client().FlushAll(t.Context())
			s := newDocumentSink(t, server.Config(), tc.format, func(d *DocumentFn) {
				d.CollectFailed, d.Serializer = true, &beam.EncodedFunc{Fn: reflectx.MakeFunc(tc.fn)}
			})
			if err := s.bundle(t.Context(), item{Key: "k", N: 5}); err != nil {
				t.Fatal(err)
			}
			if tc.reason == "" && len(s.dead) == 0 {
				if got := storedNumber(t, server, tc.format, "k"); got != 5 {
					t.Errorf("stored %d", got)
				}
				return
			}
			if len(s.dead) != 1 || s.dead[0].Reason != tc.reason {
				t.Errorf("dead letters %+v, want the reason %q", s.dead, tc.reason)
			}
		})
	}
}

// A serializer may use its memory again.
func TestASerializersMemoryIsItsOwn(t *testing.T) {
	fields := []message.Field{{Name: "n"}}
	var first, second rdb.Document
	encode := customHash(reflectx.ToFunc1x2(reflectx.MakeFunc(func(i item) ([]message.Field, error) {
		fields[0].Value = strconv.Itoa(i.N)
		return fields, nil
	})))
	if err := errors.Join(encode(item{N: 1}, &first), encode(item{N: 2}, &second)); err != nil || first.Fields[0].Value != "1" {
		t.Errorf("first element became %v, %v", first.Fields, err)
	}
}

func TestTheKeyedFnTakesThePairsKey(t *testing.T) {
	server := redistest.Start(t)
	var dead []message.DeadLetter
	emit := func(_ beam.EventTime, d message.DeadLetter) { dead = append(dead, d) }
	fn := &KeyedDocumentFn{DocumentFn{DocumentConfig: DocumentConfig{Conn: server.Config(), Format: Hash}, CollectFailed: true}}
	if err := fn.Setup(); err != nil {
		t.Fatal(err)
	}
	defer fn.Teardown()
	fn.StartBundle(t.Context(), emit)
	for _, key := range []string{"a", ""} {
		if err := fn.ProcessElement(t.Context(), 0, key, item{N: 3}, emit); err != nil {
			t.Fatal(err)
		}
	}
	if err := fn.FinishBundle(t.Context(), emit); err != nil {
		t.Fatal(err)
	}
	if got := storedNumber(t, server, Hash, "a"); got != 3 {
		t.Errorf("stored %d", got)
	}
	if len(dead) != 1 || dead[0].Reason != errNoKey.Error() {
		t.Errorf("dead letters %+v, want one for the empty key", dead)
	}
}

func TestLanesWriteAtOnceAndTheLastDocumentOfAKeyStays(t *testing.T) {
	eachFormat(t, func(t *testing.T, server *redistest.Server, format Format, change func(*DocumentFn)) {
		s := newDocumentSink(t, server.Config(), format, func(d *DocumentFn) { change(d); d.Concurrency, d.Batch.MaxCount = 4, 10 })
		const keys, n = 64, 2000
		s.StartBundle(t.Context(), s.emit)
		add := func(i int) {
			if err := s.ProcessElement(t.Context(), 0, item{Key: fmt.Sprint("k", i%keys), N: i}, s.emit); err != nil {
				t.Fatal(err)
			}
		}
		server.Pause()
		add(0)
		for i := 1; i < keys && laneOf(s.lanes, fmt.Sprint("k", i-1)) == laneOf(s.lanes, "k0"); i++ {
			add(i)
		}
		await(t, "two batches are under way", func() bool {
			under := 0
			for _, l := range s.lanes {
				if l.batcher.isRunning() {
					under++
				}
			}
			return under == 2
		})
		server.Resume()
		for i := keys; i < n; i++ {
			add(i)
		}
		if err := s.FinishBundle(t.Context(), s.emit); err != nil {
			t.Fatal(err)
		}
		for i := n - keys; i < n; i++ {
			if got := storedNumber(t, server, format, fmt.Sprint("k", i%keys)); got != i {
				t.Errorf("k%d holds %d, want %d", i%keys, got, i)
			}
		}
		if got := s.lanes[0].delivery.written.Load(); got == n {
			t.Error("one lane wrote everything")
		}
	})
}

func TestADocumentCostsTheSinkNoAllocation(t *testing.T) {
	server := redistest.Start(t)
	s := newDocumentSink(t, server.Config(), Hash, func(d *DocumentFn) { d.Key = nil })
	elems := make([]any, 5000)
	for i := range elems {
		elems[i] = message.Message{Key: fmt.Sprint("k", i%100), Fields: []message.Field{{Name: "n", Value: "1"}}}
	}
	allocs := testing.AllocsPerRun(5, func() {
		if err := s.bundle(t.Context(), elems...); err != nil {
			t.Error(err)
		}
	})
	if perDocument := allocs / float64(len(elems)); perDocument > 0.5 {
		t.Errorf("%.2f allocations per document, want at most 0.5", perDocument)
	}
}
