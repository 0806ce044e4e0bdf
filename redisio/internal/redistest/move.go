package redistest

import (
	"context"
	"net"
)

// Move is one slot on its way from one primary to another, as resharding takes
// it, while others use it: between [Cluster.BeginMove] and [Move.End] the old
// node answers ASK for the keys that it does not have, and afterwards MOVED.
type Move struct {
	c        *Cluster
	from, to *Server
	slot     int
}

// MoveSlot moves the slot of key, keys and all, to another primary.
func (c *Cluster) MoveSlot(key string, to *Server) {
	c.t.Helper()
	m := c.BeginMove(key, to)
	m.Keys()
	m.End()
}

// BeginMove opens the slot of key for its move to another primary.
func (c *Cluster) BeginMove(key string, to *Server) *Move {
	c.t.Helper()
	slot, err := c.client.ClusterKeySlot(context.Background(), key).Result()
	c.must("slot of "+key, err)
	m := &Move{c: c, to: to, slot: int(slot)}
	// Soon after another move of the slot, a node may think otherwise of who has it.
	c.await("both nodes agree that the slot is to move", func() bool {
		m.from = c.PrimaryOf(key)
		return m.from != to && accepts(to, "cluster", "setslot", slot, "importing", c.id(m.from)) &&
			accepts(m.from, "cluster", "setslot", slot, "migrating", c.id(to))
	})
	return m
}

func accepts(node *Server, args ...any) bool {
	return node.client.Do(context.Background(), args...).Err() == nil
}

// Keys moves the slot's keys.
func (m *Move) Keys() {
	m.c.t.Helper()
	host, port, _ := net.SplitHostPort(m.to.Addr())
	for {
		keys, err := m.from.client.ClusterGetKeysInSlot(context.Background(), m.slot, 100).Result()
		m.c.must("keys in the slot", err)
		if len(keys) == 0 {
			return
		}
		args := []any{"migrate", host, port, "", 0, 10_000}
		if m.from.password != "" {
			args = append(args, "auth", m.from.password)
		}
		args = append(args, "keys")
		for _, k := range keys {
			args = append(args, k)
		}
		m.c.do(m.from, args...)
	}
}

// End makes the new node the slot's owner, and returns when it agrees.
func (m *Move) End() {
	m.c.t.Helper()
	id := m.c.id(m.to)
	for _, node := range []*Server{m.to, m.from} { // in this order the slot is never without an owner
		m.c.do(node, "cluster", "setslot", m.slot, "node", id)
	}
	m.c.await("the new node knows of the move", func() bool { return m.c.ownerOf(m.slot) == m.to })
}
