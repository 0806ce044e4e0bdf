package main

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"example.com/beamredis/pipelines/internal/pipetest"
)

// TestAnEntryThatTwoPartsShareIsRestoredOnce: bounds by an ID are within both.
func TestAnEntryThatTwoPartsShareIsRestoredOnce(t *testing.T) {
	server := pipetest.StartRedis(t, "")
	dir := t.TempDir()
	for n := 1; n <= 300; n++ {
		pipetest.Must(t, server.Client.XAdd(t.Context(), &redis.XAddArgs{Stream: "in:0", ID: fmt.Sprint(n, "-0"), Values: []any{"n", n}}).Err())
	}
	back := func(prefix, from, to string) string {
		prefix = filepath.Join(dir, prefix)
		pipetest.Expect(t, replay(t, server, "--source", "in", "--source_partitions", "1", "--from", from, "--to", to, "--output", prefix), pipetest.Outcome{}, ignoreStdout)
		return prefix
	}
	restore := []string{"--input", dir + "/*.jsonl", "--sink", "again", "--sink_partitions", "1"}
	back("b", "1", "200")
	back("a", "200", "300")
	expectReplayed(t, replay(t, server, restore...), "300")
	expectSame(t, server, "in", "again", 1, false)

	over := back("c", "150", "250")
	got := replay(t, server, restore...)
	if got.Status != 1 || strings.Count(got.Stderr, "\n") != 1 || !strings.Contains(got.Stderr, "entry 150-0 of in:0 comes after 200-0 in ") || !strings.Contains(got.Stderr, over+"-0") {
		t.Errorf("outcome %+v", got)
	}
}

func TestAPrefixIsNoGlob(t *testing.T) {
	server := pipetest.StartRedis(t, "")
	server.Load(t, "in", 1, 3, keyOf)
	prefix := filepath.Join(t.TempDir(), `g[1]*`)
	args := []string{"--source", "in", "--source_partitions", "1", "--output", prefix}
	expectReplayed(t, replay(t, server, args...), "3")
	got := replay(t, server, args...)
	if got.Status != 1 || !strings.Contains(got.Stderr, "there are files with this prefix already, such as "+prefix) {
		t.Errorf("outcome %+v", got)
	}
	args[len(args)-1] = strings.ReplaceAll(prefix, "[1]", "1")
	expectReplayed(t, replay(t, server, args...), "3")
}

// A pipe in place of the file keeps the replay in its middle: it takes no more
// than a small part of the entries until it is read.
func TestASourceThatIsGoneOrTrimmedFailsTheReplay(t *testing.T) {
	for name, tc := range map[string]struct {
		gone []any
		want string
	}{
		"deleted": {[]any{"del", "in:0"}, "partition in:0: the stream was deleted, replaced or rolled back while it was read: it had entries up to "},
		"trimmed": {[]any{"xtrim", "in:0", "maxlen", 0}, "partition in:0: entries were trimmed or deleted before they were read, or may have been: "},
	} {
		t.Run(name, func(t *testing.T) {
			server := pipetest.StartRedis(t, "")
			server.Load(t, "in", 1, 100_000, keyOf)
			prefix := filepath.Join(t.TempDir(), "in")
			var ms, seq uint64
			_, err := fmt.Sscanf(entries(t, server, "in:0", true)[0][0], "%d-%d", &ms, &seq)
			pipetest.Must(t, err)
			path := fmt.Sprintf("%s-00000-of-00001-%020d-%020d.jsonl.part", prefix, ms, seq)
			pipetest.Must(t, syscall.Mkfifo(path, 0o600))
			pipe, err := os.OpenFile(path, os.O_RDWR, 0)
			pipetest.Must(t, err)
			pipetest.Must(t, pipe.SetReadDeadline(time.Now().Add(time.Minute)))
			p := pipetest.Start(t, program, nil, "--redis", server.URL(), "--source", "in", "--source_partitions", "1", "--output", prefix)
			_, err = pipe.Read(make([]byte, 1))
			pipetest.Must(t, err)
			pipetest.Must(t, server.Client.Do(t.Context(), tc.gone...).Err())
			drained := make(chan struct{})
			go func() { defer close(drained); _, _ = io.Copy(io.Discard, pipe) }() // until it is closed
			got := p.Wait()
			pipetest.Must(t, pipe.Close())
			<-drained
			if got.Status != 1 || strings.Count(got.Stderr, "\n") != 1 || !strings.HasPrefix(got.Stderr, "replay: "+tc.want) {
				t.Errorf("outcome %+v", got)
			}
			if files, err := filepath.Glob(prefix + "*.jsonl"); err != nil || len(files) != 0 {
				t.Errorf("files %v, %v", files, err)
			}
		})
	}
}
