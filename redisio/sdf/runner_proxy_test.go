package sdf

import (
	"bytes"
	"net"
	"sync"
	"testing"
)

// lossyProxy stands between a client and a server, and can lose the reply to a
// command that the server has carried out.
type lossyProxy struct {
	server string
	ln     net.Listener

	mu   sync.Mutex
	lose []byte // the reply to the next request that contains this
	lost int
	drop bool // the request does not even reach the server
}

func newLossyProxy(t *testing.T, server string) *lossyProxy {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p := &lossyProxy{server: server, ln: ln}
	t.Cleanup(func() { _ = ln.Close() })
	go p.serve()
	return p
}

func (p *lossyProxy) addr() string { return p.ln.Addr().String() }

// loseReplyTo cuts the connection on which the next request that contains
// command comes, when the server has replied to it.
func (p *lossyProxy) loseReplyTo(command string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.lose = []byte(command)
}

func (p *lossyProxy) losses() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.lost
}

// marks reports whether the reply to request is to be lost.
func (p *lossyProxy) marks(request []byte) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.lose == nil || !bytes.Contains(request, p.lose) {
		return false
	}
	p.lose = nil
	p.lost++
	return true
}

func (p *lossyProxy) serve() {
	for {
		client, err := p.ln.Accept()
		if err != nil {
			return
		}
		server, err := net.Dial("tcp", p.server)
		if err != nil {
			_ = client.Close()
			continue
		}
		go p.carry(client, server)
	}
}

// carry passes requests and replies until either side ends.
func (p *lossyProxy) carry(client, server net.Conn) {
	var marked sync.Once
	lose := make(chan struct{})
	go copyChunks(client, server, func(request []byte) bool {
		if p.marks(request) {
			marked.Do(func() { close(lose) })
			return !p.drop
		}
		return true
	})
	copyChunks(server, client, func([]byte) bool {
		select {
		case <-lose:
			return false
		default:
			return true
		}
	})
}

// copyChunks passes what from sends on to to, as long as pass allows, and ends
// both.
func copyChunks(from, to net.Conn, pass func([]byte) bool) {
	defer from.Close()
	defer to.Close()
	buf := make([]byte, 1<<20)
	for {
		n, err := from.Read(buf)
		if err != nil || !pass(buf[:n]) {
			return
		}
		if _, err := to.Write(buf[:n]); err != nil {
			return
		}
	}
}

// throughProxy makes the runner's workers reach the server through a proxy.
func (r *runner) throughProxy() *lossyProxy {
	r.t.Helper()
	p := newLossyProxy(r.t, r.server.Addr())
	r.cfg.Conn.Addr = p.addr()
	r.newWorker()
	return p
}
