// Package rdb is the only place that speaks to Redis: clients, commands,
// scripts and the error classifier. Nothing above it sees go-redis.
package rdb

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/redis/go-redis/v9"

	"example.com/beamredis/redisio/conn"
	"example.com/beamredis/redisio/internal/logs"
)

// Client speaks to one Redis deployment. It is safe for concurrent use and
// shared by everything in the process that uses the same configuration. Its
// connections are closed when nothing has used it for a while, and made anew
// when something does.
type Client struct {
	cfg    conn.Config
	limits limits

	used  atomic.Int64 // when, in ns since the Unix epoch
	mu    sync.Mutex   // guards the making and closing of conns
	conns atomic.Pointer[connections]

	waits atomic.Int64 // the longest timeout of a WAIT that was sent, in ns

	replicas replicaConns
}

// closeUnused is after how long without a command connections are closed. It is
// far longer than any command takes.
const closeUnused = 10 * time.Minute

// raw returns go-redis' client, for one command or pipeline.
func (c *Client) raw() redis.UniversalClient {
	c.used.Store(time.Now().UnixNano())
	return c.connections().UniversalClient
}

// connections returns those that there are, or makes them.
func (c *Client) connections() *connections {
	if conns := c.conns.Load(); conns != nil {
		return conns
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if conns := c.conns.Load(); conns != nil {
		return conns
	}
	conns := connect(c.cfg, c.replace)
	if !conns.useless {
		c.conns.Store(conns)
		time.AfterFunc(closeUnused, func() { c.closeIfUnused(closeUnused) })
	}
	return conns
}

// replace has new connections made in the place of those of before, which finish
// what they are at.
func (c *Client) replace(before *connections) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.conns.Load() != before {
		return
	}
	conns := connect(c.cfg, c.replace)
	if conns.useless { // those of before go on meanwhile
		time.AfterFunc(renewAtMost, func() { c.replace(before) })
		return
	}
	c.conns.Store(conns)
	c.closeLater(before)
}

// closeLater closes connections when the last command on them has ended.
func (c *Client) closeLater(conns *connections) {
	time.AfterFunc(c.longestCommand(), func() { _ = conns.Close() }) // there is nobody to tell
}

// longestBlock is more than any command but WAIT is asked to block.
const longestBlock = 10 * time.Second

func (c *Client) longestCommand() time.Duration {
	return longestBlock + time.Duration(c.waits.Load()) + c.cfg.DialTimeout + c.cfg.WriteTimeout + c.cfg.ReadTimeout
}

// willWait has connections stay for as long as a WAIT takes at most.
func (c *Client) willWait(timeout time.Duration) {
	for longest := c.waits.Load(); int64(timeout) > longest && !c.waits.CompareAndSwap(longest, int64(timeout)); {
		longest = c.waits.Load()
	}
}

// closeIfUnused closes the connections if there was no command for so long, and
// looks again later if there was.
func (c *Client) closeIfUnused(after time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	conns := c.conns.Load()
	if conns == nil {
		return // closed meanwhile; whoever makes them looks after them
	}
	// A WAIT may take longer than connections are kept for.
	if left := after + time.Duration(c.waits.Load()) - time.Since(time.Unix(0, c.used.Load())); left > 0 {
		time.AfterFunc(left, func() { c.closeIfUnused(after) })
		return
	}
	c.conns.Store(nil)
	_ = errors.Join(conns.Close(), c.replicas.close()) // there is nobody to tell
}

// close closes the connections for good: until somebody uses the client again.
func (c *Client) close() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	err := c.replicas.close()
	if conns := c.conns.Swap(nil); conns != nil {
		err = errors.Join(err, conns.Close())
	}
	return err
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
	c := &Client{cfg: cfg.WithDefaults()}
	registry.clients[key] = c
	return c, nil
}

// CloseAll closes every client of the process and forgets it, so that tests
// can prove that nothing leaks.
func CloseAll() error {
	registry.Lock()
	defer registry.Unlock()
	var errs []error
	for key, c := range registry.clients {
		errs = append(errs, c.close())
		delete(registry.clients, key)
	}
	return errors.Join(errs...)
}

// String names the deployment without secrets.
func (c *Client) String() string { return c.cfg.String() }

// GoString keeps a literal password out of %#v.
func (c *Client) GoString() string { return "rdb.Client(" + c.String() + ")" }

// Ping reports whether the server can be reached and lets us in. Its error is
// one line that names the address and the likely mend.
func (c *Client) Ping(ctx context.Context) error {
	return c.explain(c.raw().Ping(ctx).Err())
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
	// A server that does not know AUTH repeats the password behind the note.
	line, _, _ := strings.Cut(fmt.Sprintf(format, v...), argumentsNote)
	logs.Log.DebugContext(ctx, line, "component", "go-redis")
}

func init() { redis.SetLogger(debugLogger{}) }
