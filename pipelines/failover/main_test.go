package main

import (
	"fmt"
	"os"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"example.com/beamredis/pipelines/internal/pipetest"
)

// binary is the program.
var binary string

func TestMain(m *testing.M) { os.Exit(pipetest.Main(m, &binary)) }

// tableRow is a partition, or all: entries in, delivered again, duplicated,
// lost, pending.
var tableRow = regexp.MustCompile(`(?m)^ +([0-9]+|all)((?: +[0-9,]+){5})$`)

type counts struct{ In, Again, Duplicated, Lost, Pending int }

// table returns the rows by their names.
func table(t *testing.T, stdout string) map[string]counts {
	t.Helper()
	rows := map[string]counts{}
	for _, r := range tableRow.FindAllStringSubmatch(stdout, -1) {
		var n [5]int
		for i, cell := range strings.Fields(r[2]) {
			n[i], _ = strconv.Atoi(strings.ReplaceAll(cell, ",", ""))
		}
		rows[r[1]] = counts{n[0], n[1], n[2], n[3], n[4]}
	}
	if _, ok := rows["all"]; !ok {
		t.Fatalf("no table:\n%s", stdout)
	}
	return rows
}

// failures returns how many failures and submissions the program told of.
func failures(t *testing.T, stdout string) (failures, submissions int) {
	t.Helper()
	m := regexp.MustCompile(`; simulated failures: ([0-9]+), submissions: ([0-9]+)\n`).FindStringSubmatch(stdout)
	if m == nil {
		t.Fatalf("it does not tell of failures:\n%s", stdout)
	}
	failures, _ = strconv.Atoi(m[1])
	submissions, _ = strconv.Atoi(m[2])
	return failures, submissions
}

func succeeded(t *testing.T, got pipetest.Outcome) {
	t.Helper()
	if diff := cmp.Diff(pipetest.Outcome{}, got, cmpopts.IgnoreFields(pipetest.Outcome{}, "Stdout")); diff != "" {
		t.Fatalf("outcome (-want +got):\n%s\nstdout: %s", diff, got.Stdout)
	}
}

func TestNothingIsLostWhenBundlesFail(t *testing.T) {
	for name, path := range map[string]string{"redis-server": "", "embedded": t.TempDir()} {
		t.Run(name, func(t *testing.T) {
			var env []string
			if path == "" {
				pipetest.StartRedis(t, "") // or there is none, and the test is skipped
			} else {
				env = []string{"PATH=" + path}
			}
			got := pipetest.Run(t, binary, env, "--count", "20000", "--fail_rate", "0.0003", "--seed", "7", "--sink_partitions", "3")
			succeeded(t, got)
			all := table(t, got.Stdout)["all"]
			if all.In != 20_000 || all.Lost != 0 || all.Pending != 0 || all.Again == 0 || all.Duplicated > all.Again {
				t.Errorf("%+v", all)
			}
			failed, submitted := failures(t, got.Stdout)
			if failed == 0 || submitted != failed+1 {
				t.Errorf("%d failures, %d submissions", failed, submitted)
			}
		})
	}
}

func TestFailuresEndWithTheirBound(t *testing.T) {
	pipetest.StartRedis(t, "")
	for _, tc := range []struct {
		rate, most string
		want       int
	}{{"1", "3", 3}, {"1", "0", 0}, {"0", "3", 0}} {
		t.Run("rate "+tc.rate+" at most "+tc.most, func(t *testing.T) {
			got := pipetest.Run(t, binary, nil, "--count", "300", "--fail_rate", tc.rate, "--max_failures", tc.most)
			succeeded(t, got)
			if failed, submitted := failures(t, got.Stdout); failed != tc.want || submitted != tc.want+1 {
				t.Errorf("%d failures, %d submissions, want %d and one more", failed, submitted, tc.want)
			}
			all := table(t, got.Stdout)["all"]
			if all.In != 300 || all.Lost != 0 || all.Pending != 0 || (all.Again == 0) != (tc.want == 0) {
				t.Errorf("%+v", all)
			}
		})
	}
}

func TestItLeavesTheTopicsAndRefusesToMixWithThem(t *testing.T) {
	server := pipetest.StartRedis(t, "secret")
	args := []string{"--redis", server.URL() + "?password_env=FAILOVER_TEST_PASSWORD", "--count", "2000", "--fail_rate", "0.001"}
	env := []string{"FAILOVER_TEST_PASSWORD=secret"}
	got := pipetest.Run(t, binary, env, args...)
	succeeded(t, got)
	for name, row := range table(t, got.Stdout) {
		if name == "all" {
			continue
		}
		if n := server.Client.XLen(t.Context(), "failover-in:"+name).Val(); n != int64(row.In) {
			t.Errorf("partition %s: the table says %d entries in, and there are %d", name, row.In, n)
		}
	}
	keys := server.Client.Keys(t.Context(), "*").Val()
	for _, key := range keys {
		if !strings.HasPrefix(key, "failover-in:") && !strings.HasPrefix(key, "failover-out:") {
			t.Errorf("key %s is left", key)
		}
	}
	again := pipetest.Run(t, binary, env, args...)
	want := pipetest.Outcome{Status: 1, Stderr: `failover: key "failover-in:0" exists: the demo counts what it filled itself; ` +
		"give --source and --sink other names, or delete the key\n"}
	if diff := cmp.Diff(want, again); diff != "" {
		t.Errorf("second run (-want +got):\n%s", diff)
	}
}

func TestASignalStopsItAndSaysThatTheCopyIsNotWhole(t *testing.T) {
	server := pipetest.StartRedis(t, "")
	p := pipetest.Start(t, binary, nil, "--redis", server.URL(), "--fail_rate", "1", "--max_failures", "1000000", "--count", "500")
	pipetest.Eventually(t, "something has failed", func() bool { return strings.Contains(p.Stdout(), simulated) })
	p.Signal(os.Interrupt)
	got := p.Wait()
	if got.Status != 1 || !strings.Contains(got.Stderr, "failover: stopped before the end: what was not copied stays in the source") {
		t.Errorf("status %d, stderr %q", got.Status, got.Stderr)
	}
	if !strings.Contains(got.Stdout, "not copied") {
		t.Errorf("the table calls what is left lost:\n%s", got.Stdout)
	}
}

func TestBadInputIsOneLine(t *testing.T) {
	const failed, usage = 1, 2
	for _, tc := range []struct {
		args   string
		status int
		want   string
	}{
		{"--redis redis://127.0.0.1:1", failed, "redis at 127.0.0.1:1: connection refused; check that the server runs and that host and port are right"},
		{"--redis localhost", usage, "--redis: it does not start with redis:// or rediss://, nor with redis-cluster:// or redis-sentinel://"},
		{"--fail_rate 1.5", usage, "--fail_rate is 1.5: want a probability from 0 to 1"},
		{"--fail_rate NaN", usage, "--fail_rate is NaN: want a probability from 0 to 1"},
		{"--fail_rate often", usage, `invalid value "often" for flag --fail_rate: parse error, see --help`},
		{"--max_failures -1 --count 0", usage, "--count is 0: want at least 1; --max_failures is -1: want at least 0"},
		{"--source= --group= --sink= --source_partitions 0", usage, "--source is empty: want the name of a topic; --source_partitions is 0: want at least 1; " +
			"--group is empty: want the name of a consumer group; --sink is empty: want the name of a topic"},
		{"--sink failover-in", usage, `--source and --sink are both "failover-in": the copy would read what it writes, without end`},
		{"--runner flink", usage, `--runner: "flink" is none that this demo runs on: want prism, in this process, or flink-streaming`},
		{"--runner direct", usage, `--runner: "direct" is none that this demo runs on: want prism, in this process, or flink-streaming`},
		{"--async", usage, "--async: the demo has to see the end of the job"},
		{"now", usage, `unexpected argument "now": there are flags only, see --help`},
	} {
		t.Run(tc.args, func(t *testing.T) {
			got := pipetest.Run(t, binary, nil, strings.Fields(tc.args)...)
			if diff := cmp.Diff(pipetest.Outcome{Status: tc.status, Stderr: "failover: " + tc.want + "\n"}, got); diff != "" {
				t.Errorf("outcome (-want +got):\n%s", diff)
			}
		})
	}
}

func TestHelpTellsTheDefaultsOfThisDemo(t *testing.T) {
	for _, args := range []string{"--help", "--help_all"} {
		got := pipetest.Run(t, binary, nil, args)
		succeeded(t, got)
		want := []string{"--fail_rate probability", "(default 0.0001)", "--max_failures number", "--count number"}
		if args == "--help_all" {
			for name, value := range map[string]string{"checkpointing_interval time": "500ms", "execution_retry_delay time": "3s", "number_of_execution_retries number": "10000"} {
				_, text, _ := strings.Cut(got.Stdout, "--"+name)
				text, _, _ = strings.Cut(text, "\n  --")
				if !strings.Contains(text, fmt.Sprintf("(default %s)", value)) {
					t.Errorf("--%s is not %s:\n%s", name, value, text)
				}
			}
		}
		for _, w := range want {
			if !strings.Contains(got.Stdout, w) {
				t.Errorf("%s lacks %q:\n%s", args, w, got.Stdout)
			}
		}
	}
}
