// Package integration_test runs pipelines as their authors write them, on
// Prism and against a real redis-server, and checks with a plain client what
// became of the entries.
//
// The runs are small enough for every day. With BEAMREDIS_LONG=1 they have the
// sizes that the documentation speaks of.
package integration_test

import (
	"context"
	"flag"
	"fmt"
	"log/slog"
	"os"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/apache/beam/sdks/v2/go/pkg/beam"
	_ "github.com/apache/beam/sdks/v2/go/pkg/beam/runners/prism"
	"github.com/redis/go-redis/v9"

	"example.com/beamredis/redisio"
	"example.com/beamredis/redisio/internal/redistest"
)

func TestMain(m *testing.M) {
	flag.Parse()
	beam.Init()                     // replaces the default logger
	slog.SetDefault(slog.New(&log)) // Prism prints there what workers log
	if spec := os.Getenv(childEnv); spec != "" {
		runChild(spec)
	}
	os.Exit(m.Run())
}

// long says whether the runs have their full size.
var long = os.Getenv("BEAMREDIS_LONG") == "1"

// sized returns full for a long run.
func sized(short, full int) int {
	if long {
		return full
	}
	return short
}

// warnings is the log of the process from warnings on.
type warnings struct {
	mu    sync.Mutex
	lines []string
}

var log warnings

func (w *warnings) Enabled(_ context.Context, level slog.Level) bool { return level >= slog.LevelWarn }
func (w *warnings) WithAttrs([]slog.Attr) slog.Handler               { return w }
func (w *warnings) WithGroup(string) slog.Handler                    { return w }
func (w *warnings) Handle(_ context.Context, r slog.Record) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	line := fmt.Sprint(r.Level, " ", r.Message)
	r.Attrs(func(a slog.Attr) bool {
		line += " " + a.String()
		return true
	})
	w.lines = append(w.lines, line)
	return nil
}

func (w *warnings) since(n int) []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.Clone(w.lines[min(n, len(w.lines)):])
}

// plainName is the connection name of the tests' own clients; those of the
// code under test have another.
const plainName = "plain"

// server is a deployment with a plain client.
type server struct {
	*redistest.Server // nil where there are several
	t                 *testing.T
	cfg               redisio.Conn
	client            redis.UniversalClient
}

// Config is the configuration that reaches the deployment.
func (s *server) Config() redisio.Conn { return s.cfg }

// URL is what redisio.ParseURL makes [server.Config] of.
func (s *server) URL() string { return s.cfg.String() }

// start runs a server for t, and prints the warnings of the process if t fails.
func start(t *testing.T, opts ...redistest.Option) *server {
	t.Helper()
	showWarnings(t)
	one := redistest.Start(t, opts...)
	s := &server{Server: one, t: t, cfg: one.Config()}
	s.client = redis.NewClient(&redis.Options{Addr: one.Addr(), ClientName: plainName, ReadTimeout: time.Minute})
	t.Cleanup(func() { _ = s.client.Close() })
	return s
}

// showWarnings prints the warnings of the process if t fails.
func showWarnings(t *testing.T) {
	t.Helper()
	logged := len(log.since(0))
	t.Cleanup(func() {
		if t.Failed() {
			for _, line := range log.since(logged) {
				t.Log(line)
			}
		}
	})
}

// eventually polls ok until it is true, and fails the test after a while.
func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(time.Minute); !ok(); {
		if time.Now().After(deadline) {
			t.Fatalf("%s: not within a minute", what)
		}
		pause(pollEvery)
	}
}

// pollEvery is the time between two looks.
const pollEvery = 2 * time.Millisecond

// pause lets d pass: between two polls, or because d itself is what a test is
// about, such as the length of an outage.
func pause(d time.Duration) { <-time.After(d) }
