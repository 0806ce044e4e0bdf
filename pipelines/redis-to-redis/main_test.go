package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"example.com/beamredis/pipelines/internal/pipetest"
)

// binary is the program.
var binary string

func TestMain(m *testing.M) { os.Exit(pipetest.Main(m, &binary)) }

func run(t *testing.T, args ...string) pipetest.Outcome {
	t.Helper()
	return pipetest.Run(t, binary, nil, args...)
}

func TestBadInputIsOneLineAndDoesNothing(t *testing.T) {
	server := pipetest.StartRedis(t, "")
	at := "redis at " + server.Addr + ": "
	const failed, usage = 1, 2
	for _, tc := range []struct {
		name, args string
		status     int
		want       string
	}{
		{"unreachable", "--redis redis://127.0.0.1:1", failed,
			"redis at 127.0.0.1:1: connection refused; check that the server runs and that host and port are right"},
		{"no scheme", "--redis localhost:6379", usage, "--redis: it does not start with redis:// or rediss://, nor with redis-cluster:// or redis-sentinel://"},
		{"wrong scheme", "--redis http://localhost", usage, "--redis: scheme http is not supported, want redis or rediss, followed by -cluster or -sentinel for these"},
		{"wrong port", "--redis redis://localhost:x", usage, "--redis: the port is not a number from 1 to 65535"},
		{"empty URL", "--redis=", usage, "--redis is empty: want the URL of a Redis; leave the flag out for the demo"},
		{"user without password", "--redis redis://app@localhost", usage,
			`--redis: user "app" has no password: name it by PasswordEnv (password_env) or PasswordFile (password_file)`},
		{"unknown flag", "--sorce in", usage, "there is no flag --sorce, see --help"},
		{"flag without value", "--redis URL --sink", usage, "flag needs an argument: -sink"},
		{"no number", "--redis URL --source_partitions four", usage, `invalid value "four" for flag --source_partitions: parse error, see --help`},
		{"unknown start", "--redis URL --start yesterday", usage,
			`--start: "yesterday" is no start: want latest, earliest, an entry ID such as 1700000000000-0, or a time such as 2026-01-02T15:04:05Z`},
		{"unknown ack", "--redis URL --ack never", usage, `--ack: "never" is no ack strategy: want on-checkpoint, on-emit or no-ack`},
		{"unknown trace level and contents", "--redis URL --trace_level some --trace_contents keys", usage,
			`--trace_level: "some" is no trace level: want none, failures or all; --trace_contents: "keys" is no trace contents: want none, metadata or all`},
		{"unknown runner", "--redis URL --runner prisma", usage,
			`--runner: "prisma" is no runner: want prism, flink-streaming, spark, dataflow, portable or dot`},
		{"direct runner", "--redis URL --runner direct", usage,
			"--runner: the direct runner cannot resume a read: want prism, flink-streaming, spark, dataflow, portable or dot"},
		{"Beam's Flink runner", "--redis URL --runner flink", usage,
			"--runner: flink sends no streaming options, so that nothing would ever be acknowledged: use --runner=flink-streaming"},
		{"no source partitions", "--redis URL --source_partitions 0", usage, "--source_partitions is 0: want at least 1"},
		{"negative sink partitions", "--redis URL --sink_partitions -4", usage, "--sink_partitions is -4: want at least 1"},
		{"bad name", "--redis URL --idempotent a:b", usage,
			`--idempotent: "a:b" is no name of a sink: want 1 to 64 letters, digits, "_", "." and "-"`},
		{"empty source", "--redis URL --source=", usage, "--source is empty: want the name of a topic"},
		{"empty sink", "--redis URL --sink=", usage, "--sink is empty: want the name of a topic"},
		{"empty group", "--redis URL --group=", usage, "--group is empty: want the name of a consumer group"},
		{"several mistakes", "--redis URL --group= --sink_partitions 0", usage,
			"--group is empty: want the name of a consumer group; --sink_partitions is 0: want at least 1"},
		{"positional argument", "--redis URL in out", usage, `unexpected argument "in": there are flags only, see --help`},
		{"copy onto itself", "--redis URL --sink in", usage, `--source and --sink are both "in": the copy would read what it writes, without end`},
		{"start of the demo", "--start latest", usage, "--start: the demo, which runs without --redis, begins at earliest"},
		{"source is no stream", "--redis URL --source text", failed, at + `key "text:1" holds a string where a stream should be`},
		{"sink is no stream", "--redis URL --sink text", failed, at + `key "text:1" holds a string where a stream should be`},
		{"password variable unset", "--redis URL?password_env=NO_SUCH_VARIABLE", failed,
			at + "conn: environment variable NO_SUCH_VARIABLE (password_env) is not set or empty on this worker"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			pipetest.Must(t, server.Client.FlushAll(t.Context()).Err())
			pipetest.Must(t, server.Client.Set(t.Context(), "text:1", "x", 0).Err())
			got := run(t, strings.Fields(strings.ReplaceAll(tc.args, "URL", server.URL()))...)
			pipetest.Expect(t, got, pipetest.Outcome{Status: tc.status, Stderr: "redis-to-redis: " + tc.want + "\n"})
			if diff := cmp.Diff([]string{"text:1"}, server.Client.Keys(t.Context(), "*").Val()); diff != "" {
				t.Errorf("keys afterwards (-want +got):\n%s", diff)
			}
		})
	}
}

func TestALiteralPasswordIsRefusedAndNotRepeated(t *testing.T) {
	got := run(t, "--redis", "redis://app:s3cret@localhost")
	if got.Status != 2 || strings.Contains(got.Stderr, "s3cret") || strings.Count(got.Stderr, "\n") != 1 ||
		!strings.HasPrefix(got.Stderr, "redis-to-redis: --redis: it holds a password") {
		t.Errorf("status %d, stderr %q", got.Status, got.Stderr)
	}
}

func TestAWrongPasswordIsOneLine(t *testing.T) {
	server := pipetest.StartRedis(t, "right")
	file := filepath.Join(t.TempDir(), "password")
	pipetest.Must(t, os.WriteFile(file, []byte("wrong\n"), 0o600))
	got := run(t, "--redis", server.URL()+"?password_file="+file)
	pipetest.Expect(t, got, pipetest.Outcome{Status: 1, Stderr: "redis-to-redis: redis at " + server.Addr +
		": wrong user or password; check the user in the URL and what password_env or password_file refers to\n"})
	if n := server.Client.DBSize(t.Context()).Val(); n != 0 {
		t.Errorf("%d keys afterwards, want none", n)
	}
}

func TestHelpGoesToStdout(t *testing.T) {
	got := run(t, "--help")
	for _, want := range []string{"--redis URL", "--ack when", "(default on-checkpoint)", "--exit_when_caught_up", "password_env", "--runner (default prism)"} {
		if !strings.Contains(got.Stdout, want) {
			t.Errorf("--help lacks %q:\n%s", want, got.Stdout)
		}
	}
	for line := range strings.Lines(got.Stdout) {
		if len(line) > 80+len("\n") {
			t.Errorf("line of %d columns: %s", len(line), line)
		}
	}
	pipetest.Expect(t, got, pipetest.Outcome{}, cmpopts.IgnoreFields(pipetest.Outcome{}, "Stdout"))
	if full := run(t, "--help_all"); !strings.Contains(full.Stdout, "--environment_type") {
		t.Errorf("--help_all does not list Beam's flags:\n%s", full.Stdout)
	}
}

// A job that fails, not a check before it: the key turns out to be of another
// type when the pipeline runs.
func TestAFailedJobIsOneLineWithItsCause(t *testing.T) {
	server := pipetest.StartRedis(t, "")
	for stream, want := range map[string]string{
		"out:1": `element with key ".*" cannot be written to "out:1": WRONGTYPE Operation against a key holding the wrong kind of value.*`,
		"in:1":  `partition in:1: create group redis-to-redis of in:1: WRONGTYPE Operation against a key holding the wrong kind of value`,
	} {
		t.Run(stream, func(t *testing.T) {
			pipetest.Must(t, server.Client.FlushAll(t.Context()).Err())
			server.Load(t, "in", 4, 20, keyOf)
			pipetest.Must(t, server.Client.Del(t.Context(), stream).Err())
			pipetest.Must(t, server.Client.Set(t.Context(), stream, "x", 0).Err())
			got := run(t, "--redis", server.URL(), "--start", "earliest", "--check=false")
			pipetest.Expect(t, got, pipetest.Outcome{Status: 1}, cmpopts.IgnoreFields(pipetest.Outcome{}, "Stderr"))
			matchLine(t, "redis-to-redis: "+want, got.Stderr)
		})
	}
}
