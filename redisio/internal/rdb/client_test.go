package rdb

import (
	"os"
	"strings"
	"testing"
	"time"

	"example.com/beamredis/redisio/conn"
	"example.com/beamredis/redisio/internal/redistest"
)

// openCommand returns the error of the first command under cfg.
func openCommand(t *testing.T, cfg conn.Config) error {
	t.Helper()
	c, err := Open(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return c.raw().Ping(t.Context()).Err()
}

func TestOneClientPerConfiguration(t *testing.T) {
	first, err := Open(conn.Config{Addr: "127.0.0.1:1"})
	if err != nil {
		t.Fatal(err)
	}
	for name, tc := range map[string]struct {
		cfg  conn.Config
		same bool
	}{
		"same, defaults written out": {conn.Config{Addr: "127.0.0.1:1", PoolSize: conn.DefaultPoolSize}, true},
		"other database":             {conn.Config{Addr: "127.0.0.1:1", DB: 1}, false},
		"other password":             {conn.Config{Addr: "127.0.0.1:1", Password: "x", PasswordMayTravel: true}, false},
	} {
		c, err := Open(tc.cfg)
		if err != nil || (c == first) != tc.same {
			t.Errorf("%s: same client %v, %v; want %v", name, c == first, err, tc.same)
		}
	}
}

func TestOpenRefusesInvalidConfig(t *testing.T) {
	if _, err := Open(conn.Config{Addr: "no-port"}); err == nil || !strings.Contains(err.Error(), "no-port") {
		t.Errorf("Open: %v, want an error that names the address", err)
	}
}

// connections counts those of our clients at the server.
func openConnections(t *testing.T, s *redistest.Server) int {
	t.Helper()
	list, err := s.Client().ClientList(t.Context()).Result()
	if err != nil {
		t.Fatal(err)
	}
	return strings.Count(list, "name="+conn.DefaultClientName)
}

func TestCloseAllLeavesNoConnection(t *testing.T) {
	s := redistest.Start(t)
	before := openFor(t, s)
	if err := before.Ping(t.Context()); err != nil {
		t.Fatal(err)
	}
	if n := openConnections(t, s); n != 1 {
		t.Errorf("%d connections, want 1", n)
	}
	if err := CloseAll(); err != nil {
		t.Fatal(err)
	}
	pollUntil(t, "the connection is closed", func() bool { return openConnections(t, s) == 0 })
	if after := openFor(t, s); after == before {
		t.Error("the closed client was not forgotten")
	}
}

func TestUnusedConnectionsAreClosedAndMadeAgain(t *testing.T) {
	s := redistest.Start(t)
	c := openFor(t, s)
	if err := c.Ping(t.Context()); err != nil {
		t.Fatal(err)
	}
	c.closeIfUnused(time.Hour)
	if n := openConnections(t, s); n != 1 {
		t.Errorf("%d connections of a client in use, want 1", n)
	}
	c.closeIfUnused(0)
	pollUntil(t, "the connection is closed", func() bool { return openConnections(t, s) == 0 })
	if err := c.Ping(t.Context()); err != nil || openConnections(t, s) != 1 {
		t.Errorf("used again: %v, %d connections", err, openConnections(t, s))
	}
}

func TestConnectionsAreNamedAndSendNothingUnasked(t *testing.T) {
	s := redistest.Start(t)
	if err := openFor(t, s).Ping(t.Context()); err != nil {
		t.Fatal(err)
	}
	list, err := s.Client().ClientList(t.Context()).Result()
	if err != nil || !strings.Contains(list, "name=beamredis") || !strings.Contains(list, "resp=3") {
		t.Errorf("CLIENT LIST shows no RESP3 connection named beamredis: %v\n%s", err, list)
	}
	stats, err := s.Client().Info(t.Context(), "commandstats").Result()
	if err != nil || strings.Contains(stats, "maint_notifications") {
		t.Errorf("maintenance notifications were asked for: %v\n%s", err, stats)
	}
}

func TestRotatedPasswordIsUsedByTheNextConnection(t *testing.T) {
	s := redistest.Start(t, redistest.Password("old"))
	c := openFor(t, s)
	if err := c.Ping(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := s.Client().ConfigSet(t.Context(), "requirepass", "new").Err(); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(s.Config().PasswordFile, []byte("new\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := s.Client().ClientKillByFilter(t.Context(), "type", "normal", "skipme", "yes").Err(); err != nil {
		t.Fatal(err)
	}
	pollUntil(t, "the rotated password is accepted", func() bool { return c.Ping(t.Context()) == nil })
}
