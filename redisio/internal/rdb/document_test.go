package rdb

import (
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

func sharedClient(t testing.TB, s *redistest.Server) *Client {
	t.Helper()
	c, err := Open(s.Config())
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// hashOf is a document with fields name, value, name, value...
func hashOf(key string, fields ...string) Document {
	return Document{Key: key, Fields: addOf("", fields...).Fields}
}

func mustWrite(t *testing.T, w *DocumentWriter, docs ...Document) {
	t.Helper()
	for i, err := range w.Write(t.Context(), docs) {
		if err != nil {
			t.Fatalf("document %d: %v", i, err)
		}
	}
}

func setup(t *testing.T, s *redistest.Server, cmds ...[]any) {
	t.Helper()
	for _, cmd := range cmds {
		if err := s.Client().Do(t.Context(), cmd...).Err(); err != nil {
			t.Fatalf("%v: %v", cmd, err)
		}
	}
}

// noTTL is what PTTL says of a key without a time to live.
const noTTL = time.Duration(-1)

func wantTTL(t *testing.T, s *redistest.Server, key string, want time.Duration) {
	t.Helper()
	got := s.Client().PTTL(t.Context(), key).Val()
	if want == noTTL && got != noTTL || want != noTTL && (got > want || got < want-10*time.Second) {
		t.Errorf("time to live of %s is %v, want %v", key, got, want)
	}
}

func wantHash(t *testing.T, s *redistest.Server, key string, want map[string]string) {
	t.Helper()
	if diff := cmp.Diff(want, s.Client().HGetAll(t.Context(), key).Val()); diff != "" {
		t.Errorf("hash %s (-want +got):\n%s", key, diff)
	}
}

// The hash before is {a: 1, old: 0} with 100 s to live.
func TestHashesAreMergedOrReplacedWithTheirTimeToLive(t *testing.T) {
	s := redistest.Start(t)
	merged, replaced := map[string]string{"a": "2", "b": "3", "old": "0"}, map[string]string{"a": "2", "b": "3"}
	for name, tc := range map[string]struct {
		ttl     time.Duration
		replace bool
		want    map[string]string
		wantTTL time.Duration
	}{
		"merged":                 {0, false, merged, 100 * time.Second},
		"merged, with a TTL":     {time.Hour, false, merged, time.Hour},
		"replaced":               {0, true, replaced, noTTL},
		"replaced, with a TTL":   {time.Hour, true, replaced, time.Hour},
		"a TTL below one second": {900 * time.Millisecond, false, merged, 900 * time.Millisecond},
	} {
		t.Run(name, func(t *testing.T) {
			setup(t, s, []any{"flushall"}, []any{"hset", "h", "a", "1", "old", "0"}, []any{"expire", "h", "100"})
			mustWrite(t, NewHashWriter(sharedClient(t, s), tc.ttl, tc.replace), hashOf("h", "a", "2", "b", "3"), hashOf("new", "a", "4"))
			wantHash(t, s, "h", tc.want)
			wantHash(t, s, "new", map[string]string{"a": "4"})
			wantTTL(t, s, "h", tc.wantTTL)
			if tc.ttl == 0 {
				wantTTL(t, s, "new", noTTL)
			} else {
				wantTTL(t, s, "new", tc.ttl)
			}
		})
	}
}

func TestATimeToLiveIsRoundedUp(t *testing.T) {
	for d, want := range map[time.Duration]int64{1: 1, time.Millisecond: 1, time.Millisecond + 1: 2, time.Second: 1000} {
		if got := ceilMs(d); got != want {
			t.Errorf("%v is %d ms, want %d", d, got, want)
		}
	}
}

// A script's arguments come in steps.
func TestHashesOfManyFieldsAreWrittenWhole(t *testing.T) {
	s := redistest.Start(t)
	var fields []string
	for i := range 20_000 {
		fields = append(fields, fmt.Sprint("f", i), "v")
	}
	for name, w := range map[string]*DocumentWriter{
		"plain":    NewHashWriter(sharedClient(t, s), 0, false),
		"ttl":      NewHashWriter(sharedClient(t, s), time.Hour, false),
		"replaced": NewHashWriter(sharedClient(t, s), time.Hour, true),
	} {
		setup(t, s, []any{"flushall"}, []any{"hset", "h", "old", "0"})
		mustWrite(t, w, hashOf("h", fields...))
		want := int64(20_001)
		if name == "replaced" {
			want = 20_000
		}
		if n := s.Client().HLen(t.Context(), "h").Val(); n != want {
			t.Errorf("%s: %d fields, want %d", name, n, want)
		}
	}
}

func jsonAt(t *testing.T, s *redistest.Server, key string) string {
	t.Helper()
	text, _ := s.Client().Do(t.Context(), "JSON.GET", key).Text()
	return text
}

func TestJSONIsSetAtItsPathWithTheTimeToLive(t *testing.T) {
	s := redistest.Start(t, redistest.JSON(t))
	for _, tc := range []struct {
		path    string
		ttl     time.Duration
		value   string
		want    string
		wantTTL time.Duration
	}{
		{"$", 0, `{"b":2}`, `{"b":2}`, 100 * time.Second}, // JSON.SET keeps it
		{"$", time.Hour, `{"b":2}`, `{"b":2}`, time.Hour},
		{"$.a", 0, `"x"`, `{"a":"x"}`, 100 * time.Second},
		{"$.a", time.Hour, `"x"`, `{"a":"x"}`, time.Hour},
		{"$.new", time.Hour, `[1,"é"]`, `{"a":1,"new":[1,"é"]}`, time.Hour},
	} {
		t.Run(fmt.Sprint(tc.path, " ", tc.ttl), func(t *testing.T) {
			setup(t, s, []any{"json.set", "doc", "$", `{"a":1}`}, []any{"expire", "doc", "100"})
			mustWrite(t, NewJSONWriter(sharedClient(t, s), tc.path, tc.ttl), Document{Key: "doc", JSON: tc.value})
			if got := jsonAt(t, s, "doc"); got != tc.want {
				t.Errorf("document %s, want %s", got, tc.want)
			}
			wantTTL(t, s, "doc", tc.wantTTL)
		})
	}
}

// What an element is to blame for, on a real server, by a plain command and by
// a script: the error says so, and neither value nor time to live changes.
func TestAFaultLeavesValueAndTimeToLiveUntouched(t *testing.T) {
	s := redistest.Start(t, redistest.JSON(t))
	c := sharedClient(t, s)
	const doc, text = `{"a":1}`, "somebody's"
	for _, ttl := range []time.Duration{0, time.Hour} {
		for name, tc := range map[string]struct {
			w   *DocumentWriter
			doc Document
			say string
		}{
			"hash over another type":     {NewHashWriter(c, ttl, false), hashOf("text", "a", "1"), "WRONGTYPE"},
			"replaced over another type": {NewHashWriter(c, ttl, true), hashOf("text", "a", "1"), "WRONGTYPE"},
			"JSON over another type":     {NewJSONWriter(c, "$", ttl), Document{Key: "text", JSON: "1"}, "Existing key has wrong Redis type"},
			"JSON within another type":   {NewJSONWriter(c, "$.a", ttl), Document{Key: "text", JSON: "1"}, "Existing key has wrong Redis type"},
			"document is missing":        {NewJSONWriter(c, "$.a", ttl), Document{Key: "none", JSON: "1"}, "path $.a: the document does not exist"},
			"path is missing":            {NewJSONWriter(c, "$.x.y", ttl), Document{Key: "doc", JSON: "1"}, "path $.x.y: the document has no such path"},
			"no place in the array":      {NewJSONWriter(c, "$.list[5]", ttl), Document{Key: "doc", JSON: "1"}, "array index out of range"},
			"no JSON":                    {NewJSONWriter(c, "$", ttl), Document{Key: "doc", JSON: `{"a":`}, "EOF while parsing a value at line 1 column 5"},
			"no UTF-8":                   {NewJSONWriter(c, "$", ttl), Document{Key: "doc", JSON: "\"\xff\""}, "UTF-8"},
			"a number too large":         {NewJSONWriter(c, "$", ttl), Document{Key: "doc", JSON: "1e999"}, "number out of range at line 1 column 5"},
			"nested too deeply":          {NewJSONWriter(c, "$", ttl), Document{Key: "doc", JSON: strings.Repeat("[", 200) + strings.Repeat("]", 200)}, "recursion limit exceeded"},
		} {
			t.Run(fmt.Sprint(name, ", TTL ", ttl), func(t *testing.T) {
				setup(t, s, []any{"flushall"}, []any{"set", "text", text, "ex", "100"}, []any{"json.set", "doc", "$", doc}, []any{"expire", "doc", "100"})
				err := tc.w.Write(t.Context(), []Document{tc.doc})[0]
				if err == nil || !strings.Contains(err.Error(), tc.say) || ClassifyAdd(err) != ElementFault {
					t.Errorf("error %v (%v), want the element's fault: %s", err, ClassifyAdd(err), tc.say)
				}
				if got := s.Client().Get(t.Context(), "text").Val(); got != text {
					t.Errorf("the string is %q, want %q", got, text)
				}
				if got := jsonAt(t, s, "doc"); got != doc {
					t.Errorf("the document is %s, want %s", got, doc)
				}
				wantTTL(t, s, "text", 100*time.Second)
				wantTTL(t, s, "doc", 100*time.Second)
				if n := s.Client().DBSize(t.Context()).Val(); n != 2 {
					t.Errorf("%d keys, want 2", n)
				}
			})
		}
	}
}

func TestAServerWithoutRedisJSONIsFatalAndSaysWhatToInstall(t *testing.T) {
	s := redistest.Start(t)
	for _, ttl := range []time.Duration{0, time.Hour} {
		err := NewJSONWriter(sharedClient(t, s), "$", ttl).Write(t.Context(), []Document{{Key: "k", JSON: "1"}})[0]
		if !errors.Is(err, ErrNoJSON) || ClassifyAdd(err) != Fatal {
			t.Errorf("TTL %v: error %v (%v), want a fatal ErrNoJSON", ttl, err, ClassifyAdd(err))
		}
	}
}

func TestAPathThatIsNoneIsFatal(t *testing.T) {
	s := redistest.Start(t, redistest.JSON(t))
	setup(t, s, []any{"json.set", "k", "$", "{}"})
	err := NewJSONWriter(sharedClient(t, s), "$[", 0).Write(t.Context(), []Document{{Key: "k", JSON: "1"}})[0]
	if err == nil || ClassifyAdd(err) != Fatal {
		t.Errorf("error %v, want a fatal one: no element could be written", err)
	}
}

// One document's error is its own.
func TestEveryDocumentHasItsOwnFate(t *testing.T) {
	s := redistest.Start(t)
	setup(t, s, []any{"set", "text", "x"})
	for _, ttl := range []time.Duration{0, time.Hour} {
		w := NewHashWriter(sharedClient(t, s), ttl, false)
		errs := w.Write(t.Context(), []Document{hashOf("a", "n", "1"), hashOf("text", "n", "2"), hashOf("b", "n", "3", "m", "4"), hashOf("c")})
		if errs[0] != nil || errs[2] != nil || !IsWrongType(errs[1]) || errs[3] == nil {
			t.Errorf("errors %v", errs)
		}
		wantHash(t, s, "a", map[string]string{"n": "1"})
		wantHash(t, s, "b", map[string]string{"n": "3", "m": "4"})
	}
}

func TestAServerThatForgotTheScriptIsGivenItAgain(t *testing.T) {
	s := redistest.Start(t)
	w := NewHashWriter(sharedClient(t, s), time.Hour, false)
	mustWrite(t, w, hashOf("a", "n", "1"))
	setup(t, s, []any{"script", "flush"})
	mustWrite(t, w, hashOf("a", "n", "2"), hashOf("b", "n", "2"), hashOf("a", "n", "3"))
	wantHash(t, s, "a", map[string]string{"n": "3"})
	wantHash(t, s, "b", map[string]string{"n": "2"})
}

// What was written while the script was on its way must not stay on top of what
// is sent again before it.
func TestDocumentsBehindOneWithoutItsScriptAreSentAgainBehindIt(t *testing.T) {
	w := &DocumentWriter{script: &script{src: "source"}, left: []int{0, 1, 2, 4}}
	docs := []Document{{Key: "a"}, {Key: "b"}, {Key: "a"}, {Key: "a"}, {Key: "c"}}
	w.errs = []error{serverError("NOSCRIPT No matching script."), nil, nil, errors.New("too large"), nil}
	for i := range docs {
		w.slot(t.Context(), i, 2)
	}
	if diff := cmp.Diff([]int{0, 2}, w.withSource(docs)); diff != "" {
		t.Errorf("sent again (-want +got):\n%s", diff)
	}
}

func TestAFullServerRefusesWithoutHarm(t *testing.T) {
	s := redistest.Start(t, redistest.JSON(t))
	c := sharedClient(t, s)
	setup(t, s, []any{"hset", "h", "a", "1"}, []any{"json.set", "j", "$", `{"a":1}`}, []any{"config", "set", "maxmemory", "1"})
	for _, ttl := range []time.Duration{0, time.Hour} {
		for name, w := range map[string]*DocumentWriter{
			"hash": NewHashWriter(c, ttl, false), "replaced hash": NewHashWriter(c, ttl, true), "JSON": NewJSONWriter(c, "$", ttl),
		} {
			doc := hashOf("h", "b", "2")
			if name == "JSON" {
				doc = Document{Key: "j", JSON: "2"}
			}
			if err := w.Write(t.Context(), []Document{doc})[0]; ClassifyAdd(err) != Retryable || !strings.Contains(err.Error(), "OOM") {
				t.Errorf("%s, TTL %v: %v (%v), want a retryable OOM", name, ttl, err, ClassifyAdd(err))
			}
		}
	}
	wantHash(t, s, "h", map[string]string{"a": "1"})
	if got := jsonAt(t, s, "j"); got != `{"a":1}` {
		t.Errorf("document %s", got)
	}
	wantTTL(t, s, "h", noTTL)
	wantTTL(t, s, "j", noTTL)
}

func TestDocumentsBehindOneThatIsToBeTriedAgainAreTriedAgain(t *testing.T) {
	oom, wrong := serverError("OOM command not allowed"), serverError("WRONGTYPE ...")
	docs := []Document{{Key: "a"}, {Key: "b"}, {Key: "a"}, {Key: "c"}, {Key: "c"}, {Key: "a"}}
	errs := []error{nil, nil, oom, wrong, nil, nil}
	holdBack(docs, errs)
	var classes []string
	for _, err := range errs {
		if err == nil {
			classes = append(classes, "written")
			continue
		}
		classes = append(classes, ClassifyAdd(err).String())
	}
	want := []string{"written", "written", "retryable", "element's fault", "written", "retryable"}
	if diff := cmp.Diff(want, classes); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if overtaken := (*OvertakenError)(nil); !errors.As(errs[5], &overtaken) || !errors.Is(overtaken.Cause, oom) {
		t.Errorf("error %v, want an OvertakenError that names the cause", errs[5])
	}
}

func TestWithoutAServerEveryDocumentMayBeTriedAgain(t *testing.T) {
	c, err := Open(conn.Config{Addr: "127.0.0.1:1"})
	if err != nil {
		t.Fatal(err)
	}
	for _, ttl := range []time.Duration{0, time.Hour} {
		for i, err := range NewHashWriter(c, ttl, false).Write(t.Context(), []Document{hashOf("a", "n", "1"), hashOf("b", "n", "1")}) {
			if ClassifyAdd(err) != Retryable {
				t.Errorf("TTL %v, document %d: %v is %v", ttl, i, err, ClassifyAdd(err))
			}
		}
	}
	if errs := NewHashWriter(c, 0, false).Write(t.Context(), nil); len(errs) != 0 {
		t.Errorf("an empty batch has errors: %v", errs)
	}
}

func benchHashes() []Document {
	docs := make([]Document, 1000)
	for i := range docs {
		docs[i].Key = fmt.Sprint("order:", i)
		for f := range 4 {
			docs[i].Fields = append(docs[i].Fields, message.Field{Name: fmt.Sprint("field-", f), Value: strings.Repeat("x", 20)})
		}
	}
	return docs
}

func TestDocumentsOfOneShapeCostNoAllocation(t *testing.T) {
	s := redistest.Start(t)
	docs := benchHashes()
	for _, ttl := range []time.Duration{0, time.Hour} {
		w := NewHashWriter(sharedClient(t, s), ttl, false)
		allocs := testing.AllocsPerRun(5, func() { mustWrite(t, w, docs...) })
		if perDocument := allocs / float64(len(docs)); perDocument > 0.2 {
			t.Errorf("TTL %v: %.2f allocations per document, want at most 0.2", ttl, perDocument)
		}
	}
}

// BenchmarkHashWriter shows what the script costs: the rate of each kind.
func BenchmarkHashWriter(b *testing.B) {
	s := redistest.Start(b)
	docs := benchHashes()
	for name, w := range map[string]*DocumentWriter{
		"plain": NewHashWriter(sharedClient(b, s), 0, false), "ttl": NewHashWriter(sharedClient(b, s), time.Hour, false),
		"replaced": NewHashWriter(sharedClient(b, s), 0, true),
	} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				for _, err := range w.Write(b.Context(), docs) {
					if err != nil {
						b.Fatal(err)
					}
				}
			}
			b.ReportMetric(float64(b.N*len(docs))/b.Elapsed().Seconds(), "documents/s")
		})
	}
}
