package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/redis/go-redis/v9"

	"example.com/beamredis/pipelines/internal/pipetest"
)

// program is the path of the program under test.
var program string

func TestMain(m *testing.M) { os.Exit(pipetest.Main(m, &program)) }

func replay(t *testing.T, server *pipetest.Redis, args ...string) pipetest.Outcome {
	t.Helper()
	return pipetest.Run(t, program, nil, append([]string{"--redis", server.URL()}, args...)...)
}

var ignoreStdout = cmpopts.IgnoreFields(pipetest.Outcome{}, "Stdout")

// expectReplayed wants a run that ends well and tells how many entries.
func expectReplayed(t *testing.T, got pipetest.Outcome, n string) {
	t.Helper()
	pipetest.Expect(t, got, pipetest.Outcome{}, ignoreStdout)
	if !strings.HasPrefix(got.Stdout, "replayed "+n+" entries in ") {
		t.Errorf("stdout %q, want %s entries", got.Stdout, n)
	}
}

func keyOf(i int) string { return fmt.Sprint("key-", i%97) }

// entries are those of a stream as the server shows them: ID, then names and
// values in order.
func entries(t *testing.T, server *pipetest.Redis, stream string, withIDs bool) [][]string {
	t.Helper()
	reply, err := server.Client.Do(t.Context(), "xrange", stream, "-", "+").Slice()
	pipetest.Must(t, err)
	all := [][]string{}
	for _, row := range reply {
		pair := row.([]any)
		var e []string
		if withIDs {
			e = append(e, pair[0].(string))
		}
		for _, f := range pair[1].([]any) {
			e = append(e, f.(string))
		}
		all = append(all, e)
	}
	return all
}

func expectSame(t *testing.T, server *pipetest.Redis, from, to string, partitions int, withIDs bool) {
	t.Helper()
	for i := range partitions {
		a, b := fmt.Sprint(from, ":", i), fmt.Sprint(to, ":", i)
		if diff := cmp.Diff(entries(t, server, a, withIDs), entries(t, server, b, withIDs)); diff != "" {
			t.Errorf("%s and %s differ (-%s +%s):\n%s", a, b, a, b, diff)
		}
	}
}

// odd adds entries that text files do not like.
func odd(t *testing.T, server *pipetest.Redis, stream string) {
	t.Helper()
	for _, values := range [][]string{
		{"_key", "", "empty", "", "", "no name"},
		{"_key", "binary\xff", "\x00\x01\r\n", "\xc3(", "quote\"\\", "line\nend", "dup", "1", "dup", "2"},
		{"_key", "schlüssel-鍵-🔑\u2028", "<&>", "tab\tbell\a"},
		{"no", "key"},
	} {
		pipetest.Must(t, server.Client.XAdd(t.Context(), &redis.XAddArgs{Stream: stream, Values: values}).Err())
	}
}

func TestTopicIsCopiedPartitionByPartition(t *testing.T) {
	server := pipetest.StartRedis(t, "")
	server.Load(t, "in", 3, 5000, keyOf)
	odd(t, server, "in:1")
	for _, keep := range []bool{false, true} {
		t.Run(fmt.Sprint("keep IDs ", keep), func(t *testing.T) {
			sink := fmt.Sprint("out-", keep)
			got := replay(t, server, "--source", "in", "--source_partitions", "3", "--sink", sink, "--sink_partitions", "3", fmt.Sprint("--keep_ids=", keep))
			expectReplayed(t, got, "5,004")
			expectSame(t, server, "in", sink, 3, keep)
		})
	}
	t.Run("again with IDs", func(t *testing.T) {
		got := replay(t, server, "--source", "in", "--source_partitions", "3", "--sink", "out-true", "--sink_partitions", "3", "--keep_ids")
		expectReplayed(t, got, "5,004")
		expectSame(t, server, "in", "out-true", 3, true)
	})
	if groups := server.Client.XInfoGroups(t.Context(), "in:0").Val(); len(groups) != 0 {
		t.Errorf("groups %+v", groups)
	}
}

func TestTopicWithOtherPartitionsGoesByKey(t *testing.T) {
	server := pipetest.StartRedis(t, "")
	server.Load(t, "in", 4, 3000, keyOf)
	server.Load(t, "want", 3, 3000, keyOf)
	expectReplayed(t, replay(t, server, "--source", "in", "--sink", "out", "--sink_partitions", "3"), "3,000")
	for i := range 3 {
		byKey := func(stream string) map[string][]string {
			m := map[string][]string{}
			for _, e := range entries(t, server, fmt.Sprint(stream, ":", i), false) {
				m[e[1]] = append(m[e[1]], e[3])
			}
			return m
		}
		if diff := cmp.Diff(byKey("want"), byKey("out")); diff != "" {
			t.Errorf("partition %d (-want +got):\n%s", i, diff)
		}
	}
}

// TestFilesRestoreTheTopic: same keys, fields and order; with --keep_ids the
// same IDs.
func TestFilesRestoreTheTopic(t *testing.T) {
	server := pipetest.StartRedis(t, "")
	server.Load(t, "in", 4, 5000, keyOf)
	odd(t, server, "in:2")
	prefix := filepath.Join(t.TempDir(), "backup", "in")
	expectReplayed(t, replay(t, server, "--source", "in", "--output", prefix), "5,004")
	files, err := filepath.Glob(prefix + "*")
	pipetest.Must(t, err)
	if len(files) != 4 || !strings.HasPrefix(files[2], prefix+"-00002-of-00004-") || !strings.HasSuffix(files[2], ".jsonl") {
		t.Errorf("files %v", files)
	}
	for _, keep := range []bool{false, true} {
		t.Run(fmt.Sprint("keep IDs ", keep), func(t *testing.T) {
			sink := fmt.Sprint("again-", keep)
			got := replay(t, server, "--input", prefix+"-*.jsonl", "--sink", sink, fmt.Sprint("--keep_ids=", keep))
			expectReplayed(t, got, "5,004")
			expectSame(t, server, "in", sink, 4, keep)
		})
	}
	t.Run("into other partitions", func(t *testing.T) {
		expectReplayed(t, replay(t, server, "--input", prefix+"-*.jsonl", "--sink", "two", "--sink_partitions", "2"), "5,004")
		got := replay(t, server, "--input", prefix+"-*.jsonl", "--sink", "two-ids", "--sink_partitions", "2", "--keep_ids")
		pipetest.Expect(t, got, pipetest.Outcome{Status: 1}, cmpopts.IgnoreFields(pipetest.Outcome{}, "Stderr"))
		if !strings.Contains(got.Stderr, ".jsonl line 1: --keep_ids: 4 partitions cannot become 2") || strings.Count(got.Stderr, "\n") != 1 {
			t.Errorf("stderr %q", got.Stderr)
		}
	})
}

func TestABackupInTwoPartsIsRestoredInOrder(t *testing.T) {
	server := pipetest.StartRedis(t, "")
	prefix := filepath.Join(t.TempDir(), "in")
	for n := 1; n <= 300; n++ {
		pipetest.Must(t, server.Client.XAdd(t.Context(), &redis.XAddArgs{Stream: "in:0", ID: fmt.Sprint(n, "-0"), Values: []any{"n", n}}).Err())
	}
	source := []string{"--source", "in", "--source_partitions", "1"}
	// The later part's prefix sorts before the other.
	expectReplayed(t, replay(t, server, append(source, "--from", "201", "--output", prefix+"-a")...), "100")
	expectReplayed(t, replay(t, server, append(source, "--to", "1970-01-01T00:00:00.201Z", "--output", prefix+"-b")...), "200")
	expectReplayed(t, replay(t, server, "--input", prefix+"-*.jsonl", "--sink", "again", "--sink_partitions", "1", "--keep_ids"), "300")
	expectSame(t, server, "in", "again", 1, true)
}

func TestBadInputIsOneLineAndDoesNothing(t *testing.T) {
	server := pipetest.StartRedis(t, "")
	dir := t.TempDir()
	pipetest.Must(t, os.WriteFile(filepath.Join(dir, "taken-00000-of-00001-1-0.jsonl"), []byte("{}\n"), 0o600))
	pipetest.Must(t, os.WriteFile(filepath.Join(dir, "empty.jsonl"), nil, 0o600))
	const failed, usage = 1, 2
	for args, want := range map[string]struct {
		status int
		stderr string
	}{
		"--source in --sink out":                                            {usage, "--redis is missing: want the URL of a Redis, such as redis://localhost:6379"},
		"--redis URL":                                                       {usage, "want either --source, a topic, or --input, files; want either --sink, a topic, or --output, files"},
		"--redis URL --source in --sink in":                                 {usage, `--source and --sink are both "in": the topic would have its entries twice`},
		"--redis URL --input DIR/x --output DIR/y":                          {usage, "--input and --output are both files: want a topic at one end"},
		"--redis URL --source in --sink out --from x":                       {usage, `--from: "x" is no bound: want earliest, latest, an entry ID such as 1700000000000-0, or a time such as 2026-01-02T15:04:05Z`},
		"--redis URL --source in --output DIR/y --keep_ids":                 {usage, "--keep_ids is for --sink: files always hold the IDs"},
		"--redis URL --source in --sink out --keep_ids --sink_partitions 3": {usage, "--keep_ids: 4 partitions cannot become 3: IDs of a stream only grow"},
		"--redis URL --input DIR/x --sink out --to 5":                       {usage, "--from and --to are for a topic: --input reads all that the files hold"},
		"--redis URL --input DIR/x --sink out --allow_loss":                 {usage, "--allow_loss is for a topic: files lose nothing"},
		"--redis URL --source in --sink out --runner prisma":                {usage, `--runner: "prisma" is no runner: want prism, direct, flink, flink-streaming, spark, dataflow, portable or dot`},
		"--redis URL --source in --sink out --from 9 --to 5":                {failed, "bounds of the range: from 9-0 is after to 5-0"},
		"--redis URL --source in --sink out --from latest":                  {failed, "bounds of the range: from is latest: there is nothing after it; Read reads what comes"},
		"--redis URL --source in --sink out":                                {failed, "none of the topic's streams exists: in:0; is its name right, and its number of partitions? (WithMissingTopic takes it for an empty one)"},
		"--redis URL --source in --output DIR/taken":                        {failed, "--output: there are files with this prefix already, such as DIR/taken-00000-of-00001-1-0.jsonl: move them away, or give another prefix"},
		"--redis URL --input DIR/none-* --sink out":                         {failed, "--input: no file matches DIR/none-*"},
		"--redis URL --input DIR/taken-* --sink out":                        {failed, `DIR/taken-00000-of-00001-1-0.jsonl line 1: not an entry ID: "" (want milliseconds-sequence, such as 1700000000000-0)`},
	} {
		t.Run(args, func(t *testing.T) {
			fill := strings.NewReplacer("--redis URL", "--redis "+server.URL(), "DIR", dir)
			got := pipetest.Run(t, program, nil, strings.Fields(fill.Replace(args))...)
			pipetest.Expect(t, got, pipetest.Outcome{Status: want.status, Stderr: "replay: " + fill.Replace(want.stderr) + "\n"})
		})
	}
	if n := server.Client.DBSize(t.Context()).Val(); n != 0 {
		t.Errorf("%d keys afterwards, want none", n)
	}
	if left, err := filepath.Glob(filepath.Join(dir, "*.part")); err != nil || len(left) != 0 {
		t.Errorf("files left: %v, %v", left, err)
	}
}

func TestIDsThatTheSinkHasPassedFailByName(t *testing.T) {
	server := pipetest.StartRedis(t, "")
	server.Load(t, "in", 1, 3, keyOf)
	pipetest.Must(t, server.Client.XAdd(t.Context(), &redis.XAddArgs{Stream: "out:0", ID: "9999999999999-0", Values: []string{"n", "1"}}).Err())
	got := replay(t, server, "--source", "in", "--source_partitions", "1", "--sink", "out", "--sink_partitions", "1", "--keep_ids")
	if got.Status != 1 || strings.Count(got.Stderr, "\n") != 1 || !strings.Contains(got.Stderr, `"out:0": ERR The ID specified in XADD is equal or smaller`) {
		t.Errorf("outcome %+v", got)
	}
}

func TestHelpShowsTheFlags(t *testing.T) {
	got := pipetest.Run(t, program, nil, "--help")
	pipetest.Expect(t, got, pipetest.Outcome{}, ignoreStdout)
	for _, want := range []string{"--redis URL", "--source name", "--from ID", "--to ID", "--keep_ids", "--output prefix", "--input glob", "password_env"} {
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

// The server hangs, so that the replay is in its middle when the signal comes.
func TestASignalEndsItAndSaysSo(t *testing.T) {
	server := pipetest.StartRedis(t, "")
	server.Load(t, "in", 2, 20_000, keyOf)
	p := pipetest.Start(t, program, nil, "--redis", server.URL(), "--source", "in", "--source_partitions", "2", "--sink", "out", "--sink_partitions", "2")
	pipetest.Eventually(t, "the replay is under way", func() bool { return server.Client.XLen(t.Context(), "out:0").Val() > 0 })
	server.Hang(t)
	p.Signal(os.Interrupt)
	pipetest.Expect(t, p.Wait(), pipetest.Outcome{Status: 130, Stderr: "replay: stopping; once more to stop at once\n" +
		"replay: interrupted: what was written by then stays\n"})
}
