package rdb

import (
	"context"
	"sync/atomic"

	"github.com/redis/go-redis/v9/auth"

	"example.com/beamredis/redisio/conn"
)

// succession hands out registered credentials to the connections of one client
// that cannot log in again, and has them replaced before theirs expire.
type succession struct {
	issuer *issuer
	// replace has new connections made by a new client, with a succession of its
	// own.
	replace func()
	// over: the connections are replaced, or closed, and nothing is renewed.
	over atomic.Bool
}

var _ auth.CredentialsListener = (*succession)(nil)

func newSuccession(cfg conn.Config, replace func()) *succession {
	return &succession{issuer: newIssuer(cfg), replace: replace}
}

// credentials fetches those of a new connection. The first ones tell when all
// connections are to be replaced: later ones live longer.
func (s *succession) credentials(ctx context.Context) (user, password string, err error) {
	if s.over.Load() {
		got, err := s.issuer.fetch(ctx)
		return got.Username, got.Password, err
	}
	got, end, err := s.issuer.Subscribe(s)
	if err != nil {
		return "", "", err
	}
	if s.over.Load() { // it was closed meanwhile
		_ = end()
	}
	user, password = got.BasicAuth()
	return user, password, nil
}

// OnNext comes when new credentials could be fetched.
func (s *succession) OnNext(auth.Credentials) {
	s.stop()
	s.replace()
}

// stop ends the renewals.
func (s *succession) stop() {
	s.over.Store(true)
	s.issuer.drop(s)
}

// OnError is never called by [issuer], which tries again.
func (s *succession) OnError(error) {}
