package main

import (
	"os"
	"testing"

	"example.com/beamredis/pipelines/internal/pipetest"
)

// binary is the program.
var binary string

func TestMain(m *testing.M) { os.Exit(pipetest.Main(m, &binary)) }

func sink() pipetest.DocumentSink {
	return pipetest.DocumentSink{
		Name: "hash-sink", Binary: binary, Documents: "hashes",
		Number: func(t *testing.T, server *pipetest.Redis, key string) string {
			return server.Client.HGet(t.Context(), key, "n").Val()
		},
	}
}

func TestItEndsWhenItHasCaughtUp(t *testing.T) { sink().CatchesUp(t) }

func TestASignalStopsItInOrder(t *testing.T) { sink().StopsInOrder(t) }

func TestAKeyOfAnotherTypeIsNamedAndUntouched(t *testing.T) {
	sink().FailsInOneLine(t, "WRONGTYPE Operation against a key holding the wrong kind of value")
}

func TestWithAnErrorStreamTheRestIsWritten(t *testing.T) { sink().SetsAside(t, "WRONGTYPE") }

func TestBadInputIsOneLineAndDoesNothing(t *testing.T) {
	sink().BadInput(t, map[string]string{"--redis URL --path $.a": "there is no flag --path, see --help"})
}

func TestTheDemoRunsOnAnInstalledRedis(t *testing.T) {
	pipetest.StartRedis(t, "") // or there is none, and the test is skipped
	sink().Demonstrates(t, "redis-server ")
}

func TestTheDemoRunsOnAnEmbeddedRedis(t *testing.T) {
	sink().Demonstrates(t, "embedded miniredis", "PATH="+t.TempDir())
}

func TestHelpGoesToStdout(t *testing.T) { sink().Helps(t) }
