// Package rdb is the only place that speaks to Redis: clients, commands,
// scripts and the error classifier. Nothing above it sees go-redis.
package rdb

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"

	"github.com/redis/go-redis/v9"

	"example.com/beamredis/redisio/conn"
)

// Client speaks to one Redis deployment. It is safe for concurrent use and
// shared by everything in the process that uses the same configuration.
type Client struct {
	cfg    conn.Config
	raw    redis.UniversalClient
	limits limits
}

// registryKey separates configurations that differ in the literal password
// only: the fingerprint leaves it out.
type registryKey struct{ fingerprint, password string }

// registry holds the process's clients. It outlives DoFns on purpose: runners
// pool plans, so many instances of one stage live in a process, and some of
// their methods run where no Setup was ever called.
var registry = struct {
	sync.Mutex
	clients map[registryKey]*Client
}{clients: map[registryKey]*Client{}}

// Open returns the process's client for cfg, making it at the first call. It
// does not connect; the error is that of an invalid configuration.
func Open(cfg conn.Config) (*Client, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	key := registryKey{cfg.Fingerprint(), cfg.Password}
	registry.Lock()
	defer registry.Unlock()
	if c, ok := registry.clients[key]; ok {
		return c, nil
	}
	cfg = cfg.WithDefaults()
	raw, err := connect(cfg)
	if err != nil {
		return nil, err
	}
	c := &Client{cfg: cfg, raw: raw}
	registry.clients[key] = c
	return c, nil
}

// CloseAll closes every client of the process and forgets it, so that tests
// can prove that nothing leaks. Clients handed out before are unusable.
func CloseAll() error {
	registry.Lock()
	defer registry.Unlock()
	var errs []error
	for key, c := range registry.clients {
		errs = append(errs, c.raw.Close())
		delete(registry.clients, key)
	}
	return errors.Join(errs...)
}

// String names the deployment without secrets.
func (c *Client) String() string { return c.cfg.String() }

// Ping reports whether the server can be reached and lets us in. Its error is
// one line that names the address and the likely mend.
func (c *Client) Ping(ctx context.Context) error {
	return c.explain(c.raw.Ping(ctx).Err())
}

// explain is [Explain] with what the configuration adds to it.
func (c *Client) explain(err error) error {
	err = Explain(err, c.cfg.Addr)
	var unusable *UnusableError
	if c.cfg.TLS && errors.As(err, &unusable) && unusable.Why == whyTimeout {
		// A Redis port without TLS takes the handshake for the start of a long
		// command, and waits for its end.
		return &UnusableError{unusable.Addr, "no answer in time; a port without TLS stays silent, too (use redis://)", unusable.Err}
	}
	return err
}

// debugLogger keeps the client's own chatter (failed dials, unusable
// connections) out of users' logs: every failure comes back as an error, too.
type debugLogger struct{}

func (debugLogger) Printf(ctx context.Context, format string, v ...any) {
	if slog.Default().Enabled(ctx, slog.LevelDebug) {
		slog.DebugContext(ctx, fmt.Sprintf(format, v...), "component", "go-redis")
	}
}

func init() { redis.SetLogger(debugLogger{}) }
