package main

import (
	"os"
	"strings"
	"testing"

	"example.com/beamredis/pipelines/internal/pipetest"
)

// binary is the program.
var binary string

func TestMain(m *testing.M) { os.Exit(pipetest.Main(m, &binary)) }

func sink(t *testing.T) pipetest.DocumentSink {
	t.Helper()
	return pipetest.DocumentSink{
		Name: "json-sink", Binary: binary, Documents: "JSON documents",
		Args: []string{"--loadmodule", pipetest.JSONModule(t)},
		Number: func(t *testing.T, server *pipetest.Redis, key string) string {
			number, _ := server.Client.Do(t.Context(), "JSON.GET", key, ".n").Text()
			return strings.Trim(number, `"`)
		},
	}
}

func TestItEndsWhenItHasCaughtUp(t *testing.T) { sink(t).CatchesUp(t) }

func TestASignalStopsItInOrder(t *testing.T) { sink(t).StopsInOrder(t) }

func TestAKeyOfAnotherTypeIsNamedAndUntouched(t *testing.T) {
	sink(t).FailsInOneLine(t, "Existing key has wrong Redis type")
}

func TestWithAnErrorStreamTheRestIsWritten(t *testing.T) {
	sink(t).SetsAside(t, "Existing key has wrong Redis type")
}

func TestBadInputIsOneLineAndDoesNothing(t *testing.T) {
	sink(t).BadInput(t, map[string]string{"--redis URL --path status": `--path is "status": want one that begins with $ or with a dot`})
}

func TestAPathIsWrittenInADocumentThatExists(t *testing.T) {
	server := pipetest.StartRedis(t, "", sink(t).Args...)
	server.Load(t, "in", 4, 1, func(int) string { return "k" })
	args := []string{"--redis", server.URL(), "--start", "earliest", "--path", "$.last", "--exit_when_caught_up"}
	got := pipetest.Run(t, binary, nil, args...)
	if got.Status != 1 || !strings.Contains(got.Stderr, "path $.last: the document does not exist") {
		t.Errorf("without the document: status %d, stderr %q", got.Status, got.Stderr)
	}
	pipetest.Must(t, server.Client.Do(t.Context(), "JSON.SET", "k", "$", `{"since":2020}`).Err())
	if got := pipetest.Run(t, binary, nil, args...); got.Status != 0 {
		t.Errorf("with the document: %+v", got)
	}
	if got, _ := server.Client.Do(t.Context(), "JSON.GET", "k").Text(); got != `{"since":2020,"last":{"n":"0"}}` {
		t.Errorf("document %s", got)
	}
}

func TestAServerWithoutRedisJSONIsOneLineThatSaysWhatToInstall(t *testing.T) {
	server := pipetest.StartRedis(t, "")
	server.Load(t, "in", 4, 1, func(int) string { return "k" })
	got := pipetest.Run(t, binary, nil, "--redis", server.URL(), "--start", "earliest")
	if got.Status != 1 || strings.Count(got.Stderr, "\n") != 1 ||
		!strings.Contains(got.Stderr, "it needs Redis 8, Redis Stack, or the module RedisJSON") {
		t.Errorf("status %d, stderr %q", got.Status, got.Stderr)
	}
	if groups := server.Client.XInfoGroups(t.Context(), "in:0").Val(); len(groups) != 0 {
		t.Errorf("groups %v were made before that was seen", groups)
	}
}

func TestTheDemoRunsOnARedisWithTheModule(t *testing.T) {
	sink(t).Demonstrates(t, "redis-server ")
}

func TestWithoutTheModuleTheDemoSaysWhatToInstall(t *testing.T) {
	pipetest.StartRedis(t, "") // or there is none, and the test is skipped
	for name, tc := range map[string]struct{ env, want string }{
		"no module":       {"BEAMREDIS_REJSON=" + t.TempDir() + "/rejson.so", "install Redis 8, or the module RedisJSON"},
		"no redis-server": {"PATH=" + t.TempDir(), "install Redis 8, or Redis and the module RedisJSON"},
	} {
		got := pipetest.Run(t, binary, []string{tc.env})
		if got.Status != 1 || got.Stdout != "" || strings.Count(got.Stderr, "\n") != 1 || !strings.Contains(got.Stderr, tc.want) {
			t.Errorf("%s: %+v, want one line with %q", name, got, tc.want)
		}
	}
}

func TestHelpGoesToStdout(t *testing.T) { sink(t).Helps(t, "--path path", "(default $)") }
