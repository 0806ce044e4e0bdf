package main

import (
	"os"
	"regexp"
	"strings"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp/cmpopts"

	"example.com/beamredis/pipelines/internal/pipetest"
)

// row of the table: the partition, entries in and out, pending.
var tableRow = regexp.MustCompile(`(?m)^ +([0-9]+|all) +([0-9,]+) +([0-9,]+) +([0-9,]+)$`)

func expectWholeDemo(t *testing.T, got pipetest.Outcome) {
	t.Helper()
	pipetest.Expect(t, got, pipetest.Outcome{}, cmpopts.IgnoreFields(pipetest.Outcome{}, "Stdout"))
	rows := tableRow.FindAllStringSubmatch(got.Stdout, -1)
	if len(rows) != 5 {
		t.Fatalf("the table has %d rows, want 4 partitions and all:\n%s", len(rows), got.Stdout)
	}
	for _, r := range rows {
		if r[2] != r[3] || r[4] != "0" {
			t.Errorf("partition %s: %s in, %s out, %s pending", r[1], r[2], r[3], r[4])
		}
	}
	if all := rows[4]; all[1] != "all" || all[2] != "100,000" {
		t.Errorf("last row %q, want all 100,000", all[0])
	}
	if !strings.Contains(got.Stdout, "copying to out:0-3: 100,000 entries in ") {
		t.Errorf("no rate:\n%s", got.Stdout)
	}
}

// alone gives the program a temporary folder of its own, which has to be
// empty afterwards but for what Beam leaves.
func alone(t *testing.T) (env []string, check func()) {
	t.Helper()
	dir := t.TempDir()
	return []string{"TMPDIR=" + dir}, func() {
		t.Helper()
		left, err := os.ReadDir(dir)
		pipetest.Must(t, err)
		for _, f := range left {
			if f.IsDir() {
				t.Errorf("folder %s is left", f.Name())
			}
		}
	}
}

func TestTheDemoCopiesOnAnInstalledRedis(t *testing.T) {
	pipetest.StartRedis(t, "") // or there is none, and the test is skipped
	env, check := alone(t)
	got := pipetest.Run(t, binary, env)
	expectWholeDemo(t, got)
	if !regexp.MustCompile(`\nRedis: redis-server [0-9.]+ from the PATH, on 127\.0\.0\.1:`).MatchString(got.Stdout) {
		t.Errorf("it does not say which Redis:\n%s", got.Stdout)
	}
	check()
}

func TestTheDemoCopiesOnAnEmbeddedRedis(t *testing.T) {
	env, check := alone(t)
	got := pipetest.Run(t, binary, append(env, "PATH="+t.TempDir()))
	expectWholeDemo(t, got)
	if !strings.Contains(got.Stdout, "\nRedis: embedded miniredis, as there is no redis-server on the PATH, on 127.0.0.1:") {
		t.Errorf("it does not say which Redis:\n%s", got.Stdout)
	}
	check()
}

func TestASignalEndsTheDemoAndItsRedis(t *testing.T) {
	pipetest.StartRedis(t, "")
	env, check := alone(t)
	p := pipetest.Start(t, binary, env)
	pipetest.Eventually(t, "the topic is filled", func() bool { return strings.Contains(p.Stdout(), "filling in:0-3: 100,000 entries") })
	p.Signal(syscall.SIGTERM)
	got := p.Wait()
	pipetest.Expect(t, got, pipetest.Outcome{Stderr: "redis-to-redis: stopping; once more to stop at once\n"},
		cmpopts.IgnoreFields(pipetest.Outcome{}, "Stdout"))
	if rows := tableRow.FindAllStringSubmatch(got.Stdout, -1); len(rows) != 5 || rows[4][4] != "0" {
		t.Errorf("no table, or something is pending:\n%s", got.Stdout)
	}
	check()
}

func TestTheDemoNoticesWhatIsAmiss(t *testing.T) {
	for name, tc := range map[string]struct {
		table   table
		stopped bool
		want    string
	}{
		"whole":                     {table{in: []int64{1, 2}, out: []int64{1, 2}, pending: []int64{0, 0}}, false, ""},
		"other partitions":          {table{in: []int64{1, 2}, out: []int64{3}, pending: []int64{0, 0}}, false, ""},
		"lost":                      {table{in: []int64{1, 2000}, out: []int64{1, 1999}, pending: []int64{0, 0}}, false, "2,000 entries came out of 2,001"},
		"twice":                     {table{in: []int64{1, 2}, out: []int64{1, 3}, pending: []int64{0, 0}}, false, "4 entries came out of 3"},
		"pending":                   {table{in: []int64{1, 2}, out: []int64{1, 2}, pending: []int64{0, 1}}, false, "1 entries are still pending, none should be"},
		"wrong partition":           {table{in: []int64{1, 2}, out: []int64{2, 1}, pending: []int64{0, 0}}, false, "partition 0 has 2 entries where its source has 1"},
		"stopped half way":          {table{in: []int64{5, 5}, out: []int64{1, 2}, pending: []int64{0, 0}}, true, ""},
		"stopped with some pending": {table{in: []int64{5, 5}, out: []int64{1, 2}, pending: []int64{0, 2}}, true, "2 entries are still pending, none should be"},
		"stopped with too many":     {table{in: []int64{1, 1}, out: []int64{2, 1}, pending: []int64{0, 0}}, true, "3 entries came out of 2"},
	} {
		t.Run(name, func(t *testing.T) {
			got := ""
			if err := tc.table.verify(tc.stopped); err != nil {
				got = err.Error()
			}
			if got != tc.want {
				t.Errorf("%q, want %q", got, tc.want)
			}
		})
	}
}
