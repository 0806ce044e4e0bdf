package rdb

import (
	"context"
	"errors"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/redis/go-redis/v9/auth"

	"example.com/beamredis/redisio/conn"
	"example.com/beamredis/redisio/internal/redistest"
)

// source is a registered source of credentials, all good for a second.
type source struct {
	calls atomic.Int64
	down  atomic.Bool
}

const sourceUser, sourceToken = "app", "token"

func (s *source) fetch(context.Context) (conn.Credentials, error) {
	s.calls.Add(1)
	if s.down.Load() {
		return conn.Credentials{}, errors.New("the vault is down")
	}
	return conn.Credentials{Username: sourceUser, Password: sourceToken, ExpiresAt: time.Now().Add(time.Second)}, nil
}

// openSource opens a client of its own that logs in by a source of its own, and
// connects it.
func openSource(t *testing.T, cfg conn.Config, servers ...*redistest.Server) (*Client, *source) {
	t.Helper()
	for _, s := range servers {
		setup(t, s, []any{"acl", "setuser", sourceUser, "on", "~*", "+@all", ">" + sourceToken})
	}
	s := &source{}
	cfg.Credentials = t.Name() + time.Now().String()
	conn.RegisterCredentials(cfg.Credentials, s.fetch)
	client := ownClient(t, cfg)
	if err := client.Ping(t.Context()); err != nil {
		t.Fatal(err)
	}
	return client, s
}

func TestNothingIsRenewedForAClientThatIsClosed(t *testing.T) {
	s := redistest.StartSentinels(t)
	for name, end := range map[string]func(*Client){
		"closed":   func(c *Client) { _ = c.close() },
		"not used": func(c *Client) { c.closeIfUnused(0) },
	} {
		t.Run(name, func(t *testing.T) {
			single := redistest.Start(t)
			_, clock := openSource(t, single.Config(), single)
			client, vault := openSource(t, s.Config(), s.Servers()...)
			vault.down.Store(true)
			end(client)
			// One that had begun may be counted yet.
			before, from := vault.calls.Load(), clock.calls.Load()
			pollUntil(t, "the client that is open has renewed its credentials four times", func() bool { return clock.calls.Load() >= from+4 })
			if after := vault.calls.Load(); after > before+1 {
				t.Errorf("%d calls of the vault after the end", after-before)
			}
		})
	}
}

func TestAClosedSuccessionDoesNotBeginAgain(t *testing.T) {
	vault := &source{}
	name := t.Name() + time.Now().String()
	conn.RegisterCredentials(name, vault.fetch)
	s := newSuccession(conn.Config{Credentials: name}, func() { t.Error("something is replaced") })
	for range 2 {
		if _, password, err := s.credentials(t.Context()); password != sourceToken || err != nil {
			t.Errorf("password %q, %v", password, err)
		}
		s.stop()
		if s.issuer.renewal != nil || len(s.issuer.listeners) > 0 {
			t.Error("a renewal is planned")
		}
	}
}

func TestASourceThatFailsIsAskedLessAndLessButInTime(t *testing.T) {
	for _, tc := range []struct{ again, left, want time.Duration }{
		{time.Second, time.Hour, time.Second},
		{16 * time.Second, time.Hour, 16 * time.Second},
		{renewAtMost, time.Hour, renewAtMost},
		{renewAtMost, 20 * time.Second, 10 * time.Second},
		{16 * time.Second, time.Second, renewAgain},
		{16 * time.Second, -time.Second, 16 * time.Second},
	} {
		if got := waitToRenew(tc.again, tc.left); got != tc.want {
			t.Errorf("after %v, with %v left: %v, want %v", tc.again, tc.left, got, tc.want)
		}
	}
	var again time.Duration
	for _, want := range []time.Duration{1, 2, 4, 8, 16, 30, 30} {
		if again = longer(again); again != want*time.Second {
			t.Errorf("next wait %v, want %v", again, want*time.Second)
		}
	}
}

// TestAWaitOutlivesItsConnections: those that others have taken the place of stay
// until the last command on them has ended, however long its WAIT takes.
func TestAWaitOutlivesItsConnections(t *testing.T) {
	s := redistest.Start(t)
	cfg := s.Config()
	cfg.DialTimeout, cfg.ReadTimeout, cfg.WriteTimeout = time.Second, time.Second, time.Second
	client := ownClient(t, cfg)
	wait := longestBlock + 5*time.Second // more than any other command takes
	written := make(chan error)
	go func() {
		adder := NewAdder(client)
		adder.Replicas = Replicas{1, wait}
		written <- adder.Write(t.Context(), []Add{addOf("s", "n", "1")})[0]
	}()
	pollUntil(t, "the write waits", func() bool {
		return strings.Contains(s.Client().Info(t.Context(), "clients").Val(), "blocked_clients:1")
	})
	client.replace(client.conns.Load())
	if err := client.Ping(t.Context()); err != nil {
		t.Error(err)
	}
	if short := (*ReplicasError)(nil); !errors.As(<-written, &short) {
		t.Error("the WAIT was cut off")
	}
	client.closeIfUnused(0)
	if openConnections(t, s) == 0 {
		t.Error("connections were closed that a WAIT may still be on")
	}
}

// TestARenewalThatIsOvertakenPlansNoOther: while it fetches, all connections are
// lost and others made, for which a renewal is planned.
func TestARenewalThatIsOvertakenPlansNoOther(t *testing.T) {
	listener := &succession{}
	calls := 0
	i := &issuer{listeners: map[auth.CredentialsListener]struct{}{}}
	i.fetch = func(context.Context) (conn.Credentials, error) {
		if calls++; calls == 2 {
			i.drop(listener)
			if _, _, err := i.Subscribe(listener); err != nil {
				t.Error(err)
			}
		}
		return conn.Credentials{ExpiresAt: time.Now().Add(time.Hour)}, nil
	}
	if _, _, err := i.Subscribe(listener); err != nil {
		t.Fatal(err)
	}
	i.renew(1)
	if calls != 3 || i.planned != 2 {
		t.Errorf("%d calls and %d renewals planned, want 3 and 2", calls, i.planned)
	}
	i.drop(listener)
}
