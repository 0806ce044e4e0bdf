package rdb

import (
	"context"
	"sync"

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

	mu   sync.Mutex
	end  auth.UnsubscribeFunc // nil: not subscribed
	over bool
}

var _ auth.CredentialsListener = (*succession)(nil)

func newSuccession(cfg conn.Config, replace func()) *succession {
	return &succession{issuer: newIssuer(cfg), replace: replace}
}

// credentials fetches those of a new connection. The first ones tell when all
// connections are to be replaced: later ones live longer.
func (s *succession) credentials(ctx context.Context) (user, password string, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.end == nil && !s.over {
		first, end, err := s.issuer.Subscribe(s)
		if err != nil {
			return "", "", err
		}
		s.end = end
		user, password = first.BasicAuth()
		return user, password, nil
	}
	got, err := s.issuer.fetch(ctx)
	return got.Username, got.Password, err
}

// OnNext comes when new credentials could be fetched.
func (s *succession) OnNext(auth.Credentials) {
	s.stop()
	s.replace()
}

// stop ends it, with the client.
func (s *succession) stop() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.end != nil {
		_ = s.end()
	}
	s.end, s.over = nil, true
}

// OnError is never called by [issuer], which tries again.
func (s *succession) OnError(error) {}
