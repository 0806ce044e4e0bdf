package rdb

import (
	"context"
	"errors"
	"fmt"

	"github.com/redis/go-redis/v9"

	"example.com/beamredis/redisio/conn"
)

// The oldest Redis that has what reading needs: XAUTOCLAIM and exclusive
// bounds of XRANGE.
const oldestMajor, oldestMinor = 6, 2

// Preflight checks before anything is done what would fail later: that the
// server answers and lets us in, that it is not too old, and that each of
// streams is a stream or does not exist yet. The error names all that is
// wrong, and for the connection the likely mend. What the user may not ask
// for (INFO, TYPE) is not checked.
func (c *Client) Preflight(ctx context.Context, streams ...string) (Version, error) {
	if err := c.Ping(ctx); err != nil {
		return Version{}, err
	}
	v, err := c.ServerVersion(ctx)
	if err != nil {
		return Version{}, err
	}
	if v.Known() && !v.AtLeast(oldestMajor, oldestMinor) {
		return v, fmt.Errorf("redis at %s is %v, want at least %d.%d", c.cfg.Addr, v, oldestMajor, oldestMinor)
	}
	if why := c.wrongMode(v); why != "" {
		return v, &UnusableError{Addr: c.cfg.Addr, Why: why}
	}
	return v, c.requireStreams(ctx, streams)
}

// wrongMode finds a URL of the wrong kind while nothing is done yet: a cluster's
// node takes the commands for some keys, and so works half.
func (c *Client) wrongMode(v Version) string {
	switch {
	case c.cfg.Mode == conn.Single && v.Mode == "cluster":
		return whyCluster
	case c.cfg.Mode == conn.Single && v.Mode == "sentinel":
		return "the server is a sentinel; use redis-sentinel://host:port/NAME, with its name for the primary"
	}
	return ""
}

func (c *Client) requireStreams(ctx context.Context, streams []string) error {
	if len(streams) == 0 {
		return nil
	}
	cmds := make([]*redis.StatusCmd, len(streams))
	// Each command's own error is looked at below.
	_, _ = c.raw().Pipelined(ctx, func(p redis.Pipeliner) error {
		for i, stream := range streams {
			cmds[i] = p.Type(ctx, stream)
		}
		return nil
	})
	var errs []error
	for i, cmd := range cmds {
		kind, err := cmd.Result()
		switch {
		case IsNoPermission(err):
		case err != nil:
			return c.explain(err)
		case kind != "stream" && kind != "none":
			errs = append(errs, fmt.Errorf("redis at %s: key %q holds a %s where a stream should be", c.cfg.Addr, streams[i], kind))
		}
	}
	return errors.Join(errs...)
}

// RequireJSON returns an error that is [ErrNoJSON] where the server does not
// know JSON.SET.
func (c *Client) RequireJSON(ctx context.Context) error {
	commands, err := c.raw().Do(ctx, "COMMAND", "INFO", "JSON.SET").Slice()
	switch {
	case IsNoPermission(err):
		return nil
	case err != nil:
		return c.explain(err)
	case len(commands) != 1 || commands[0] == nil:
		return fmt.Errorf("redis at %s: %w", c.cfg.Addr, ErrNoJSON)
	}
	return nil
}
