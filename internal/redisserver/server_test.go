package redisserver_test

import (
	"cmp"
	"context"
	"errors"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"example.com/beamredis/internal/redisserver"
)

// start skips or fails t like package redistest, which cannot be imported
// here: it stands above.
func start(t *testing.T, opts redisserver.Options) *redisserver.Server {
	t.Helper()
	opts.Dir = cmp.Or(opts.Dir, t.TempDir())
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	s, err := redisserver.Start(ctx, opts)
	if errors.Is(err, redisserver.ErrNotInstalled) && os.Getenv("CI") != "true" {
		t.Skipf("SKIPPED, this proves nothing: %v", err)
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Stop(); err != nil {
			t.Error(err)
		}
	})
	return s
}

func TestStartWithoutBinarySaysSo(t *testing.T) {
	t.Setenv("PATH", t.TempDir())
	_, err := redisserver.Start(t.Context(), redisserver.Options{Dir: t.TempDir()})
	if !errors.Is(err, redisserver.ErrNotInstalled) {
		t.Errorf("error %v, want ErrNotInstalled", err)
	}
}

func TestStartErrorShowsWhatTheServerSaid(t *testing.T) {
	start(t, redisserver.Options{}) // or the error below would be another
	_, err := redisserver.Start(t.Context(), redisserver.Options{Dir: t.TempDir(), Args: []string{"--no-such-option", "1"}})
	if err == nil || !strings.Contains(err.Error(), "no-such-option") {
		t.Errorf("error %v, want one with the server's own words", err)
	}
}

func TestRestartWaitsForItsPort(t *testing.T) {
	dir := t.TempDir()
	s := start(t, redisserver.Options{Dir: dir})
	if err := s.Kill(); err != nil {
		t.Fatal(err)
	}
	intruder, err := net.Listen("tcp", s.Addr())
	if err != nil {
		t.Fatal(err)
	}
	restarted := make(chan error, 1)
	go func() { restarted <- s.Restart(t.Context()) }()
	awaitLog(t, dir, "Address already in use")
	if err := intruder.Close(); err != nil {
		t.Fatal(err)
	}
	if err := <-restarted; err != nil {
		t.Errorf("Restart on the port that became free: %v", err)
	}
}

func awaitLog(t *testing.T, dir, text string) {
	t.Helper()
	for deadline := time.Now().Add(time.Minute); time.Now().Before(deadline); time.Sleep(time.Millisecond) {
		if log, err := os.ReadFile(filepath.Join(dir, "redis.log")); err == nil && strings.Contains(string(log), text) {
			return
		}
	}
	t.Fatalf("the server did not say %q in 10 s", text)
}

func TestEndingTwiceIsNoError(t *testing.T) {
	for name, end := range map[string]func(*redisserver.Server) error{
		"kill, stop":        func(s *redisserver.Server) error { return errors.Join(s.Kill(), s.Stop()) },
		"stop, stop":        func(s *redisserver.Server) error { return errors.Join(s.Stop(), s.Stop()) },
		"stop, kill":        func(s *redisserver.Server) error { return errors.Join(s.Stop(), s.Kill()) },
		"pause, kill, stop": func(s *redisserver.Server) error { return errors.Join(s.Pause(), s.Kill(), s.Stop()) },
	} {
		if err := end(start(t, redisserver.Options{})); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestRestartReplacesARunningServer(t *testing.T) {
	s := start(t, redisserver.Options{})
	before := s.Pid()
	if err := s.Restart(t.Context()); err != nil {
		t.Fatal(err)
	}
	if s.Pid() == before {
		t.Error("Restart left the old process in place")
	}
	c, err := net.Dial("tcp", s.Addr())
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Close(); err != nil {
		t.Error(err)
	}
}
