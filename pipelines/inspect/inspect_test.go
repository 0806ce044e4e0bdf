package main

import (
	"bytes"
	"context"
	"encoding/json"
	"os"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
	"github.com/redis/go-redis/v9"

	"example.com/beamredis/pipelines/internal/pipetest"
	"example.com/beamredis/redisio/inspect"
)

var binary string

func TestMain(m *testing.M) { os.Exit(pipetest.Main(m, &binary)) }

// filled is a server with the topic orders, of which the group copy has read
// some.
func filled(t *testing.T) *pipetest.Redis {
	t.Helper()
	s := pipetest.StartRedis(t, "")
	for _, stream := range []string{"orders:0", "orders:1"} {
		for range 5 {
			pipetest.Must(t, s.Client.XAdd(t.Context(), &redis.XAddArgs{Stream: stream, Values: []string{"n", "1"}}).Err())
		}
		pipetest.Must(t, s.Client.XGroupCreate(t.Context(), stream, "copy", "0").Err())
	}
	pipetest.Must(t, s.Client.XReadGroup(t.Context(), &redis.XReadGroupArgs{Group: "copy", Consumer: "c", Streams: []string{"orders:1", ">"}, Count: 2}).Err())
	return s
}

func TestJSONIsForMachines(t *testing.T) {
	s := filled(t)
	got := pipetest.Run(t, binary, nil, "--redis", s.URL(), "--topic", "orders", "--partitions", "2", "--group", "copy", "--json")
	var report struct {
		Partitions []map[string]any
	}
	pipetest.Must(t, json.Unmarshal([]byte(got.Stdout), &report))
	if got.Status != 0 || got.Stderr != "" || len(report.Partitions) != 2 {
		t.Fatalf("outcome %+v", got)
	}
	p := report.Partitions[1]
	want := map[string]any{"partition": 1.0, "length": 5.0, "lag": 3.0, "pending": 2.0, "consumers": 1.0}
	for name, value := range want {
		if diff := cmp.Diff(value, p[name]); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
	if ms, ok := p["oldest_pending_ms"].(float64); !ok || ms < 0 || ms > time.Hour.Seconds()*1000 {
		t.Errorf("oldest_pending_ms is %v", p["oldest_pending_ms"])
	}
	if other := report.Partitions[0]; other["oldest_pending_ms"] != nil || other["pending"] != 0.0 {
		t.Errorf("nothing is pending in partition 0: %v", other)
	}
}

func TestATableTellsWhoIsStuck(t *testing.T) {
	s := filled(t)
	got := pipetest.Run(t, binary, nil, "--redis", s.URL(), "--topic", "orders", "--partitions", "3", "--stuck_after", "1ms")
	if got.Status != 0 || got.Stderr != "" {
		t.Fatalf("outcome %+v", got)
	}
	for _, want := range []string{"topic orders, group copy\n", "! STUCK: 5 entries wait, and no consumer of the group has ever read\n",
		"! STUCK: 2 entries are pending", "   2  there is no such stream", " all    10 "} {
		if !strings.Contains(got.Stdout, want) {
			t.Errorf("the table lacks %q:\n%s", want, got.Stdout)
		}
	}
}

func TestWhatDoesNotExistHasAStatus(t *testing.T) {
	s := filled(t)
	for args, want := range map[string]pipetest.Outcome{
		"--topic none --partitions 2": {Status: 1, Stderr: "inspect: the topic does not exist: there is no stream none:0, none:1: check its name and the number of partitions\n"},
		"--topic orders --partitions 2 --group no": {Status: 1,
			Stderr: "inspect: the topic has no such group: \"no\" is none of its groups (copy)\n"},
		"--topic orders": {Status: 2, Stderr: "inspect: --partitions is 0: want at least 1\n"},
		"--partitions 1": {Status: 2, Stderr: "inspect: --topic is empty: want the name of a topic\n"},
		"--topic orders --partitions 1 --every 0s --stuck_after -1s": {Status: 2, Stderr: "inspect: --every is 0s: want more than 0; --stuck_after is -1s: want more than 0\n"},
	} {
		pipetest.Expect(t, pipetest.Run(t, binary, nil, append([]string{"--redis", s.URL()}, strings.Fields(args)...)...), want)
	}
}

// lines signals once it has seen a number of objects.
type lines struct {
	bytes.Buffer
	left int
	stop context.CancelFunc
}

func (l *lines) Write(p []byte) (int, error) {
	if l.left--; l.left == 0 {
		l.stop()
	}
	return l.Buffer.Write(p)
}

func TestWatchShowsAgainUntilItIsToldToStop(t *testing.T) {
	s := filled(t)
	ctx, stop := context.WithCancel(t.Context())
	out := &lines{left: 3, stop: stop}
	var errs bytes.Buffer
	status := tool().Execute(ctx, []string{"--redis", s.URL(), "--topic", "orders", "--partitions", "2", "--watch", "--every", "1ms", "--json"}, out, &errs)
	if status != 0 || errs.Len() > 0 {
		t.Fatalf("status %d, stderr %q", status, &errs)
	}
	dec := json.NewDecoder(&out.Buffer)
	for range 3 {
		var r inspect.Report
		pipetest.Must(t, dec.Decode(&r))
		if len(r.Partitions) != 2 {
			t.Errorf("report %+v", r)
		}
	}
}

func TestATableFitsInto80Columns(t *testing.T) {
	n := func(v int64) *int64 { return &v }
	large := inspect.Entry{ID: "18446744073709551615-18446744073709551615", AgeMs: 1 << 62}
	for _, v := range []int64{0, 99_999, 100_000, 123_456_789, 1 << 62} {
		p := inspect.Partition{Partition: 9999, Stream: "s", Exists: true, First: &large, Last: &large, Consumers: n(v), Warning: strings.Repeat("word ", 60)}
		p.Counts = inspect.Counts{Length: v, Lag: n(v), Pending: n(v), OldestPendingMs: n(v)}
		text := table(inspect.Report{Topic: "orders", Group: "copy", Partitions: []inspect.Partition{p, {Partition: 1}}, Total: p.Counts})
		for line := range strings.Lines(text) {
			if width := utf8.RuneCountInString(strings.TrimSuffix(line, "\n")); width > 80 {
				t.Errorf("%d columns: %s", width, line)
			}
		}
	}
}

func TestNumbersAndAgesAreShort(t *testing.T) {
	for n, want := range map[int64]string{0: "0", 99_999: "99999", 100_000: "100k", 9_999_999: "9999k", 10_000_000: "10M", 12_345_678_901: "12G"} {
		if got := compact(&n); got != want {
			t.Errorf("%d is shown as %s, want %s", n, got, want)
		}
	}
	for ms, want := range map[int64]string{0: "0.0s", 9_990: "9.9s", 10_000: "10s", 99_000: "99s", 100_000: "1m", 6_000_000: "1h", 172_800_000: "2d"} {
		if got := ageOf(&ms); got != want {
			t.Errorf("%d ms are shown as %s, want %s", ms, got, want)
		}
	}
	if compact(nil) != "?" || ageOf(nil) != "-" {
		t.Error("what is not known looks like a number")
	}
}
