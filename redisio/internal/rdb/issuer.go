package rdb

import (
	"context"
	"sync"
	"time"

	"github.com/redis/go-redis/v9/auth"

	"example.com/beamredis/redisio/conn"
	"example.com/beamredis/redisio/internal/logs"
)

const (
	// fetchCredentialsTimeout bounds one call of a registered source.
	fetchCredentialsTimeout = 10 * time.Second
	// renewAfter is the share of their life after which credentials are
	// replaced, so that there is time to try again before they expire.
	renewAfter = 0.8
	// renewAgain is the least time between two attempts at new credentials. After
	// attempts that fail it doubles, up to renewAtMost.
	renewAgain  = time.Second
	renewAtMost = 30 * time.Second
)

// issuer hands out registered credentials to the connections of one client. Open
// connections log in again before theirs expire.
type issuer struct {
	fetch func(context.Context) (conn.Credentials, error)
	name  string

	mu        sync.Mutex
	listeners map[auth.CredentialsListener]struct{}
	renewal   *time.Timer // while there are listeners and something expires
	planned   int         // how many renewals were: the number of the one to come
	expires   time.Time   // what the renewal has to come before
	again     time.Duration
}

var _ auth.StreamingCredentialsProvider = (*issuer)(nil)

func newIssuer(cfg conn.Config) *issuer {
	return &issuer{fetch: cfg.FetchCredentials, name: cfg.Credentials, listeners: map[auth.CredentialsListener]struct{}{}}
}

// Subscribe returns the credentials of a new connection, which are fetched for
// it, and keeps the connection logged in until it is closed.
func (i *issuer) Subscribe(l auth.CredentialsListener) (auth.Credentials, auth.UnsubscribeFunc, error) {
	got, err := i.get()
	if err != nil {
		return nil, nil, err
	}
	i.mu.Lock()
	defer i.mu.Unlock()
	i.listeners[l] = struct{}{}
	i.schedule(got.ExpiresAt)
	return basic(got), func() error { i.drop(l); return nil }, nil
}

func (i *issuer) get() (conn.Credentials, error) {
	ctx, cancel := context.WithTimeout(context.Background(), fetchCredentialsTimeout)
	defer cancel()
	return i.fetch(ctx)
}

func basic(c conn.Credentials) auth.Credentials {
	return auth.NewBasicCredentials(c.Username, c.Password)
}

func (i *issuer) drop(l auth.CredentialsListener) {
	i.mu.Lock()
	defer i.mu.Unlock()
	delete(i.listeners, l)
	if len(i.listeners) == 0 && i.renewal != nil {
		i.renewal.Stop()
		i.renewal = nil
	}
}

// schedule plans the next renewal, unless one is planned: that will be early
// enough, or just a little late for connections that can be replaced.
func (i *issuer) schedule(expires time.Time) {
	if i.renewal != nil || expires.IsZero() {
		return
	}
	i.expires = expires
	wait := time.Duration(renewAfter * float64(time.Until(expires)))
	i.plan(max(wait, renewAgain))
}

func (i *issuer) plan(wait time.Duration) {
	i.planned++
	n := i.planned
	i.renewal = time.AfterFunc(wait, func() { i.renew(n) })
}

// longer is the wait after one more failure.
func longer(again time.Duration) time.Duration { return min(max(2*again, renewAgain), renewAtMost) }

// waitToRenew is the wait after a failure, which never passes the end of
// credentials that are good for some time left.
func waitToRenew(again, left time.Duration) time.Duration {
	if left <= 0 {
		return again
	}
	return max(renewAgain, min(again, left/2))
}

// renew fetches new credentials and has every connection log in with them. It is
// renewal n.
func (i *issuer) renew(n int) {
	got, err := i.get()
	i.mu.Lock()
	if i.renewal == nil || i.planned != n { // nobody is left, or others came meanwhile
		i.mu.Unlock()
		return
	}
	i.renewal = nil
	if err != nil {
		i.again = longer(i.again)
		wait := waitToRenew(i.again, time.Until(i.expires))
		i.plan(wait)
		i.mu.Unlock()
		logs.Log.With("credentials", i.name).Warn("credentials could not be renewed, and will be tried again", "in", wait.Round(time.Millisecond), "error", err)
		return
	}
	i.again = 0
	i.schedule(got.ExpiresAt)
	listeners := make([]auth.CredentialsListener, 0, len(i.listeners))
	for l := range i.listeners {
		listeners = append(listeners, l)
	}
	i.mu.Unlock()
	for _, l := range listeners {
		l.OnNext(basic(got))
	}
}
