package pipetest

import (
	"fmt"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

// DocumentSink is a program that writes a document for each message, with what
// its tests need.
type DocumentSink struct {
	Name   string // of the program
	Binary string // its path
	// Documents is what it calls them.
	Documents string
	// Args are given to the redis-server.
	Args []string
	// Number returns the field n of a document.
	Number func(t *testing.T, server *Redis, key string) string
}

func (d DocumentSink) run(t *testing.T, args ...string) Outcome {
	t.Helper()
	return Run(t, d.Binary, nil, args...)
}

// keys is how many documents the tests write.
const keys = 97

func keyOf(i int) string { return fmt.Sprint("key-", i%keys) }

// expectDocuments wants the last of n messages under every key.
func (d DocumentSink) expectDocuments(t *testing.T, server *Redis, prefix string, n int, ttl time.Duration) {
	t.Helper()
	for i := n - keys; i < n; i++ {
		key := prefix + keyOf(i)
		if got := d.Number(t, server, key); got != fmt.Sprint(i) {
			t.Errorf("%s holds number %q, want %d", key, got, i)
		}
		if left := server.Client.TTL(t.Context(), key).Val(); ttl == 0 && left >= 0 || ttl > 0 && (left <= 0 || left > ttl) {
			t.Errorf("%s has %v to live, want %v", key, left, ttl)
		}
	}
}

var ignoreStdout = cmpopts.IgnoreFields(Outcome{}, "Stdout")

// CatchesUp is the test that the program ends when it has caught up, with the
// last message of every key as its document.
func (d DocumentSink) CatchesUp(t *testing.T) {
	server := StartRedis(t, "", d.Args...)
	const n = 3000
	server.Load(t, "in", 4, n, keyOf)
	got := d.run(t, "--redis", server.URL(), "--start", "earliest", "--key_prefix", "doc:", "--ttl", "5m", "--exit_when_caught_up")
	Expect(t, got, Outcome{}, ignoreStdout)
	if !strings.HasPrefix(got.Stdout, d.Documents+" from 3,000 entries in ") || strings.Count(got.Stdout, "\n") != 1 {
		t.Errorf("stdout %q", got.Stdout)
	}
	d.expectDocuments(t, server, "doc:", n, 5*time.Minute)
	for i := range 4 {
		if pending := server.Client.XPending(t.Context(), fmt.Sprint("in:", i), d.Name).Val(); pending.Count != 0 {
			t.Errorf("in:%d has %d entries pending", i, pending.Count)
		}
	}
}

// StopsInOrder is the test that a signal stops the program, and that the next
// run goes on where it was.
func (d DocumentSink) StopsInOrder(t *testing.T) {
	server := StartRedis(t, "", d.Args...)
	const n = 20_000
	server.Load(t, "in", 4, n, keyOf)
	p := Start(t, d.Binary, nil, "--redis", server.URL(), "--start", "earliest")
	Eventually(t, "documents are written", func() bool { return server.Client.Exists(t.Context(), keyOf(0)).Val() == 1 })
	p.Signal(syscall.SIGTERM)
	Expect(t, p.Wait(), Outcome{Stderr: d.Name + ": stopping; once more to stop at once\n"}, ignoreStdout)
	Expect(t, d.run(t, "--redis", server.URL(), "--exit_when_caught_up"), Outcome{}, ignoreStdout)
	d.expectDocuments(t, server, "", n, 0)
}

// FailsInOneLine is the test that what cannot be written ends the program with
// its key and reason; wrongType is what the server says of a key of another type.
func (d DocumentSink) FailsInOneLine(t *testing.T, wrongType string) {
	server := StartRedis(t, "", d.Args...)
	server.Load(t, "in", 4, 1, keyOf)
	Must(t, server.Client.Set(t.Context(), "key-0", "somebody's", 0).Err())
	got := d.run(t, "--redis", server.URL(), "--start", "earliest", "--ttl", "5m")
	want := d.Name + `: element with key "key-0" cannot be written to "key-0": ` + wrongType +
		" (to keep such elements aside, name an error stream or consume Failed)\n"
	Expect(t, got, Outcome{Status: 1, Stderr: want})
	if value, ttl := server.Client.Get(t.Context(), "key-0").Val(), server.Client.TTL(t.Context(), "key-0").Val(); value != "somebody's" || ttl != -1 {
		t.Errorf("the key holds %q, with %v to live", value, ttl)
	}
}

// SetsAside is the test that what cannot be written goes to the error stream,
// and the rest is written.
func (d DocumentSink) SetsAside(t *testing.T, wrongType string) {
	server := StartRedis(t, "", d.Args...)
	server.Load(t, "in", 4, 10, keyOf)
	Must(t, server.Client.Set(t.Context(), "key-0", "somebody's", 0).Err())
	got := d.run(t, "--redis", server.URL(), "--start", "earliest", "--error_stream", "errors", "--exit_when_caught_up")
	Expect(t, got, Outcome{}, ignoreStdout)
	letters := server.Client.XRange(t.Context(), "errors", "-", "+").Val()
	if len(letters) != 1 || letters[0].Values["key"] != "key-0" || !strings.Contains(fmt.Sprint(letters[0].Values["reason"]), wrongType) {
		t.Errorf("error stream %v, want the message of key-0 and why", letters)
	}
	if n := d.Number(t, server, "key-9"); n != "9" {
		t.Errorf("key-9 has number %q", n)
	}
}

// BadInput is the test that each mistake in the arguments is one line, and
// does nothing.
func (d DocumentSink) BadInput(t *testing.T, more map[string]string) {
	server := StartRedis(t, "", d.Args...)
	mistakes := map[string]string{
		"--redis localhost:6379":               "--redis: it does not start with redis:// or rediss://, nor with redis-cluster:// or redis-sentinel://",
		"--redis=":                             "--redis is empty: want the URL of a Redis; leave the flag out for the demo",
		"--redis URL --ttl -1s":                "--ttl is -1s: want 0 or more",
		"--redis URL --ttl 5":                  `invalid value "5" for flag --ttl: parse error, see --help`,
		"--redis URL --source_partitions 0":    "--source_partitions is 0: want at least 1",
		"--redis URL --group= --ttl -1s":       "--group is empty: want the name of a consumer group; --ttl is -1s: want 0 or more",
		"--redis URL --error_stream in:0":      `--error_stream is "in:0", a partition of --source: the program would read what it could not write, without end`,
		"--redis URL --ack never":              `--ack: "never" is no ack strategy: want on-checkpoint, on-emit or no-ack`,
		"--redis URL --sink out":               "there is no flag --sink, see --help",
		"--start latest":                       "--start: the demo, which runs without --redis, begins at earliest",
		"--redis URL --key_prefix order: here": `unexpected argument "here": there are flags only, see --help`,
	}
	for args, want := range more {
		mistakes[args] = want
	}
	for args, want := range mistakes {
		t.Run(args, func(t *testing.T) {
			got := d.run(t, strings.Fields(strings.ReplaceAll(args, "URL", server.URL()))...)
			Expect(t, got, Outcome{Status: 2, Stderr: d.Name + ": " + want + "\n"})
		})
	}
	if n := server.Client.DBSize(t.Context()).Val(); n != 0 {
		t.Errorf("%d keys afterwards, want none", n)
	}
}

// Demonstrates is the test that the demo runs to its end on a Redis of its own
// and leaves nothing behind; is begins what it says of that Redis.
func (d DocumentSink) Demonstrates(t *testing.T, is string, env ...string) {
	dir := t.TempDir()
	got := Run(t, d.Binary, append(env, "TMPDIR="+dir))
	Expect(t, got, Outcome{}, ignoreStdout)
	for _, want := range []string{
		"\nRedis: " + is, "\nwriting " + d.Documents + ": 100,000 entries in ",
		"\n5,000 of 5,000 customers have their last order as their document, such as \"customer-",
	} {
		if !strings.Contains(got.Stdout, want) {
			t.Errorf("stdout lacks %q:\n%s", want, got.Stdout)
		}
	}
	left, err := os.ReadDir(dir)
	Must(t, err)
	var folders []string
	for _, f := range left {
		if f.IsDir() {
			folders = append(folders, f.Name())
		}
	}
	if diff := cmp.Diff([]string(nil), folders); diff != "" {
		t.Errorf("folders left (-want +got):\n%s", diff)
	}
}

// Helps is the test that --help shows the flags and fits a terminal.
func (d DocumentSink) Helps(t *testing.T, flags ...string) {
	got := d.run(t, "--help")
	Expect(t, got, Outcome{}, ignoreStdout)
	for _, want := range append(flags, "--redis URL", "--key_prefix text", "--ttl time", "--error_stream key", "--exit_when_caught_up", "password_env") {
		if !strings.Contains(got.Stdout, want) {
			t.Errorf("--help lacks %q:\n%s", want, got.Stdout)
		}
	}
	for line := range strings.Lines(got.Stdout) {
		if len(line) > 80+len("\n") {
			t.Errorf("line of %d columns: %s", len(line), line)
		}
	}
}
