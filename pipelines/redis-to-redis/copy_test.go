package main

import (
	"fmt"
	"os"
	"regexp"
	"strings"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"example.com/beamredis/pipelines/internal/pipetest"
)

// keyOf is the key of entry i.
func keyOf(i int) string { return fmt.Sprint("key-", i%97) }

// payloads returns the key and the number of every entry of a partition.
func payloads(t *testing.T, server *pipetest.Redis, stream string) []string {
	t.Helper()
	entries, err := server.Client.XRange(t.Context(), stream, "-", "+").Result()
	pipetest.Must(t, err)
	var list []string
	for _, e := range entries {
		list = append(list, fmt.Sprint(e.Values["_key"], " ", e.Values["n"]))
	}
	return list
}

func expectCopied(t *testing.T, server *pipetest.Redis, partitions int) {
	t.Helper()
	for i := range partitions {
		from, to := fmt.Sprint("in:", i), fmt.Sprint("out:", i)
		if diff := cmp.Diff(payloads(t, server, from), payloads(t, server, to)); diff != "" {
			t.Errorf("%s to %s (-want +got):\n%s", from, to, diff)
		}
		expectNonePending(t, server, from)
	}
}

func expectNonePending(t *testing.T, server *pipetest.Redis, stream string) {
	t.Helper()
	pending, err := server.Client.XPending(t.Context(), stream, "redis-to-redis").Result()
	pipetest.Must(t, err)
	if pending.Count != 0 {
		t.Errorf("%s: %d entries are pending", stream, pending.Count)
	}
}

func matchLine(t *testing.T, pattern, got string) {
	t.Helper()
	if !regexp.MustCompile(`^` + pattern + `\n$`).MatchString(got) {
		t.Errorf("got %q, want one line like %q", got, pattern)
	}
}

func TestItEndsWhenItHasCaughtUp(t *testing.T) {
	for _, ack := range []string{"on-checkpoint", "on-emit", "no-ack"} {
		t.Run(ack, func(t *testing.T) {
			server := pipetest.StartRedis(t, "")
			server.Load(t, "in", 4, 3000, keyOf)
			got := run(t, "--redis", server.URL(), "--start", "earliest", "--ack", ack, "--exit_when_caught_up")
			pipetest.Expect(t, got, pipetest.Outcome{}, cmpopts.IgnoreFields(pipetest.Outcome{}, "Stdout"))
			matchLine(t, `copied 3,000 entries in [0-9.]+ s, [0-9,]+/s`, got.Stdout)
			expectCopied(t, server, 4)
		})
	}
}

// TestAnIdempotentCopyOfTheSameEntriesAddsNothing: the group is set back, as an
// operator does to have entries again.
func TestAnIdempotentCopyOfTheSameEntriesAddsNothing(t *testing.T) {
	server := pipetest.StartRedis(t, "")
	server.Load(t, "in", 4, 3000, keyOf)
	for range 2 {
		got := run(t, "--redis", server.URL(), "--start", "earliest", "--exit_when_caught_up", "--idempotent", "copy")
		pipetest.Expect(t, got, pipetest.Outcome{}, cmpopts.IgnoreFields(pipetest.Outcome{}, "Stdout"))
		expectCopied(t, server, 4)
		for i := range 4 {
			pipetest.Must(t, server.Client.XGroupSetID(t.Context(), fmt.Sprint("in:", i), "redis-to-redis", "0").Err())
		}
	}
}

func TestItCatchesUpWhereTheServerCannotTellTheLag(t *testing.T) {
	server := pipetest.StartRedis(t, "")
	server.Load(t, "in", 1, 100, keyOf)
	pipetest.Must(t, server.Client.XGroupCreate(t.Context(), "in:0", "redis-to-redis", "0").Err())
	entries := server.Client.XRange(t.Context(), "in:0", "-", "+").Val()
	pipetest.Must(t, server.Client.XDel(t.Context(), "in:0", entries[50].ID, entries[99].ID).Err())
	groups := server.Client.Do(t.Context(), "xinfo", "groups", "in:0").Val()
	if lag := fmt.Sprint(groups); !strings.Contains(lag, "lag:<nil>") {
		t.Fatalf("the server tells the lag: %s", lag)
	}
	got := run(t, "--redis", server.URL(), "--source_partitions", "1", "--sink_partitions", "1", "--exit_when_caught_up")
	pipetest.Expect(t, got, pipetest.Outcome{}, cmpopts.IgnoreFields(pipetest.Outcome{}, "Stdout"))
	expectCopied(t, server, 1)
}

func TestASignalStopsItInOrder(t *testing.T) {
	for _, sig := range []os.Signal{os.Interrupt, syscall.SIGTERM} {
		t.Run(sig.String(), func(t *testing.T) {
			server := pipetest.StartRedis(t, "")
			server.Load(t, "in", 4, 20_000, keyOf)
			p := pipetest.Start(t, binary, nil, "--redis", server.URL(), "--start", "earliest")
			pipetest.Eventually(t, "the copy is under way", func() bool { return server.Client.XLen(t.Context(), "out:0").Val() > 0 })
			p.Signal(sig)
			got := p.Wait()
			pipetest.Expect(t, got, pipetest.Outcome{Stderr: "redis-to-redis: stopping; once more to stop at once\n"},
				cmpopts.IgnoreFields(pipetest.Outcome{}, "Stdout"))
			for i := range 4 {
				expectNonePending(t, server, fmt.Sprint("in:", i))
			}
			got = run(t, "--redis", server.URL(), "--exit_when_caught_up")
			pipetest.Expect(t, got, pipetest.Outcome{}, cmpopts.IgnoreFields(pipetest.Outcome{}, "Stdout"))
			expectCopied(t, server, 4)
		})
	}
}

func TestASignalStopsAnIdleCopy(t *testing.T) {
	server := pipetest.StartRedis(t, "")
	p := pipetest.Start(t, binary, nil, "--redis", server.URL())
	pipetest.Eventually(t, "the groups exist", func() bool { return server.Client.DBSize(t.Context()).Val() == 4 })
	p.Signal(os.Interrupt)
	pipetest.Expect(t, p.Wait(), pipetest.Outcome{Stderr: "redis-to-redis: stopping; once more to stop at once\n"},
		cmpopts.IgnoreFields(pipetest.Outcome{}, "Stdout"))
}

func TestASecondSignalStopsItAtOnce(t *testing.T) {
	server := pipetest.StartRedis(t, "")
	server.Load(t, "in", 4, 20_000, keyOf)
	p := pipetest.Start(t, binary, nil, "--redis", server.URL(), "--start", "earliest")
	pipetest.Eventually(t, "the copy is under way", func() bool { return server.Client.XLen(t.Context(), "out:0").Val() > 0 })
	server.Hang(t)
	p.Signal(os.Interrupt)
	pipetest.Eventually(t, "the first signal is heard", func() bool { return p.Stderr() != "" })
	p.Signal(os.Interrupt)
	pipetest.Expect(t, p.Wait(), pipetest.Outcome{Status: 130, Stderr: "redis-to-redis: stopping; once more to stop at once\n" +
		"redis-to-redis: interrupted at once: what was not acknowledged is pending, and is delivered again\n"})
}
