package redistest

import (
	"net"
	"sync"
	"testing"
	"time"
)

// Fault is what a [Proxy] does to a request, or to its reply.
type Fault int

// The faults.
const (
	// CutBefore ends the connection, and the server sees nothing of the request.
	CutBefore Fault = iota
	// CutWithin ends the connection when half of the request has passed.
	CutWithin
	// CutAfter ends the connection when the request has passed, before the reply.
	CutAfter
	// DelayReply keeps replies back for the proxy's delay, after which they come.
	DelayReply
	// DelayRequest keeps the request back for the proxy's delay, after which the
	// server carries it out, whatever has become of the client.
	DelayRequest
)

// Proxy stands between clients and a server and does harm to every so many
// requests: what one read of a connection brings, at least minRequest bytes.
type Proxy struct {
	t      testing.TB
	server string
	ln     net.Listener
	every  int
	delay  time.Duration
	faults []Fault

	mu       sync.Mutex
	accepted int
	requests int
	done     map[Fault]int
	late     int // requests and replies that are kept back
}

// minRequest leaves alone what a client sends when it connects.
const minRequest = 400

// Through returns the address of a proxy to s that does the faults in turn to
// every nth request. It ends with the test.
func (s *Server) Through(every int, delay time.Duration, faults ...Fault) *Proxy {
	s.t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		s.t.Fatal(err)
	}
	p := &Proxy{t: s.t, server: s.Addr(), ln: ln, every: every, delay: delay, faults: faults, done: map[Fault]int{}}
	s.t.Cleanup(func() { _ = ln.Close() })
	go p.serve()
	return p
}

// Addr is the proxy's host:port.
func (p *Proxy) Addr() string { return p.ln.Addr().String() }

// Done returns how often each fault was done.
func (p *Proxy) Done(f Fault) int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.done[f]
}

// Accepted is how many connections were made to the proxy.
func (p *Proxy) Accepted() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.accepted
}

// Idle reports whether nothing is kept back any more.
func (p *Proxy) Idle() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.late == 0
}

// keepBack returns after the proxy's delay.
func (p *Proxy) keepBack() {
	p.count(1)
	<-time.After(p.delay)
}

func (p *Proxy) count(n int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.late += n
}

// next decides about a request.
func (p *Proxy) next(size int) (f Fault, harm bool) {
	if size < minRequest {
		return 0, false
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.requests++
	if p.requests%p.every != 0 {
		return 0, false
	}
	f = p.faults[(p.requests/p.every)%len(p.faults)]
	p.done[f]++
	return f, true
}

func (p *Proxy) accept() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.accepted++
}

func (p *Proxy) serve() {
	for {
		client, err := p.ln.Accept()
		if err != nil {
			return
		}
		p.accept()
		server, err := net.Dial("tcp", p.server)
		if err != nil {
			_ = client.Close()
			continue
		}
		c := &carrier{p: p, client: client, server: server}
		go c.requests()
		go c.replies()
	}
}

// carrier carries one connection.
type carrier struct {
	p              *Proxy
	client, server net.Conn

	mu   sync.Mutex
	next Fault // what is done to the next reply: CutAfter, DelayReply, or nothing
}

func (c *carrier) requests() {
	defer c.server.Close()
	defer c.client.Close()
	buf := make([]byte, 1<<20)
	for {
		n, err := c.client.Read(buf)
		if err != nil {
			return
		}
		f, harm := c.p.next(n)
		if harm && !c.pass(f, buf[:n]) {
			return
		}
		if harm {
			continue
		}
		if _, err := c.server.Write(buf[:n]); err != nil {
			return
		}
	}
}

// pass passes a request on with a fault, and reports whether the connection
// goes on.
func (c *carrier) pass(f Fault, request []byte) bool {
	switch f {
	case CutBefore:
		return false
	case CutWithin:
		request = request[:len(request)/2]
	case DelayReply, CutAfter:
		c.setNext(f)
	case DelayRequest:
		c.p.keepBack()
		defer c.p.count(-1)
	}
	_, err := c.server.Write(request)
	return err == nil && f != CutWithin
}

func (c *carrier) setNext(f Fault) (before Fault) {
	c.mu.Lock()
	defer c.mu.Unlock()
	before, c.next = c.next, f
	return before
}

func (c *carrier) replies() {
	defer c.server.Close()
	defer c.client.Close()
	buf := make([]byte, 1<<20)
	for {
		n, err := c.server.Read(buf)
		if err != nil {
			return
		}
		switch c.setNext(CutBefore) {
		case CutAfter:
			return
		case DelayReply:
			c.p.keepBack()
			c.p.count(-1)
		}
		if _, err := c.client.Write(buf[:n]); err != nil {
			return
		}
	}
}
