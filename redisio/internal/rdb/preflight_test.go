package rdb

import (
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"example.com/beamredis/redisio/internal/redistest"
)

func TestPreflightAcceptsStreamsAndMissingKeys(t *testing.T) {
	s := redistest.Start(t)
	if err := s.Client().Do(t.Context(), "xadd", "in:0", "*", "f", "v").Err(); err != nil {
		t.Fatal(err)
	}
	v, err := openFor(t, s).Preflight(t.Context(), "in:0", "in:1")
	if err != nil || !v.AtLeast(oldestMajor, oldestMinor) {
		t.Errorf("Preflight = %v, %v; want a known version and no error", v, err)
	}
}

func TestPreflightNamesEveryKeyThatIsNoStream(t *testing.T) {
	s := redistest.Start(t)
	ctx := t.Context()
	if err := errors.Join(s.Client().Set(ctx, "a", "v", 0).Err(), s.Client().HSet(ctx, "b", "f", "v").Err()); err != nil {
		t.Fatal(err)
	}
	_, err := openFor(t, s).Preflight(ctx, "a", "missing", "b")
	want := "redis at " + s.Addr() + `: key "a" holds a string where a stream should be` + "\n" +
		"redis at " + s.Addr() + `: key "b" holds a hash where a stream should be`
	if err == nil {
		t.Fatal("Preflight accepted a string and a hash")
	}
	if diff := cmp.Diff(want, err.Error()); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestPreflightDoesWithoutPermissionToLook(t *testing.T) {
	s := redistest.Start(t)
	if err := s.Client().Do(t.Context(), "acl", "setuser", "default", "-info", "-type").Err(); err != nil {
		t.Fatal(err)
	}
	v, err := openFor(t, s).Preflight(t.Context(), "in:0")
	if err != nil || v.Known() {
		t.Errorf("Preflight = %v, %v; want the unknown version and no error", v, err)
	}
}

func TestPreflightExplainsAnUnreachableServer(t *testing.T) {
	s := redistest.Start(t)
	c := openFor(t, s)
	s.Kill()
	if _, err := c.Preflight(t.Context()); err == nil || !strings.Contains(err.Error(), s.Addr()+": connection refused") {
		t.Errorf("error %v, want one that names the address and the reason", err)
	}
}

func TestVersionOfProducts(t *testing.T) {
	for info, want := range map[string]Version{
		"# Server\r\nredis_version:7.0.15\r\nredis_git_sha1:0\r\nredis_mode:cluster\r\n": {"Redis", "7.0.15", 7, 0, 15, "cluster"},
		"redis_version:7.2.4\r\nserver_name:valkey\r\nvalkey_version:8.1.0\r\n":          {"Valkey", "8.1.0", 7, 2, 4, ""},
		"valkey_version:9.0.0\r\nredis_version:7.2.4\r\n":                                {"Valkey", "9.0.0", 7, 2, 4, ""},
		"redis_version:8.0-rc1\r\n":                                                      {"Redis", "8.0-rc1", 8, 0, 0, ""},
		"":                                                                               {}, "redis_version:\r\n": {}, "# Clients\r\nconnected_clients:1\r\n": {},
	} {
		if diff := cmp.Diff(want, parseVersion(info)); diff != "" {
			t.Errorf("%q (-want +got):\n%s", info, diff)
		}
	}
}

func TestVersionsCompareByMajorThenMinor(t *testing.T) {
	for _, tc := range []struct {
		v    Version
		want bool
	}{
		{Version{Major: 6, Minor: 2}, true}, {Version{Major: 7}, true}, {Version{Major: 6, Minor: 10}, true},
		{Version{Major: 6, Minor: 1}, false}, {Version{Major: 5, Minor: 9}, false}, {Version{}, false},
	} {
		if got := tc.v.AtLeast(6, 2); got != tc.want {
			t.Errorf("%+v at least 6.2: %v, want %v", tc.v, got, tc.want)
		}
	}
	if got := (Version{Product: "Valkey", Release: "8.1.0", Major: 7}).String(); got != "Valkey 8.1.0" {
		t.Errorf("String = %q", got)
	}
}

func TestAServerIsAskedWhetherItHasJSON(t *testing.T) {
	if err := sharedClient(t, redistest.Start(t)).RequireJSON(t.Context()); !errors.Is(err, ErrNoJSON) || strings.Contains(err.Error(), "\n") {
		t.Errorf("without the module: %v, want one line that is ErrNoJSON", err)
	}
	server := redistest.Start(t, redistest.JSON(t))
	c := sharedClient(t, server)
	if err := c.RequireJSON(t.Context()); err != nil {
		t.Errorf("with the module: %v", err)
	}
	setup(t, server, []any{"acl", "setuser", "default", "-command"})
	if err := c.RequireJSON(t.Context()); err != nil {
		t.Errorf("where the user may not ask: %v", err)
	}
}
