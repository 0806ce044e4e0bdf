package rdb

import (
	"os"
	"os/exec"
	"testing"

	"example.com/beamredis/redisio/conn"
	"example.com/beamredis/redisio/internal/redistest"
)

// tlsChildAddr makes TestTLSUsesTheSystemRoots ping that address.
const tlsChildAddr = "BEAMREDIS_TEST_TLS_ADDR"

// The system's roots are read once per process, so a process of its own is
// needed to have the test's certificate among them.
func TestTLSUsesTheSystemRoots(t *testing.T) {
	if addr := os.Getenv(tlsChildAddr); addr != "" {
		c, err := Open(conn.Config{Addr: addr, TLS: true})
		if err != nil {
			t.Fatal(err)
		}
		if err := c.Ping(t.Context()); err != nil {
			t.Fatal(err)
		}
		return
	}
	certs := redistest.NewCertificates(t)
	server := redistest.Start(t, redistest.TLS(certs))
	child := exec.Command(os.Args[0], "-test.run=^"+t.Name()+"$")
	child.Env = append(os.Environ(), tlsChildAddr+"="+server.Addr(), "SSL_CERT_FILE="+certs.CA)
	if out, err := child.CombinedOutput(); err != nil {
		t.Errorf("PING over TLS: %v\n%s", err, out)
	}
}
