package rdb

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"
)

// Groups lists the consumer groups of a stream; none if there is no stream.
func (c *Client) Groups(ctx context.Context, stream string) (names []string, err error) {
	err = c.eachMap(ctx, func(p *parser, field string) error {
		if field != "name" {
			return p.skip()
		}
		name, _, err := p.text()
		names = append(names, name)
		return err
	}, "xinfo", "groups", stream)
	if IsNoSuchKey(err) {
		return nil, nil
	}
	return names, err
}

// SinceLastRead is how long ago any consumer of a group last asked for entries,
// the one that marks the group left aside; ok is false if none ever has.
func (c *Client) SinceLastRead(ctx context.Context, stream, group string) (idle time.Duration, ok bool, err error) {
	var name string
	err = c.eachMap(ctx, func(p *parser, field string) (err error) {
		switch field {
		case "name": // comes first
			name, _, err = p.text()
		case "idle":
			var ms int64
			if ms, _, err = p.number(); err == nil && !strings.HasPrefix(name, incarnationPrefix) {
				since := time.Duration(ms) * time.Millisecond
				if !ok || since < idle {
					idle = since
				}
				ok = true
			}
		default:
			err = p.skip()
		}
		return err
	}, "xinfo", "consumers", stream, group)
	return idle, ok, err
}

// eachMap calls f for every name in the maps that a command replies.
func (c *Client) eachMap(ctx context.Context, f func(p *parser, name string) error, args ...any) error {
	cmd := redis.NewRawCmd(ctx, args...)
	if err := c.raw().Process(ctx, cmd); err != nil {
		return fmt.Errorf("%v %v of %v: %w", args[0], args[1], args[2], err)
	}
	p := newParser(cmd.Val())
	n, err := p.array()
	for range max(n, 0) {
		if err != nil {
			break
		}
		err = pairs(p, f)
	}
	return err
}
