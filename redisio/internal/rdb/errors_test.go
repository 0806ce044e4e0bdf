package rdb

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"example.com/beamredis/redisio/internal/redistest"
)

// provocation makes a real server give one error.
type provocation struct {
	name    string
	opts    []redistest.Option
	provoke func(t *testing.T, s *redistest.Server, c *Client) error
	prefix  string // of the server's reply; empty where the connection itself fails
	want    Class
}

func command(args ...any) func(*testing.T, *redistest.Server, *Client) error {
	return func(t *testing.T, _ *redistest.Server, c *Client) error {
		return c.raw().Do(t.Context(), args...).Err()
	}
}

// after runs setup, which must succeed, on the server before the command.
func after(setup [][]any, args ...any) func(*testing.T, *redistest.Server, *Client) error {
	return func(t *testing.T, s *redistest.Server, c *Client) error {
		for _, cmd := range setup {
			if err := s.Client().Do(t.Context(), cmd...).Err(); err != nil {
				t.Fatalf("%v: %v", cmd, err)
			}
		}
		return c.raw().Do(t.Context(), args...).Err()
	}
}

func TestClassOfRealServersErrors(t *testing.T) {
	cluster := []redistest.Option{redistest.Args("--cluster-enabled", "yes")}
	unreachableMaster := []any{"replicaof", "127.0.0.1", "1"}
	for _, tc := range []provocation{
		{"full", nil, after([][]any{{"config", "set", "maxmemory", "1"}}, "xadd", "s", "*", "f", "v"), "OOM ", Retryable},
		{"replica", nil, after([][]any{unreachableMaster}, "xadd", "s", "*", "f", "v"), "READONLY ", Retryable},
		{"replica without its master", []redistest.Option{redistest.Args("--replica-serve-stale-data", "no")},
			after([][]any{unreachableMaster}, "xrange", "s", "-", "+"), "MASTERDOWN ", Retryable},
		{"WAIT at a replica", nil, after([][]any{unreachableMaster}, "wait", "1", "1"), "ERR WAIT cannot be used with replica instances", Retryable},
		{"too few replicas", []redistest.Option{redistest.Args("--min-replicas-to-write", "1")}, command("xadd", "s", "*", "f", "v"), "NOREPLICAS ", Retryable},
		{"cluster without slots", cluster, command("xadd", "s", "*", "f", "v"), "CLUSTERDOWN ", Retryable},
		{"disk", []redistest.Option{redistest.Args("--enable-protected-configs", "yes")}, writeAfterFailedSave, "MISCONF ", Retryable},
		{"busy in a script", nil, pingBesideEndlessScript, "BUSY ", Retryable},
		{"unblocked", nil, unblockedRead, "UNBLOCKED ", Retryable},
		{"script forgotten", nil, command("evalsha", strings.Repeat("0", 40), 0), "NOSCRIPT ", Retryable},
		{"beside a bad command", nil, transactionWith("no-such-command"), "EXECABORT ", Retryable},
		{"hung", nil, readFromPaused, "", Retryable},
		{"killed", nil, useAfterKill, "", Retryable},
		{"out of connections", nil, lastConnectionTaken, "", Retryable},

		{"wrong type", nil, after([][]any{{"set", "k", "v"}}, "xadd", "k", "*", "f", "v"), "WRONGTYPE ", ElementFault},
		{"ID not above the last", nil, after([][]any{{"xadd", "s", "5-0", "f", "v"}}, "xadd", "s", "5-0", "f", "v"), "ERR The ID specified in XADD is equal or smaller", ElementFault},
		{"ID zero", nil, command("xadd", "s", "0-0", "f", "v"), "ERR The ID specified in XADD must be greater than 0-0", ElementFault},
		{"no ID", nil, command("xadd", "s", "x", "f", "v"), "ERR Invalid stream ID", ElementFault},
		{"TTL", nil, command("set", "k", "v", "px", "-1"), "ERR invalid expire time", ElementFault},

		{"no password", []redistest.Option{redistest.Password("x")}, withoutPassword, "NOAUTH ", Fatal},
		{"wrong password", []redistest.Option{redistest.Password("x")}, withWrongPassword, "WRONGPASS ", Fatal},
		{"no permission", nil, after([][]any{{"acl", "setuser", "default", "-xadd"}}, "xadd", "s", "*", "f", "v"), "NOPERM ", Fatal},
		{"unknown command", nil, command("no-such-command"), "ERR unknown command", Fatal},
		{"syntax", nil, command("set", "k", "v", "nonsense"), "ERR syntax error", Fatal},
		{"arguments", nil, command("xadd", "s"), "ERR wrong number of arguments", Fatal},
		{"no group", nil, command("xreadgroup", "group", "g", "c", "streams", "s", ">"), "NOGROUP ", Fatal},
	} {
		t.Run(tc.name, func(t *testing.T) {
			s := redistest.Start(t, tc.opts...)
			err := tc.provoke(t, s, openFor(t, s))
			if err == nil {
				t.Fatal("the server gave no error")
			}
			if text, _ := reply(err); !strings.HasPrefix(text, tc.prefix) || tc.prefix == "" && text != "" {
				t.Fatalf("reply in %q starts otherwise than %q", err, tc.prefix)
			}
			if got := Classify(fmt.Errorf("wrapped: %w", err)); got != tc.want {
				t.Errorf("Classify(%q) = %v, want %v", err, got, tc.want)
			}
		})
	}
}

// openFor opens a client of s with short timeouts, for this test alone.
func openFor(t *testing.T, s *redistest.Server) *Client {
	t.Helper()
	cfg := s.Config()
	cfg.ReadTimeout = time.Second
	c, err := Open(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func writeAfterFailedSave(t *testing.T, s *redistest.Server, c *Client) error {
	dir := filepath.Join(t.TempDir(), "gone")
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	ctx, plain := t.Context(), s.Client()
	err := errors.Join(plain.ConfigSet(ctx, "dir", dir).Err(), plain.ConfigSet(ctx, "save", "3600 1").Err(), os.Remove(dir), plain.BgSave(ctx).Err())
	if err != nil {
		t.Fatal(err)
	}
	pollUntil(t, "the save has failed", func() bool {
		return strings.Contains(plain.Info(ctx, "persistence").Val(), "rdb_last_bgsave_status:err")
	})
	return c.raw().Set(ctx, "k", "v", 0).Err()
}

func pingBesideEndlessScript(t *testing.T, s *redistest.Server, c *Client) error {
	ctx, plain := t.Context(), s.Client()
	if err := plain.ConfigSet(ctx, "busy-reply-threshold", "1").Err(); err != nil {
		t.Fatal(err)
	}
	var script sync.WaitGroup
	// Its error is that of the SCRIPT KILL below.
	script.Go(func() { _ = plain.Eval(ctx, "while true do end", nil).Err() })
	var err error
	pollUntil(t, "the script is running", func() bool {
		err = c.raw().Ping(ctx).Err()
		return err != nil && !errors.Is(err, os.ErrDeadlineExceeded)
	})
	if killErr := plain.ScriptKill(ctx).Err(); killErr != nil {
		t.Fatal(killErr)
	}
	script.Wait()
	return err
}

func unblockedRead(t *testing.T, s *redistest.Server, c *Client) error {
	ctx, one := t.Context(), s.Client().Conn()
	defer one.Close()
	id, err := one.ClientID(ctx).Result()
	if err != nil {
		t.Fatal(err)
	}
	read := make(chan error, 1)
	go func() {
		read <- one.XRead(ctx, &redis.XReadArgs{Streams: []string{"s", "$"}, Block: time.Minute}).Err()
	}()
	pollUntil(t, "the read is blocked", func() bool { return c.raw().ClientUnblockWithError(ctx, id).Val() == 1 })
	return <-read
}

// transactionWith returns the error of a good command beside a bad one.
func transactionWith(bad string) func(*testing.T, *redistest.Server, *Client) error {
	return func(t *testing.T, _ *redistest.Server, c *Client) error {
		pipe := c.raw().TxPipeline()
		pipe.Do(t.Context(), bad)
		good := pipe.Get(t.Context(), "k")
		if _, err := pipe.Exec(t.Context()); Classify(err) != Fatal {
			t.Errorf("the bad command's own error %q is not fatal", err)
		}
		return good.Err()
	}
}

func readFromPaused(t *testing.T, s *redistest.Server, c *Client) error {
	if err := c.Ping(t.Context()); err != nil {
		t.Fatal(err)
	}
	s.Pause()
	defer s.Resume()
	return c.raw().Ping(t.Context()).Err()
}

func useAfterKill(t *testing.T, s *redistest.Server, c *Client) error {
	if err := c.Ping(t.Context()); err != nil {
		t.Fatal(err)
	}
	s.Kill()
	return c.raw().Ping(t.Context()).Err()
}

func lastConnectionTaken(t *testing.T, s *redistest.Server, c *Client) error {
	if err := s.Client().ConfigSet(t.Context(), "maxclients", "1").Err(); err != nil {
		t.Fatal(err)
	}
	return c.raw().Ping(t.Context()).Err()
}

func withoutPassword(t *testing.T, s *redistest.Server, _ *Client) error {
	cfg := s.Config()
	cfg.PasswordFile = ""
	return openCommand(t, cfg)
}

func withWrongPassword(t *testing.T, s *redistest.Server, _ *Client) error {
	cfg := s.Config()
	cfg.PasswordFile, cfg.Password, cfg.PasswordMayTravel = "", "wrong", true
	return openCommand(t, cfg)
}

func pollUntil(t *testing.T, what string, done func() bool) {
	t.Helper()
	for deadline := time.Now().Add(time.Minute); !done(); {
		if time.Now().After(deadline) {
			t.Fatalf("not within a minute: %s", what)
		}
		time.Sleep(time.Millisecond)
	}
}

// TestClassOfOtherErrors holds what a single small server cannot be made to
// say, and what never came from a server.
func TestClassOfOtherErrors(t *testing.T) {
	for _, tc := range []struct {
		err  error
		want Class
	}{
		{serverError("LOADING Redis is loading the dataset in memory"), Retryable},
		{serverError("TRYAGAIN Multiple keys request during rehashing of slot"), Retryable},
		{serverError("MOVED 3999 127.0.0.1:6381"), Retryable},
		{serverError("ASK 3999 127.0.0.1:6381"), Retryable},
		{serverError("EXECABORT Transaction discarded because of: OOM command not allowed when used memory > 'maxmemory'."), Retryable},
		{serverError("EXECABORT Transaction discarded because of: NOPERM no"), Fatal},
		{serverError("ERR max number of clients reached"), Retryable},
		{serverError("ERR Elements are too large to be stored"), ElementFault},
		{serverError("ERR Protocol error: invalid bulk length"), ElementFault},
		{serverError("Err wrong static path"), ElementFault},
		{serverError("key must be a string at line 1 column 2"), ElementFault},
		{serverError("trouble at line 1 column 2 of the configuration"), Fatal},
		{&FaultError{errNoPath}, ElementFault},
		{&OvertakenError{serverError("OOM command not allowed")}, Retryable},
		{serverError("CROSSSLOT Keys in request don't hash to the same slot"), Fatal},
		{serverError("a reply that nobody knows"), Fatal},
		{io.EOF, Retryable},
		{io.ErrUnexpectedEOF, Retryable},
		{net.ErrClosed, Retryable},
		{redis.ErrPoolTimeout, Retryable},
		{&net.OpError{Op: "dial", Err: errors.New("host is down")}, Retryable},
		{&net.DNSError{Err: "server misbehaving", IsTemporary: true}, Retryable},
		{errors.New("LOADING is not an error of the server here"), Fatal},
		{redis.ErrClosed, Retryable},
		{redis.Nil, Fatal},
		{context.Canceled, Fatal},
		{context.DeadlineExceeded, Fatal},
	} {
		if got := Classify(fmt.Errorf("wrapped: %w", tc.err)); got != tc.want {
			t.Errorf("Classify(%q) = %v, want %v", tc.err, got, tc.want)
		}
	}
}

func TestMissingSecretIsFatal(t *testing.T) {
	cfg := redistest.Start(t).Config()
	cfg.PasswordFile = filepath.Join(t.TempDir(), "missing")
	if err := openCommand(t, cfg); Classify(err) != Fatal || !strings.Contains(err.Error(), cfg.PasswordFile) {
		t.Errorf("Classify(%q) = %v, want a fatal error that names the file", err, Classify(err))
	}
}

func TestNamedErrorsAreRecognised(t *testing.T) {
	s := redistest.Start(t)
	c, ctx := openFor(t, s), t.Context()
	if err := errors.Join(c.raw().XGroupCreateMkStream(ctx, "s", "g", "$").Err(), c.raw().Set(ctx, "text", "v", 0).Err()); err != nil {
		t.Fatal(err)
	}
	named := map[string]func(error) bool{
		"no group": IsNoGroup, "busy group": IsBusyGroup, "wrong type": IsWrongType, "no such key": IsNoSuchKey, "no permission": IsNoPermission,
	}
	for _, tc := range []struct {
		want string
		cmd  []any
	}{
		{"no group", []any{"xreadgroup", "group", "x", "c", "streams", "s", ">"}},
		{"no group", []any{"xpending", "missing", "g"}},
		{"no group", []any{"xinfo", "consumers", "s", "x"}},
		{"busy group", []any{"xgroup", "create", "s", "g", "$"}},
		{"wrong type", []any{"xlen", "text"}},
		{"no such key", []any{"xinfo", "stream", "missing"}},
		{"no such key", []any{"xgroup", "setid", "missing", "g", "0"}},
		{"", []any{"no-such-command"}},
	} {
		err := c.raw().Do(ctx, tc.cmd...).Err()
		for name, is := range named {
			if got := is(fmt.Errorf("wrapped: %w", err)); got != (name == tc.want) {
				t.Errorf("%v gives %q: recognised as %s: %v", tc.cmd, err, name, got)
			}
		}
	}
}
