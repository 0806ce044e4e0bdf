package rdb

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"example.com/beamredis/redisio/conn"
	"example.com/beamredis/redisio/internal/redistest"
)

// pingError is what a user sees of a configuration that does not work.
func pingError(t *testing.T, cfg conn.Config) string {
	t.Helper()
	if !cfg.TLS { // for which a second can be too short on a busy machine
		cfg.DialTimeout, cfg.ReadTimeout = time.Second, time.Second
	}
	c, err := Open(cfg)
	if err != nil {
		t.Fatal(err)
	}
	if err = c.Ping(t.Context()); err == nil {
		t.Fatal("PING succeeded")
	}
	var explained *UnusableError
	if !errors.As(err, &explained) || explained.Err == nil {
		t.Errorf("%v (%T) does not carry its cause", err, err)
	}
	return err.Error()
}

func TestPingErrorsNameAddressAndMend(t *testing.T) {
	plain := redistest.Start(t, redistest.Password("x"))
	withTLS := redistest.Start(t, redistest.TLS(redistest.NewCertificates(t)))
	web := httptest.NewServer(http.NotFoundHandler())
	defer web.Close()
	for name, tc := range map[string]struct {
		cfg  conn.Config
		want string
	}{
		"refused":        {conn.Config{Addr: "127.0.0.1:1"}, "connection refused; check that the server runs and that host and port are right"},
		"no password":    {conn.Config{Addr: plain.Addr()}, "the server wants a password; name it by password_env or password_file"},
		"wrong password": {conn.Config{Addr: plain.Addr(), Password: "no", PasswordMayTravel: true}, "wrong user or password; check the user in the URL and what password_env or password_file refers to"},
		"no such database": {conn.Config{Addr: plain.Addr(), PasswordFile: plain.Config().PasswordFile, DB: 99},
			"there is no such database; check the number at the end of the URL"},
		"plain to TLS port":  {conn.Config{Addr: withTLS.Addr()}, "the port expects TLS; use rediss://, rediss-cluster:// or rediss-sentinel://"},
		"TLS to plain port":  {conn.Config{Addr: web.Listener.Addr().String(), TLS: true}, "the port does not speak TLS; use redis:// or the server's TLS port"},
		"TLS to plain Redis": {conn.Config{Addr: plain.Addr(), TLS: true}, "the port does not speak TLS; use redis:// or the server's TLS port"},
		"own authority": {conn.Config{Addr: withTLS.Addr(), TLS: true},
			"the server's certificate comes from an authority that this machine does not trust; name its file by tls_ca, or add it to the system's roots"},
		"not Redis":       {conn.Config{Addr: web.Listener.Addr().String()}, "what answers there is not Redis; check host and port"},
		"silent":          {conn.Config{Addr: listenSilently(t)}, "no answer in time; check host, port and firewall, and that the server does not hang"},
		"silent with TLS": {conn.Config{Addr: listenSilently(t), TLS: true}, "no answer in time; a port without TLS stays silent, too (use redis://)"},
		"closed":          {conn.Config{Addr: listenAndClose(t)}, "the server closed the connection; a port that expects TLS does so (use rediss://), and so does a server out of connections"},
	} {
		t.Run(name, func(t *testing.T) {
			if diff := cmp.Diff("redis at "+tc.cfg.Addr+": "+tc.want, pingError(t, tc.cfg)); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

// listenSilently is a port that accepts connections and never answers.
func listenSilently(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	return l.Addr().String()
}

// listenAndClose is a port that accepts connections and closes them.
func listenAndClose(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	go func() {
		for c, err := l.Accept(); err == nil; c, err = l.Accept() {
			_ = c.Close()
		}
	}()
	return l.Addr().String()
}

func TestExplainTellsWhatItKnows(t *testing.T) {
	for _, tc := range []struct {
		err  error
		want string
	}{
		{&net.OpError{Op: "dial", Err: &net.DNSError{Name: "h", IsNotFound: true}}, `there is no host "h"; check the host in the URL`},
		{&net.DNSError{Name: "h", Err: "server misbehaving"}, `looking up host "h" failed (server misbehaving)`},
		{serverError("NOPERM User app has no permissions to run the 'xadd' command"),
			"the user lacks a permission, grant it with ACL SETUSER: NOPERM User app has no permissions to run the 'xadd' command"},
		{serverError("LOADING x"), "the server is still loading its data; try again when it is done"},
		{serverError("ERR max number of clients reached"), "the server has no connection left for us; raise its maxclients or lower the pool size"},
		{serverError("ERR unknown command 'AUTH', with args beginning with: 'app' 's3cr3t' "), "the server does not know a command; it may be a sentinel (use redis-sentinel://), or older than Redis 6.2: ERR unknown command 'AUTH'"},
		{context.Canceled, "cancelled before the server answered"},
		{errors.New("something else"), "something else"},
	} {
		err := Explain(tc.err, "h:1")
		if diff := cmp.Diff("redis at h:1: "+tc.want, err.Error()); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
	}
	if Explain(nil, "h:1") != nil {
		t.Error("success is explained as an error")
	}
	if err := Explain(Explain(io.EOF, "h:1"), "h:1"); strings.Count(err.Error(), "redis at") != 1 {
		t.Errorf("explained twice: %v", err)
	}
}
