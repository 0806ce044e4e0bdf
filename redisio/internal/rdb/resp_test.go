package rdb

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"runtime/metrics"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/redis/go-redis/v9"

	"example.com/beamredis/redisio/message"
)

// The replies below were captured from Redis 7.0.15. The stream s has
// 1-1 {a: 1, a: NUL CR LF, "": ""} and 2-0 {b: 2}, t has 5-0 {c: 3}.
const (
	rawEntry1 = "*2\r\n$3\r\n1-1\r\n*6\r\n$1\r\na\r\n$1\r\n1\r\n$1\r\na\r\n$3\r\n\x00\r\n\r\n$0\r\n\r\n$0\r\n\r\n"
	rawEntry2 = "*2\r\n$3\r\n2-0\r\n*2\r\n$1\r\nb\r\n$1\r\n2\r\n"
	rawBoth   = "*2\r\n" + rawEntry1 + rawEntry2
	rawT      = "*1\r\n*2\r\n$3\r\n5-0\r\n*2\r\n$1\r\nc\r\n$1\r\n3\r\n"

	rawStreamInfo = "$6\r\nlength\r\n:2\r\n$15\r\nradix-tree-keys\r\n:1\r\n$16\r\nradix-tree-nodes\r\n:2\r\n$17\r\nlast-generated-id\r\n$3\r\n2-0\r\n" +
		"$20\r\nmax-deleted-entry-id\r\n$3\r\n0-0\r\n$13\r\nentries-added\r\n:2\r\n$23\r\nrecorded-first-entry-id\r\n$3\r\n1-1\r\n$6\r\ngroups\r\n:2\r\n" +
		"$11\r\nfirst-entry\r\n" + rawEntry1 + "$10\r\nlast-entry\r\n" + rawEntry2
	rawEmptyInfo = "$6\r\nlength\r\n:0\r\n$15\r\nradix-tree-keys\r\n:0\r\n$16\r\nradix-tree-nodes\r\n:1\r\n$17\r\nlast-generated-id\r\n$3\r\n1-0\r\n" +
		"$20\r\nmax-deleted-entry-id\r\n$3\r\n0-0\r\n$13\r\nentries-added\r\n:1\r\n$23\r\nrecorded-first-entry-id\r\n$3\r\n0-0\r\n$6\r\ngroups\r\n:0\r\n"
	rawGroup = "$4\r\nname\r\n$1\r\ng\r\n$9\r\nconsumers\r\n:1\r\n$7\r\npending\r\n:2\r\n$17\r\nlast-delivered-id\r\n$3\r\n2-0\r\n" +
		"$12\r\nentries-read\r\n:2\r\n$3\r\nlag\r\n:0\r\n"
	rawGroupH = "$4\r\nname\r\n$1\r\nh\r\n$9\r\nconsumers\r\n:0\r\n$7\r\npending\r\n:0\r\n$17\r\nlast-delivered-id\r\n$3\r\n2-0\r\n$12\r\nentries-read\r\n"
	rawLag0   = "$3\r\nlag\r\n:0\r\n"
	rawErr    = "-NOGROUP No such key 's' or consumer group 'nope' in XREADGROUP with GROUP option\r\n"
)

var (
	entry1 = Entry{ID: eid(1, 1), Fields: []message.Field{{Name: "a", Value: "1"}, {Name: "a", Value: "\x00\r\n"}, {}}}
	entry2 = Entry{ID: eid(2, 0), Fields: []message.Field{{Name: "b", Value: "2"}}}
)

func eid(ms, seq uint64) message.EntryID { return message.EntryID{Ms: ms, Seq: seq} }

// rawReply is a command that was answered with raw.
func rawReply(raw string) rawCmd {
	cmd := redis.NewRawCmd(context.Background())
	cmd.SetVal([]byte(raw))
	return cmd
}

func TestEntriesOfEitherProtocol(t *testing.T) {
	for name, tc := range map[string]struct {
		raw  string
		want []Entry
		gone []message.EntryID
	}{
		"two":                          {rawBoth, []Entry{entry1, entry2}, nil},
		"none":                         {"*0\r\n", nil, nil},
		"null":                         {"*-1\r\n", nil, nil},
		"null, RESP3":                  {"_\r\n", nil, nil},
		"deleted":                      {"*2\r\n*2\r\n$3\r\n1-1\r\n*-1\r\n" + rawEntry2, []Entry{entry2}, []message.EntryID{eid(1, 1)}},
		"deleted, RESP3":               {"*2\r\n*2\r\n$3\r\n1-1\r\n_\r\n" + rawEntry2, []Entry{entry2}, []message.EntryID{eid(1, 1)}},
		"deleted, XCLAIM of Redis 6.2": {"*3\r\n*-1\r\n" + rawEntry2 + "$-1\r\n", []Entry{entry2}, nil},
		"no fields":                    {"*1\r\n*2\r\n$3\r\n2-0\r\n*0\r\n", []Entry{{ID: eid(2, 0)}}, nil},
		"fields as a map":              {"*1\r\n*2\r\n$3\r\n2-0\r\n%1\r\n$1\r\nb\r\n$1\r\n2\r\n", []Entry{entry2}, nil},
		"verbatim, simple, numbers": {"*1\r\n*2\r\n+2-0\r\n*6\r\n=5\r\ntxt:b\r\n=4\r\ntxt:\r\n+c\r\n:7\r\n,1.5\r\n#t\r\n",
			[]Entry{{ID: eid(2, 0), Fields: []message.Field{{Name: "b"}, {Name: "c", Value: "7"}, {Name: "1.5", Value: "t"}}}}, nil},
	} {
		got, gone, err := newParser([]byte(tc.raw)).entries()
		if err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if diff := cmp.Diff([]any{tc.want, tc.gone}, []any{got, gone}, cmpopts.EquateEmpty()); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
}

// TestEntriesDoNotShareTheirSlack: whoever appends to an entry's fields must not
// write into those of the next.
func TestEntriesDoNotShareTheirSlack(t *testing.T) {
	list, _, err := newParser([]byte(rawBoth)).entries()
	if err != nil {
		t.Fatal(err)
	}
	_ = append(list[0].Fields, message.Field{Name: "intruder"})
	if diff := cmp.Diff(entry2, list[1]); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestReadReplyOfOneStream(t *testing.T) {
	for name, tc := range map[string]struct {
		raw  string
		want []Entry
	}{
		"RESP2":          {"*1\r\n*2\r\n$1\r\ns\r\n" + rawBoth, []Entry{entry1, entry2}},
		"RESP3":          {"%1\r\n$1\r\ns\r\n" + rawBoth, []Entry{entry1, entry2}},
		"nothing, RESP2": {"*-1\r\n", nil},
		"nothing, RESP3": {"_\r\n", nil},
		"nil bulk":       {"$-1\r\n", nil},
		"empty map":      {"%0\r\n", nil},
	} {
		got, size, err := parseOneStream(rawReply(tc.raw))
		if err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if diff := cmp.Diff(tc.want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
		if len(got) > 0 && size != len(tc.raw) {
			t.Errorf("%s: size %d, want %d", name, size, len(tc.raw))
		}
	}
}

func TestStreamNamesOfAReadReply(t *testing.T) {
	for name, tc := range map[string]struct {
		raw  string
		want []string
	}{
		"RESP2":   {"*2\r\n*2\r\n$1\r\ns\r\n" + rawBoth + "*2\r\n$1\r\nt\r\n" + rawT, []string{"s", "t"}},
		"RESP3":   {"%2\r\n$1\r\ns\r\n" + rawBoth + "$1\r\nt\r\n" + rawT, []string{"s", "t"}},
		"nothing": {"*-1\r\n", nil}, "nothing, RESP3": {"_\r\n", nil},
	} {
		got, err := parseStreamNames([]byte(tc.raw))
		if err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if diff := cmp.Diff(tc.want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
}

func TestStreamStateOfEitherProtocol(t *testing.T) {
	full := StreamState{Exists: true, Length: 2, LastGenerated: eid(2, 0), First: eid(1, 1), Last: eid(2, 0), EntriesAdded: 2, EntryBytes: 59}
	empty := StreamState{Exists: true, LastGenerated: eid(1, 0), EntriesAdded: 1}
	for name, tc := range map[string]struct {
		raw  string
		want StreamState
	}{
		"RESP2":        {"*20\r\n" + rawStreamInfo, full},
		"RESP3":        {"%10\r\n" + rawStreamInfo, full},
		"empty, RESP2": {"*20\r\n" + rawEmptyInfo + "$11\r\nfirst-entry\r\n$-1\r\n$10\r\nlast-entry\r\n$-1\r\n", empty},
		"empty, RESP3": {"%10\r\n" + rawEmptyInfo + "$11\r\nfirst-entry\r\n_\r\n$10\r\nlast-entry\r\n_\r\n", empty},
		"missing":      {"-ERR no such key\r\n", StreamState{EntriesAdded: Unknown}},
		"Redis 6.2 does not count": {"*4\r\n$6\r\nlength\r\n:2\r\n$17\r\nlast-generated-id\r\n$3\r\n2-0\r\n",
			StreamState{Exists: true, Length: 2, LastGenerated: eid(2, 0), EntriesAdded: Unknown}},
	} {
		got, err := parseStreamState(rawReply(tc.raw))
		if err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if diff := cmp.Diff(tc.want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
}

func TestRemovedEntriesAreThoseAddedAndGone(t *testing.T) {
	if got := (StreamState{Length: 3, EntriesAdded: 10}).Removed(); got != 7 {
		t.Errorf("%d removed, want 7", got)
	}
	if got := (StreamState{Length: 3, EntriesAdded: Unknown}).Removed(); got != Unknown {
		t.Errorf("%d removed where the server does not count, want Unknown", got)
	}
}

func TestGroupStateOfEitherProtocol(t *testing.T) {
	g := GroupState{Exists: true, LastDelivered: eid(2, 0), EntriesRead: 2, Pending: 2, Consumers: 1}
	h := GroupState{Exists: true, LastDelivered: eid(2, 0), EntriesRead: Unknown}
	resp2 := "*2\r\n*12\r\n" + rawGroup + "*12\r\n" + rawGroupH + "$-1\r\n" + rawLag0
	resp3 := "*2\r\n%6\r\n" + rawGroup + "%6\r\n" + rawGroupH + "_\r\n" + rawLag0
	missing := GroupState{EntriesRead: Unknown, Lag: Unknown}
	for name, tc := range map[string]struct {
		raw, group string
		want       GroupState
	}{
		"first, RESP2": {resp2, "g", g}, "second, RESP2": {resp2, "h", h},
		"first, RESP3": {resp3, "g", g}, "second, RESP3": {resp3, "h", h},
		"none of that name": {resp2, "gg", missing}, "no groups": {"*0\r\n", "g", missing},
		"lag unknown": {"*1\r\n*4\r\n$4\r\nname\r\n$1\r\ng\r\n$3\r\nlag\r\n$-1\r\n", "g",
			GroupState{Exists: true, EntriesRead: Unknown, Lag: Unknown}},
	} {
		got, err := parseGroupState(rawReply(tc.raw), tc.group)
		if err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if diff := cmp.Diff(tc.want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
}

func TestPendingRows(t *testing.T) {
	raw := "*2\r\n*4\r\n$3\r\n1-1\r\n$1\r\nc\r\n:1500\r\n:1\r\n*4\r\n$3\r\n2-0\r\n$1\r\nd\r\n:0\r\n:7\r\n"
	got, err := parsePending(newParser([]byte(raw)))
	if err != nil {
		t.Fatal(err)
	}
	want := []PendingEntry{{eid(1, 1), "c", 1500 * time.Millisecond, 1}, {eid(2, 0), "d", 0, 7}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// TestErrorsInsideAReplyAreTheServers wherever they stand.
func TestErrorsInsideAReplyAreTheServers(t *testing.T) {
	blob := fmt.Sprintf("!%d\r\n%s", len(rawErr)-3, rawErr[1:])
	for name, raw := range map[string]string{"line": rawErr, "blob": blob} {
		for what, parse := range parsers {
			if err := parse([]byte(raw)); !IsNoGroup(err) || strings.ContainsAny(err.Error(), "\r\n") {
				t.Errorf("%s, %s: error %v, want the server's", name, what, err)
			}
		}
		if _, _, err := newParser([]byte("*1\r\n*2\r\n$3\r\n1-1\r\n" + raw)).entries(); !IsNoGroup(err) {
			t.Errorf("%s inside an entry: error %v, want the server's", name, err)
		}
	}
}

// parsers are all the ways into the parser.
var parsers = map[string]func(raw []byte) error{
	"entries": func(raw []byte) error { _, _, err := newParser(raw).entries(); return err },
	"stream":  func(raw []byte) error { _, _, err := parseOneStream(rawReply(string(raw))); return err },
	"names":   func(raw []byte) error { _, err := parseStreamNames(raw); return err },
	"state":   func(raw []byte) error { _, err := parseStreamState(rawReply(string(raw))); return err },
	"group":   func(raw []byte) error { _, err := parseGroupState(rawReply(string(raw)), "g"); return err },
	"pending": func(raw []byte) error { _, err := parsePending(newParser(raw)); return err },
}

func TestRepliesCutOffAnywhereAreRefused(t *testing.T) {
	for what, whole := range map[string]string{
		"entries": rawBoth, "stream": "%1\r\n$1\r\ns\r\n" + rawBoth, "names": "*1\r\n*2\r\n$1\r\ns\r\n" + rawBoth,
		"state": "%10\r\n" + rawStreamInfo, "group": "*1\r\n%6\r\n" + rawGroup, "pending": "*1\r\n*4\r\n$3\r\n1-1\r\n$1\r\nc\r\n:0\r\n:1\r\n",
	} {
		if err := parsers[what]([]byte(whole)); err != nil {
			t.Errorf("%s: %v", what, err)
		}
		for n := range len(whole) - 1 {
			if err := parsers[what]([]byte(whole[:n])); err == nil {
				t.Errorf("%s: accepted %q, which is cut off", what, whole[:n])
			}
		}
	}
}

func TestNonsenseIsAProtocolError(t *testing.T) {
	for what, raw := range map[string]string{
		"text for a list": "+OK\r\n", "list for a text": "*1\r\n*2\r\n*0\r\n*0\r\n", "entry of three": "*1\r\n*3\r\n$3\r\n1-1\r\n*0\r\n*0\r\n",
		"length no number": "*x\r\n", "length too long": "*99999999999999999999\r\n", "no length": "*\r\n", "unknown type": "?1\r\n",
		"text beyond the end": "*1\r\n*2\r\n$999\r\n1-1\r\n", "more fields than bytes": "*1\r\n*2\r\n$3\r\n1-1\r\n*1000000\r\n",
		"negative fields count as none": "*1\r\n*2\r\n$-7\r\n*0\r\n*",
	} {
		if _, _, err := newParser([]byte(raw)).entries(); err != nil && !errors.Is(err, errProtocol) {
			t.Errorf("%s: error %v, want errProtocol", what, err)
		} else if err == nil && what != "negative fields count as none" {
			t.Errorf("%s: accepted", what)
		}
	}
	for _, raw := range []string{"*2\r\n$6\r\nlength\r\n$1\r\nx\r\n", "*2\r\n$11\r\nfirst-entry\r\n+x\r\n"} {
		if _, err := parseStreamState(rawReply(raw)); !errors.Is(err, errProtocol) {
			t.Errorf("%q: error %v, want errProtocol", raw, err)
		}
	}
	if _, _, err := newParser([]byte("*1\r\n*2\r\n$1\r\nx\r\n*0\r\n")).entries(); !errors.Is(err, message.ErrEntryID) {
		t.Errorf("ID that is none: error %v", err)
	}
}

var fuzzSeeds = []string{
	"", rawBoth, rawErr, "%1\r\n$1\r\ns\r\n" + rawBoth, "*1\r\n*2\r\n$1\r\ns\r\n" + rawBoth, "*20\r\n" + rawStreamInfo, "%10\r\n" + rawStreamInfo,
	"*1\r\n*12\r\n" + rawGroup, "*1\r\n%6\r\n" + rawGroup, "*1\r\n*4\r\n$3\r\n1-1\r\n$1\r\nc\r\n:0\r\n:1\r\n",
	"*1000000000\r\n*2\r\n$3\r\n1-1\r\n*1000000000\r\n", "%9223372036854775807\r\n", "*9223372036854775807\r\n", "*1\r\n*2\r\n$3\r\n1-1\r\n%9223372036854775807\r\n",
	"$9223372036854775807\r\n", "!-5\r\n", "=2\r\nab\r\n", "*1\r\n*1\r\n*1\r\n*1\r\n",
}

// FuzzParseEntries: whatever comes, parsing does not panic, takes memory in
// proportion to the reply, and gives nothing that is not in it.
func FuzzParseEntries(f *testing.F) {
	for _, s := range fuzzSeeds {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		raw := bytes.Clone(b)
		before := heapAllocs()
		list, gone, err := newParser(raw).entries()
		if used := heapAllocs() - before; used > 64*uint64(len(b))+1<<20 {
			t.Errorf("%d bytes of memory for a reply of %d", used, len(b))
		}
		if err != nil && (list != nil || gone != nil) {
			t.Error("entries along with an error")
		}
		text := 0
		for _, e := range list {
			for _, f := range e.Fields {
				text += len(f.Name) + len(f.Value)
			}
		}
		if text > len(b) || len(list)+len(gone) > len(b) {
			t.Errorf("%d bytes in %d entries out of a reply of %d bytes", text, len(list), len(b))
		}
	})
}

// FuzzParseState is FuzzParseEntries for all other replies.
func FuzzParseState(f *testing.F) {
	for _, s := range fuzzSeeds {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		for what, parse := range parsers {
			before := heapAllocs()
			_ = parse(bytes.Clone(b))
			if used := heapAllocs() - before; used > 64*uint64(len(b))+1<<20 {
				t.Errorf("%s: %d bytes of memory for a reply of %d", what, used, len(b))
			}
		}
	})
}

// heapAllocs is how many bytes the process has ever allocated.
func heapAllocs() uint64 {
	sample := []metrics.Sample{{Name: "/gc/heap/allocs:bytes"}}
	metrics.Read(sample)
	return sample[0].Value.Uint64()
}

// replyOf is the raw reply of n entries of two fields, 130 bytes each.
func replyOf(n int) []byte {
	var b bytes.Buffer
	fmt.Fprintf(&b, "*%d\r\n", n)
	for i := range n {
		id := fmt.Sprintf("1700000000000-%d", i)
		fmt.Fprintf(&b, "*2\r\n$%d\r\n%s\r\n*4\r\n$4\r\n_key\r\n$8\r\nkey-%04d\r\n$4\r\ndata\r\n$100\r\n%s\r\n", len(id), id, i%10_000, strings.Repeat("x", 100))
	}
	return b.Bytes()
}

func TestParsingAllocatesFarLessThanOncePerEntry(t *testing.T) {
	const n = 1000
	raw := replyOf(n)
	allocs := testing.AllocsPerRun(20, func() {
		if list, _, err := newParser(raw).entries(); err != nil || len(list) != n {
			t.Fatalf("%d entries, %v", len(list), err)
		}
	})
	if allocs > n/100 {
		t.Errorf("%.0f allocations for %d entries, want at most %d", allocs, n, n/100)
	}
}

func BenchmarkParse1000Entries(b *testing.B) {
	const n = 1000
	raw := replyOf(n)
	b.SetBytes(int64(len(raw)))
	b.ReportAllocs()
	for b.Loop() {
		if list, _, err := newParser(raw).entries(); err != nil || len(list) != n {
			b.Fatalf("%d entries, %v", len(list), err)
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/n, "ns/entry")
}
