package testkit

import (
	"io"
	"net"
	"sync"
	"sync/atomic"
)

// Relay is an address that moves: it passes connections on to one server, and from
// Retarget on to another, as a virtual address, a managed endpoint or a TCP proxy
// does. It reads nothing of what it carries, so any protocol goes through it. Its
// methods are safe for concurrent use.
type Relay struct {
	listener net.Listener
	dials    atomic.Int64
	running  sync.WaitGroup

	mu     sync.Mutex
	to     string // host:port; "": connections are refused as soon as they are made
	closed bool
	conns  map[net.Conn]struct{} // both ends of all that are open
}

// NewRelay starts a relay to a server at host:port, which ends with tb.
func NewRelay(tb TB, to string) *Relay {
	tb.Helper()
	// From the reserved range, so that nothing else takes the port meanwhile.
	l, err := net.Listen("tcp", hostPort(FreePort(tb)))
	if err != nil {
		tb.Fatal(err)
	}
	r := &Relay{listener: l, to: to, conns: map[net.Conn]struct{}{}}
	r.running.Go(r.accept)
	tb.Cleanup(r.close)
	return r
}

// Addr is the relay's own host:port.
func (r *Relay) Addr() string { return r.listener.Addr().String() }

// Dials is how many connections were made to the relay so far.
func (r *Relay) Dials() int64 { return r.dials.Load() }

// Retarget passes connections that are made from now on to another server. Those that
// are open stay with the one that they were made to: nothing tells a client that the
// address has moved. "" leads nowhere: a connection is closed as soon as it is made.
func (r *Relay) Retarget(to string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.to = to
}

// Cut ends all connections that are open, on both sides.
func (r *Relay) Cut() {
	r.mu.Lock()
	defer r.mu.Unlock()
	for conn := range r.conns {
		_ = conn.Close()
	}
	clear(r.conns)
}

func (r *Relay) accept() {
	for {
		client, err := r.listener.Accept()
		if err != nil {
			return
		}
		r.dials.Add(1)
		r.running.Go(func() { r.carry(client) })
	}
}

// carry ends when either end does.
func (r *Relay) carry(client net.Conn) {
	defer client.Close()
	r.mu.Lock()
	to := r.to
	r.mu.Unlock()
	if to == "" {
		return
	}
	server, err := net.DialTimeout("tcp", to, stepWithin)
	if err != nil {
		return
	}
	defer server.Close()
	if !r.keep(client, server) {
		return
	}
	defer r.drop(client, server)
	back := make(chan struct{})
	go func() {
		defer close(back)
		_, _ = io.Copy(client, server)
		_ = client.Close()
	}()
	_, _ = io.Copy(server, client)
	_ = server.Close()
	<-back
}

// keep notes what Cut has to end; false: the relay is closed already.
func (r *Relay) keep(conns ...net.Conn) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.closed {
		return false
	}
	for _, conn := range conns {
		r.conns[conn] = struct{}{}
	}
	return true
}

func (r *Relay) drop(conns ...net.Conn) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, conn := range conns {
		delete(r.conns, conn)
	}
}

func (r *Relay) close() {
	_ = r.listener.Close()
	r.mu.Lock()
	r.closed = true
	r.mu.Unlock()
	r.Cut()
	r.running.Wait()
}
