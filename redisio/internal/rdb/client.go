// Package rdb is the only place that speaks to Redis: clients, commands,
// scripts and the error classifier. Nothing above it sees go-redis.
package rdb

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/maintnotifications"

	"example.com/beamredis/redisio/conn"
)

const (
	// connMaxIdle closes connections well before the idle timeouts of usual
	// load balancers and firewalls do, which would do it silently.
	connMaxIdle = 5 * time.Minute
	// bufferBytes holds a batch of a few hundred small entries per system call.
	bufferBytes = 64 << 10
	// clientName is what CLIENT LIST shows for our connections.
	clientName = "beamredis"
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
	raw := redis.NewClient(options(cfg))
	raw.AddHook(honestErrors{})
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

// options expects cfg with its defaults filled in.
func options(cfg conn.Config) *redis.Options {
	opts := &redis.Options{
		Addr:                       cfg.Addr,
		ClientName:                 clientName,
		Protocol:                   3,
		CredentialsProviderContext: cfg.Resolve,
		DB:                         cfg.DB,

		// We retry ourselves (see Retry): go-redis repeats a whole pipeline when
		// one command of it met a retryable error, and would so write the
		// commands that had succeeded a second time.
		MaxRetries:    -1,
		DialerRetries: 1,

		DialTimeout:           cfg.DialTimeout,
		ReadTimeout:           cfg.ReadTimeout,
		WriteTimeout:          cfg.WriteTimeout,
		ContextTimeoutEnabled: true,

		PoolSize:        cfg.PoolSize,
		ConnMaxIdleTime: connMaxIdle,
		ReadBufferSize:  bufferBytes,
		WriteBufferSize: bufferBytes,
		// One pool for everything, so that PoolSize is the bound it claims to
		// be: a second pool for pipelines would add to it.
		PipelinePoolSize: -1,

		// Both would send commands of their own at every connect, and some
		// servers and ACLs refuse them.
		DisableIdentity:          true,
		MaintNotificationsConfig: &maintnotifications.Config{Mode: maintnotifications.ModeDisabled},
	}
	if cfg.TLS {
		opts.TLSConfig = &tls.Config{MinVersion: tls.VersionTLS12}
	}
	return opts
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
