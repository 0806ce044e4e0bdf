package rdb

import (
	"context"
	"errors"
	"strings"

	"example.com/beamredis/redisio/conn"
)

// sentinelSecret is the password that a client for sentinels was made with, and
// keeps: go-redis takes it as text.
type sentinelSecret struct {
	cfg      conn.Config
	password string
	replace  func() // the client, by one that is made with the password of today
}

// errRenewed says that the command was not sent, and that the next one will be
// by other connections.
var errRenewed = errors.New("the password of the sentinels has changed; the new one is used from now on")

// noSentinel begins go-redis' error where none of them answers well. That of a
// client for replicas does not say why.
const noSentinel = "redis: all sentinels specified in configuration are unreachable"

// renew has the client replaced if a password that is out of date may be why err
// has come, and returns what is to be in its place; else nil.
func (s *sentinelSecret) renew(ctx context.Context, err error) error {
	if !strings.HasPrefix(err.Error(), noSentinel) {
		return nil
	}
	if _, now, readErr := s.cfg.ResolveSentinel(ctx); readErr != nil || now == s.password {
		return nil
	}
	s.replace()
	return errRenewed
}
