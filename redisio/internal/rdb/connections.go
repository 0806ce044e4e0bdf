package rdb

import (
	"errors"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"

	"example.com/beamredis/redisio/conn"
)

// connections are those of a deployment.
type connections struct {
	redis.UniversalClient

	// useless: a secret could not be found, which every command is told. It may be
	// there next time, so that the client is not kept.
	useless bool
	end     func() // ends what goes on beside commands; nil: nothing does
	strays  strays
}

// Close closes all of them, for good.
func (c *connections) Close() error {
	if c.end != nil {
		c.end()
	}
	return errors.Join(c.UniversalClient.Close(), c.strays.close())
}

// strays are clients of a cluster's nodes that its map does not show: of those
// that are taking over their first slots.
type strays struct {
	mu    sync.Mutex
	nodes map[string]*redis.Client
}

const (
	// mostStrays bounds them. Beyond it, they are closed and made anew: nodes are
	// added to a cluster a few at a time, and soon on its map.
	mostStrays = 16
	// strayFor is for how long one is kept: by then the map shows its node.
	strayFor = 10 * time.Minute
)

// at returns the client of the node at addr; no command takes as long as longest.
func (s *strays) at(addr string, cfg conn.Config, longest func() time.Duration) *redis.Client {
	s.mu.Lock()
	defer s.mu.Unlock()
	if node := s.nodes[addr]; node != nil {
		return node
	}
	if len(s.nodes) == mostStrays {
		_ = s.closeAll() // who is at one of them tries again
	}
	if s.nodes == nil {
		s.nodes = map[string]*redis.Client{}
	}
	opts := options(cfg).Simple()
	opts.Addr = addr
	node := redis.NewClient(opts)
	node.AddHook(honestErrors{cluster: true})
	node.AddHook(rawErrors{})
	s.nodes[addr] = node
	time.AfterFunc(strayFor, func() {
		s.forget(addr, node)
		time.AfterFunc(longest(), func() { _ = node.Close() }) // again, if all are closed
	})
	return node
}

// forget lets go of a client, which may have something to finish.
func (s *strays) forget(addr string, node *redis.Client) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.nodes[addr] == node {
		delete(s.nodes, addr)
	}
}

func (s *strays) close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.closeAll()
}

func (s *strays) closeAll() error {
	var errs []error
	for addr, node := range s.nodes {
		errs = append(errs, node.Close())
		delete(s.nodes, addr)
	}
	return errors.Join(errs...)
}
