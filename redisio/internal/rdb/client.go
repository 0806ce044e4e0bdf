// Package rdb is the only place that speaks to Redis: clients, commands,
// scripts and the error classifier. Nothing above it sees go-redis.
package rdb

import (
	"github.com/redis/go-redis/v9"

	"example.com/beamredis/redisio/conn"
)

// Client speaks to one Redis deployment. It is safe for concurrent use and
// shared by everything in the process that uses the same configuration.
type Client struct {
	cfg conn.Config
	raw redis.UniversalClient
}

// Open returns the process's client for cfg. It does not connect.
func Open(cfg conn.Config) (*Client, error) {
	return nil, nil
}
