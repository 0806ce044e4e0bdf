// Package redistest gives tests a real redis-server of their own. It is test
// support, and therefore the one place beside package rdb that may import
// go-redis: a test checks what the code under test did with a plain client.
package redistest

import (
	"context"
	"errors"
	"net/url"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"example.com/beamredis/internal/redisserver"
	"example.com/beamredis/redisio/conn"
)

// startTimeout bounds a start and restart, loading of the data included.
const startTimeout = 20 * time.Second

// Server is a redis-server that lives as long as its test. Methods fail the
// test where they cannot do what they say.
type Server struct {
	t      testing.TB
	server *redisserver.Server
	cfg    conn.Config
	client *redis.Client
}

// Option changes how [Start] runs the server.
type Option func(*redisserver.Options)

// Args gives arguments to redis-server, such as Args("--maxmemory", "8mb").
func Args(args ...string) Option {
	return func(o *redisserver.Options) { o.Args = append(o.Args, args...) }
}

// Durable keeps the data across [Server.Kill] and [Server.Restart].
func Durable() Option { return func(o *redisserver.Options) { o.Durable = true } }

// JSON loads RedisJSON's module, see [redisserver.JSONModule]. Without one the
// test is skipped, or fails where the environment says CI=true.
func JSON(t testing.TB) Option {
	t.Helper()
	module, err := redisserver.JSONModule()
	if err != nil && os.Getenv("CI") != "true" {
		t.Skipf("SKIPPED, this proves nothing: %v (scripts/test gets it)", err)
	}
	if err != nil {
		t.Fatal(err)
	}
	return Args("--loadmodule", module)
}

// Password makes the default user's password p. [Server.URL] and
// [Server.Config] then refer to a file that holds it.
func Password(p string) Option { return func(o *redisserver.Options) { o.Password = p } }

// Start runs a server for t on a free loopback port, with its data in a
// temporary folder, and ends it with t. Without a redis-server on the PATH the
// test is skipped, or fails where the environment says CI=true.
func Start(t testing.TB, opts ...Option) *Server {
	t.Helper()
	o := redisserver.Options{Dir: t.TempDir()}
	for _, opt := range opts {
		opt(&o)
	}
	ctx, cancel := context.WithTimeout(context.Background(), startTimeout)
	defer cancel()
	server, err := redisserver.Start(ctx, o)
	if errors.Is(err, redisserver.ErrNotInstalled) && os.Getenv("CI") != "true" {
		t.Skipf("SKIPPED, this proves nothing: %v (Debian: apt-get install redis-server)", err)
	}
	if err != nil {
		t.Fatal(err)
	}
	s := &Server{t: t, server: server, cfg: conn.Config{Addr: server.Addr()}}
	t.Cleanup(s.stop)
	s.setPassword(o.Dir, o.Password)
	return s
}

func (s *Server) setPassword(dir, password string) {
	opts := &redis.Options{Addr: s.Addr(), Password: password}
	s.client = redis.NewClient(opts)
	if password == "" {
		return
	}
	s.cfg.PasswordFile = filepath.Join(dir, "password")
	if err := os.WriteFile(s.cfg.PasswordFile, []byte(password+"\n"), 0o600); err != nil {
		s.t.Fatal(err)
	}
}

func (s *Server) stop() {
	if s.client != nil {
		_ = s.client.Close() // a test may have closed it
	}
	if err := s.server.Stop(); err != nil {
		s.t.Errorf("redistest: stop: %v", err)
	}
}

// Addr is host:port of the server.
func (s *Server) Addr() string { return s.server.Addr() }

// Config is the configuration that reaches the server.
func (s *Server) Config() conn.Config { return s.cfg }

// URL is what conn.ParseURL makes [Server.Config] of.
func (s *Server) URL() string {
	u := url.URL{Scheme: "redis", Host: s.Addr()}
	if s.cfg.PasswordFile != "" {
		u.RawQuery = url.Values{"password_file": {s.cfg.PasswordFile}}.Encode()
	}
	return u.String()
}

// Pid is the process ID of the server, for measuring it.
func (s *Server) Pid() int { return s.server.Pid() }

// Client is a plain go-redis client of the server, closed with the test.
func (s *Server) Client() *redis.Client { return s.client }

// Kill ends the server as a crash would (SIGKILL).
func (s *Server) Kill() {
	s.t.Helper()
	s.must("kill", s.server.Kill())
}

// Restart starts the server again on its port and in its folder, killing it
// first if it runs, and returns when it answers.
func (s *Server) Restart() {
	s.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), startTimeout)
	defer cancel()
	s.must("restart", s.server.Restart(ctx))
}

// Pause makes the server hang with its connections open (SIGSTOP).
func (s *Server) Pause() {
	s.t.Helper()
	s.must("pause", s.server.Pause())
}

// Resume ends [Server.Pause].
func (s *Server) Resume() {
	s.t.Helper()
	s.must("resume", s.server.Resume())
}

func (s *Server) must(what string, err error) {
	s.t.Helper()
	if err != nil {
		s.t.Fatalf("redistest: %s: %v", what, err)
	}
}
