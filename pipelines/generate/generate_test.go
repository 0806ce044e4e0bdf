package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"example.com/beamredis/pipelines/internal/cli"
	"example.com/beamredis/pipelines/internal/pipetest"
	"example.com/beamredis/pipelines/internal/progress"
	"example.com/beamredis/redisio/message"
)

func parse(t *testing.T, args ...string) *settings {
	t.Helper()
	s := &settings{}
	if err := errors.Join(cli.Parse(s.flags(), args), s.check()); err != nil {
		t.Fatal(err)
	}
	return s
}

func TestTheSameFlagsGiveTheSameMessages(t *testing.T) {
	args := []string{"--count", "500", "--keys", "7", "--fields", "2", "--size", "33", "--seed", "42"}
	first := slices.Collect(parse(t, args...).messages())
	if diff := cmp.Diff(first, slices.Collect(parse(t, args...).messages())); diff != "" {
		t.Errorf("second run differs (-first +second):\n%s", diff)
	}
	if other := slices.Collect(parse(t, append(args, "--seed", "43")...).messages()); cmp.Equal(first, other) {
		t.Error("another seed gives the same messages")
	}
}

func TestMessagesAreAsTheFlagsSay(t *testing.T) {
	msgs := slices.Collect(parse(t, "--count", "500", "--keys", "3", "--fields", "2", "--size", "33").messages())
	keys := map[string]bool{}
	for i, m := range msgs {
		keys[m.Key] = true
		var names []string
		for _, f := range m.Fields {
			names = append(names, f.Name)
			if f.Name != "seq" && len(f.Value) != 33 {
				t.Fatalf("message %d: field %s has %d bytes, want 33", i, f.Name, len(f.Value))
			}
		}
		if diff := cmp.Diff([]string{"seq", "field-1", "field-2"}, names); diff != "" {
			t.Fatalf("fields (-want +got):\n%s", diff)
		}
	}
	if diff := cmp.Diff(map[string]bool{"key-0": true, "key-1": true, "key-2": true}, keys); diff != "" {
		t.Errorf("keys (-want +got):\n%s", diff)
	}
	if len(msgs) != 500 {
		t.Errorf("%d messages, want 500", len(msgs))
	}
}

func TestBadInputIsNamedInOneLine(t *testing.T) {
	const usage, failed = cli.StatusUsage, cli.StatusFailed
	for _, c := range []struct {
		args   string
		status int
		want   string
	}{
		{"--count x", usage, `generate: invalid value "x" for flag --count: parse error, see --help`},
		{"--count 0", usage, "generate: --count is 0: it must be at least 1"},
		{"--partitions 0 --keys -1", usage, "generate: --partitions is 0: it must be at least 1; --keys is -1: it must be at least 1"},
		{"--fields -1", usage, "generate: --fields is -1: it must be at least 0"},
		{"--size -1", usage, "generate: --size is -1: it must be at least 0"},
		{"--rate -1", usage, "generate: --rate is -1: it must be 0 or more"},
		{"--rate NaN", usage, "generate: --rate is NaN: it must be 0 or more"},
		{"--topic=", usage, "generate: --topic is empty: it is the name of the topic to fill"},
		{"--colour red", usage, "generate: there is no flag --colour, see --help"},
		{"orders", usage, `generate: unexpected argument "orders": there are flags only, see --help`},
		{"--redis http://localhost", usage, "generate: --redis: scheme http is not supported, want redis or rediss, followed by -cluster or -sentinel for these"},
		{"--redis redis://127.0.0.1:1", failed,
			"generate: redis at 127.0.0.1:1: connection refused; check that the server runs and that host and port are right"},
	} {
		t.Run(c.args, func(t *testing.T) {
			var stdout, stderr bytes.Buffer
			if got := tool().Execute(t.Context(), strings.Fields(c.args), &stdout, &stderr); got != c.status {
				t.Errorf("status %d, want %d", got, c.status)
			}
			if diff := cmp.Diff(c.want+"\n", stderr.String()); diff != "" {
				t.Errorf("stderr (-want +got):\n%s", diff)
			}
			if stdout.Len() > 0 {
				t.Errorf("stdout: %s", stdout.String())
			}
		})
	}
}

func TestHelpListsTheFlags(t *testing.T) {
	var stdout, stderr bytes.Buffer
	if status := tool().Execute(t.Context(), []string{"--help"}, &stdout, &stderr); status != 0 {
		t.Errorf("status %d", status)
	}
	for _, name := range []string{"redis", "topic", "partitions", "count", "rate", "fields", "size", "keys", "seed"} {
		if !strings.Contains(stdout.String(), "--"+name+" ") {
			t.Errorf("--help does not show %s:\n%s", name, stdout.String())
		}
	}
}

func TestATopicIsFilledByKey(t *testing.T) {
	server := pipetest.StartRedis(t, "").Client
	args := []string{"--redis", "redis://" + server.Options().Addr, "--topic", "t", "--partitions", "3", "--count", "1000", "--keys", "20", "--fields", "1"}
	var stdout, stderr bytes.Buffer
	if status := tool().Execute(t.Context(), args, &stdout, &stderr); status != 0 {
		t.Fatalf("status %d: %s", status, stderr.String())
	}
	if !strings.HasPrefix(stdout.String(), `topic "t": 1,000 entries in `) {
		t.Errorf("summary %q", stdout.String())
	}
	s := parse(t, args...)
	want := make([][]string, s.topic.Partitions)
	for m := range s.messages() {
		i := s.topic.PartitionOf(&message.Message{Key: m.Key})
		seq, _ := m.Get("seq")
		want[i] = append(want[i], m.Key+" "+seq)
	}
	for i := range want {
		entries, err := server.XRange(t.Context(), s.topic.Key(i), "-", "+").Result()
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, e := range entries {
			got = append(got, e.Values["_key"].(string)+" "+e.Values["seq"].(string))
		}
		if diff := cmp.Diff(want[i], got); diff != "" {
			t.Errorf("partition %d (-want +got):\n%s", i, diff)
		}
	}
}

func TestAKeyOfAnotherTypeIsNamedAndNothingIsWritten(t *testing.T) {
	server := pipetest.StartRedis(t, "").Client
	if err := server.Set(t.Context(), "t:1", "x", 0).Err(); err != nil {
		t.Fatal(err)
	}
	var stdout, stderr bytes.Buffer
	status := tool().Execute(t.Context(), []string{"--redis", "redis://" + server.Options().Addr, "--topic", "t"}, &stdout, &stderr)
	want := "generate: redis at " + server.Options().Addr + `: key "t:1" holds a string where a stream should be` + "\n"
	if diff := cmp.Diff(want, stderr.String()); diff != "" || status != cli.StatusFailed {
		t.Errorf("status %d, stderr (-want +got):\n%s", status, diff)
	}
	if diff := cmp.Diff([]string{"t:1"}, server.Keys(t.Context(), "*").Val()); diff != "" {
		t.Errorf("keys (-want +got):\n%s", diff)
	}
}

func TestASignalStopsItWithWhatWasWritten(t *testing.T) {
	server := pipetest.StartRedis(t, "").Client
	ctx, interrupt := context.WithCancel(t.Context())
	var stdout, stderr bytes.Buffer
	status := make(chan int)
	go func() {
		status <- tool().Execute(ctx, []string{"--redis", "redis://" + server.Options().Addr, "--topic", "t", "--partitions", "1", "--rate", "1000"}, &stdout, &stderr)
	}()
	length := func() int64 { return server.XLen(t.Context(), "t:0").Val() }
	for deadline := time.Now().Add(time.Minute); length() == 0; {
		if time.Now().After(deadline) {
			t.Fatal("nothing written within 10 s")
		}
	}
	interrupt()
	if got := <-status; got != 0 {
		t.Errorf("status %d: %s", got, stderr.String())
	}
	begin := fmt.Sprintf("topic \"t\": %s entries in ", progress.Thousands(length()))
	if !strings.HasPrefix(stdout.String(), begin) || !strings.HasSuffix(stdout.String(), "(stopped before all 100,000)\n") {
		t.Errorf("summary %q, want it to begin with %q", stdout.String(), begin)
	}
}

func TestARateSpreadsMessagesEvenly(t *testing.T) {
	for n, want := range map[int]time.Duration{0: 0, 1: time.Millisecond, 500: 500 * time.Millisecond, 5000: 5 * time.Second} {
		if got := due(n, 1000); got != want {
			t.Errorf("message %d is due after %v, want %v", n, got, want)
		}
	}
	start := time.Now()
	n := 0
	for range paced(t.Context(), 1000, parse(t, "--count", "50").messages()) {
		n++
	}
	if took := time.Since(start); n != 50 || took < due(49, 1000)-slack {
		t.Errorf("%d messages in %v, want 50 in about 49 ms", n, took)
	}
}
