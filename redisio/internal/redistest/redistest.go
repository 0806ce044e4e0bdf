// Package redistest gives tests a real redis-server of their own. It is test
// support, and therefore the one place beside package rdb that may import
// go-redis: a test checks what the code under test did with a plain client.
package redistest

import (
	"cmp"
	"context"
	"errors"
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

	password string // of the default user
}

// settings are what options change.
type settings struct {
	redisserver.Options
	certs    *Certificates
	user     string
	password string // of user
	// sentinelPassword is what sentinels want; plainPassword is that of the
	// plain client of one that is being started.
	sentinelPassword, plainPassword string
}

// Option changes how [Start], [StartCluster] and [StartSentinels] run servers.
type Option func(*settings)

func newSettings(t testing.TB, opts []Option) *settings {
	t.Helper()
	s := &settings{Options: redisserver.Options{Dir: t.TempDir()}}
	for _, opt := range opts {
		opt(s)
	}
	return s
}

// config is the configuration that fits, without addresses.
func (s *settings) config(t testing.TB) conn.Config {
	t.Helper()
	cfg := conn.Config{Username: s.user}
	if password := cmp.Or(s.password, s.Password); password != "" {
		cfg.PasswordFile = writePassword(t, s.Dir, password)
	}
	if s.TLS != nil {
		cfg.TLS, cfg.TLSCA = true, s.certs.CA
		if s.TLS.ClientCerts {
			cfg.TLSCert, cfg.TLSKey = s.certs.ClientCert, s.certs.ClientKey
		}
	}
	return cfg
}

func writePassword(t testing.TB, dir, password string) (path string) {
	t.Helper()
	path = filepath.Join(dir, "password")
	if err := os.WriteFile(path, []byte(password+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// Args gives arguments to redis-server, such as Args("--maxmemory", "8mb").
func Args(args ...string) Option {
	return func(o *settings) { o.Args = append(o.Args, args...) }
}

// Durable keeps the data across [Server.Kill] and [Server.Restart].
func Durable() Option { return func(o *settings) { o.Durable = true } }

// User adds an ACL user with the given rules, such as "+@all", "~*". Configs
// are then for that user; plain clients stay the default user.
func User(name, password string, rules ...string) Option {
	return func(o *settings) {
		o.user, o.password = name, password
		o.Args = append(append(o.Args, "--user", name, "on", ">"+password), rules...)
	}
}

// SentinelPassword is wanted by the sentinels of [StartSentinels], of clients and
// of each other.
func SentinelPassword(p string) Option { return func(o *settings) { o.sentinelPassword = p } }

// TLS has servers speak TLS only.
func TLS(c *Certificates) Option {
	return func(o *settings) {
		o.certs, o.TLS = c, &redisserver.TLS{CA: c.CA, Cert: c.Cert, Key: c.Key}
	}
}

// MutualTLS is [TLS] with servers that want a certificate of every client.
func MutualTLS(c *Certificates) Option {
	return func(o *settings) { TLS(c)(o); o.TLS.ClientCerts = true }
}

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
func Password(p string) Option {
	return func(o *settings) {
		o.Password = p
		o.Args = append(o.Args, "--masterauth", p)
	}
}

// Start runs a server for t on a free loopback port, with its data in a
// temporary folder, and ends it with t. Without a redis-server on the PATH the
// test is skipped, or fails where the environment says CI=true.
func Start(t testing.TB, opts ...Option) *Server {
	t.Helper()
	o := newSettings(t, opts)
	ctx, cancel := context.WithTimeout(context.Background(), startTimeout)
	defer cancel()
	server, err := redisserver.Start(ctx, o.Options)
	if errors.Is(err, redisserver.ErrNotInstalled) && os.Getenv("CI") != "true" {
		t.Skipf("SKIPPED, this proves nothing: %v (Debian: apt-get install redis-server)", err)
	}
	if err != nil {
		t.Fatal(err)
	}
	s := &Server{t: t, server: server, cfg: o.config(t), password: o.Password}
	s.cfg.Addr = server.Addr()
	t.Cleanup(s.stop)
	s.client = redis.NewClient(&redis.Options{Addr: s.Addr(), Password: cmp.Or(o.plainPassword, o.Password), TLSConfig: o.certs.clientTLS(t)})
	return s
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
func (s *Server) URL() string { return s.cfg.String() }

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
