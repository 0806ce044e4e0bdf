package redistest

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"testing"
	"time"
)

// Certificates are the paths of PEM files: an authority, a server's certificate
// for 127.0.0.1 and localhost, and a client's.
type Certificates struct {
	CA                    string
	Cert, Key             string
	ClientCert, ClientKey string
}

// NewCertificates makes certificates that are good for an hour, in a temporary
// folder. change may spoil that of the server.
func NewCertificates(t testing.TB, change ...func(server *x509.Certificate)) *Certificates {
	t.Helper()
	a := newAuthority(t, t.TempDir())
	server := &x509.Certificate{IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, DNSNames: []string{"localhost"}}
	server.NotBefore, server.NotAfter = time.Now().Add(-time.Hour), time.Now().Add(time.Hour)
	for _, f := range change {
		f(server)
	}
	c := &Certificates{CA: a.write("ca.crt", "CERTIFICATE", a.cert.Raw)}
	c.Cert, c.Key = a.issue("server", server)
	c.ClientCert, c.ClientKey = a.issue("client", &x509.Certificate{NotAfter: time.Now().Add(time.Hour)})
	return c
}

// Expired spoils a server's certificate by its date.
func Expired(server *x509.Certificate) { server.NotAfter = time.Now().Add(-time.Minute) }

// ForOtherHost spoils a server's certificate by its name.
func ForOtherHost(server *x509.Certificate) {
	server.IPAddresses, server.DNSNames = nil, []string{"redis.example"}
}

type authority struct {
	t    testing.TB
	dir  string
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
}

func newAuthority(t testing.TB, dir string) *authority {
	t.Helper()
	template := &x509.Certificate{
		Subject: pkix.Name{CommonName: "test authority"}, SerialNumber: big.NewInt(1), IsCA: true, BasicConstraintsValid: true,
		KeyUsage: x509.KeyUsageCertSign, NotAfter: time.Now().Add(time.Hour),
	}
	a := &authority{t: t, dir: dir, key: newKey(t)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &a.key.PublicKey, a.key)
	if err == nil {
		a.cert, err = x509.ParseCertificate(der)
	}
	if err != nil {
		t.Fatal(err)
	}
	return a
}

func newKey(t testing.TB) *ecdsa.PrivateKey {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func (a *authority) issue(name string, template *x509.Certificate) (certFile, keyFile string) {
	a.t.Helper()
	key := newKey(a.t)
	template.SerialNumber, template.Subject = big.NewInt(2), pkix.Name{CommonName: name}
	der, err := x509.CreateCertificate(rand.Reader, template, a.cert, &key.PublicKey, a.key)
	if err != nil {
		a.t.Fatal(err)
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		a.t.Fatal(err)
	}
	return a.write(name+".crt", "CERTIFICATE", der), a.write(name+".key", "PRIVATE KEY", private)
}

func (a *authority) write(name, kind string, der []byte) string {
	a.t.Helper()
	path := filepath.Join(a.dir, name)
	if err := os.WriteFile(path, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}), 0o600); err != nil {
		a.t.Fatal(err)
	}
	return path
}

// clientTLS is how a test's plain client connects, to a server with a spoiled
// certificate as well; nil: without TLS.
func (c *Certificates) clientTLS(t testing.TB) *tls.Config {
	t.Helper()
	if c == nil {
		return nil
	}
	pair, err := tls.LoadX509KeyPair(c.ClientCert, c.ClientKey)
	if err != nil {
		t.Fatal(err)
	}
	return &tls.Config{InsecureSkipVerify: true, Certificates: []tls.Certificate{pair}}
}
