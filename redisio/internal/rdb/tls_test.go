package rdb

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"math/big"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"example.com/beamredis/redisio/conn"
	"example.com/beamredis/redisio/internal/redistest"
)

type tlsServer struct{ addr, certFile string }

// startTLS runs a server that also listens for TLS, with a certificate for
// 127.0.0.1 that it signed itself.
func startTLS(t *testing.T) tlsServer {
	t.Helper()
	cert, key := selfSigned(t)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	addr := l.Addr().String()
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	_, port, err := net.SplitHostPort(addr)
	if err != nil {
		t.Fatal(err)
	}
	redistest.Start(t, redistest.Args("--tls-port", port, "--tls-auth-clients", "no",
		"--tls-cert-file", cert, "--tls-key-file", key, "--tls-ca-cert-file", cert))
	return tlsServer{addr: addr, certFile: cert}
}

func selfSigned(t *testing.T) (certFile, keyFile string) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), IsCA: true, BasicConstraintsValid: true,
		NotAfter: time.Now().Add(time.Hour), IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
	}
	cert, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	return writePEM(t, "CERTIFICATE", cert), writePEM(t, "PRIVATE KEY", private)
}

func writePEM(t *testing.T, kind string, der []byte) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "pem")
	if err := os.WriteFile(path, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

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
	s := startTLS(t)
	child := exec.Command(os.Args[0], "-test.run=^"+t.Name()+"$")
	child.Env = append(os.Environ(), tlsChildAddr+"="+s.addr, "SSL_CERT_FILE="+s.certFile)
	if out, err := child.CombinedOutput(); err != nil {
		t.Errorf("PING over TLS: %v\n%s", err, out)
	}
}
