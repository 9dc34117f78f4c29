package listen

import (
	"crypto/tls"
	"net"
	"sync/atomic"
	"time"

	"github.com/valyala/fasthttp"
)

// Conn is a connection of a WatchedListener. fasthttp does not know it, so an
// answer larger than the write buffer takes two writes instead of one.
type Conn struct {
	net.Conn
	from  *WatchedListener
	wire  *wire        // below TLS; nil without
	state atomic.Int64 // ms << phaseBits | phase
	asked atomic.Bool  // the read deadline is a question, see askLocked; set under from.mu
	over  atomic.Bool  // Close was called
	last  atomic.Bool  // the peer has said that it sends no more; see Last
	skip  int          // bytes to be dropped before the next request; see Skip
}

// What a connection is at.
const (
	reading  = iota
	handling // a request is worked on; the peer is not to blame
	writing
	idle
	late    // was reading too long: it reads nothing more, and may write its last answer
	cut     // was late or writing too long: it neither reads nor writes
	fresh   // opened, and no byte of a request has come yet
	leaving // has said that it ends, and is seen off by its own goroutine

	phaseBits = 3
)

// session is what fasthttp knows a connection over TLS by; *tls.Conn has it.
type session interface {
	Handshake() error
	ConnectionState() tls.ConnectionState
}

// secureConn is a Conn over TLS. The type is one of its own because fasthttp
// takes whatever has these methods for TLS, so a plain Conn must not.
type secureConn struct {
	*Conn
	session
}

// past as a deadline ends what waits for it at once.
var past = time.Unix(1, 0)

// NetConn is the connection below, for whoever needs the socket.
func (c *Conn) NetConn() net.Conn { return c.Conn }

// Close ends the connection and forgets it. It does not wait for the peer: where
// that may still be sending, the connection is seen off by the listener; see
// linger.
func (c *Conn) Close() error {
	if c.over.Swap(true) {
		return net.ErrClosed
	}
	c.from.mu.Lock()
	delete(c.from.conns, c)
	c.from.mu.Unlock()
	if c.mayBeSending() {
		c.from.linger(c.Conn)
		return nil
	}
	return part(c.Conn)
}

// mayBeSending says whether bytes of the peer may be lost on the way, or lie
// unread, so that closing the socket would reset it and cost the peer an answer.
// They do no harm where there is no answer: on a connection that was cut, or on
// which nothing is under way.
func (c *Conn) mayBeSending() bool {
	switch c.phase() {
	case cut, idle, leaving:
		return false
	case fresh:
		// Over TLS the answer is an alert. A client of TLS 1.3 sends its request
		// before it knows whether its certificate was good enough.
		return c.wire != nil
	}
	bytes, ended := queued(c.Conn)
	return !ended && (bytes || !c.last.Load())
}

// Last notes that the request under way was read to its end, and that its peer
// has said that it sends no other.
func (c *Conn) Last() { c.last.Store(true) }

// Skip has so many bytes of content dropped that nobody wants to read, before
// the next request. They have to come in the time of a request. Only for the
// goroutine that reads the connection, which must hold none of them.
func (c *Conn) Skip(n int) { c.skip = n }

func (c *Conn) enter(phase int64) { c.state.Store(c.from.now.Load()<<phaseBits | phase) }

func (c *Conn) phase() int64 { return c.state.Load() & (1<<phaseBits - 1) }

// Reading notes that more of the request is awaited: after Handling, for a body
// that is read by the handler.
func (c *Conn) Reading() { c.enter(reading) }

// Handling notes that a request has arrived and is being worked on, for which
// the peer is not to blame.
func (c *Conn) Handling() { c.enter(handling) }

// Writing notes that the answer is on its way.
func (c *Conn) Writing() { c.enter(writing) }

// ConnState is for the field of that name in a fasthttp.Server. The server must
// set no read timeout and no idle timeout of its own: CloseIdle and the sweep
// use the read deadline.
func ConnState(c net.Conn, s fasthttp.ConnState) {
	watched, ok := c.(*Conn)
	if !ok {
		secure, isTLS := c.(*secureConn)
		if !isTLS {
			return
		}
		watched = secure.Conn
	}
	switch s {
	case fasthttp.StateActive:
		watched.enter(reading)
	case fasthttp.StateIdle:
		if watched.skip > 0 { // the rest of a request is still to come
			watched.enter(reading)
			return
		}
		watched.enter(idle)
	}
}

// end makes what the connection waits for fail. If it is gone already, that
// does no harm.
func (c *Conn) end(phase int64) {
	if phase == late {
		_ = c.SetReadDeadline(past)
		return
	}
	// The kernel would keep what the peer does not read, megabytes of it, and
	// offer it for minutes after the connection is closed.
	if l, ok := under[interface{ SetLinger(seconds int) error }](c.Conn); ok {
		_ = l.SetLinger(0)
	}
	_ = c.SetDeadline(past)
}

// under finds what is a T among a connection and those below it, from the top.
func under[T any](c net.Conn) (found T, ok bool) {
	for c != nil {
		if found, ok = c.(T); ok {
			return found, true
		}
		wrapper, wraps := c.(interface{ NetConn() net.Conn })
		if !wraps {
			break
		}
		c = wrapper.NetConn()
	}
	return found, false
}

// closeWrite ends what is said on a connection, on TLS and on the socket below,
// and leaves it open for reading. It waits for nobody. An error means that the
// peer may not have been told.
func closeWrite(c net.Conn) error {
	type half interface{ CloseWrite() error }
	if session, ok := c.(*tls.Conn); ok {
		if w, ok := under[*wire](c); ok {
			w.parting.Store(true)
		}
		_ = session.CloseWrite() // fails before the handshake is done; the socket says it, too
		c = session.NetConn()
	}
	if h, ok := under[half](c); ok {
		return h.CloseWrite()
	}
	return net.ErrClosed
}

// part closes a connection without waiting for anybody, which a *tls.Conn by
// itself does for five seconds.
func part(c net.Conn) error {
	if w, ok := under[*wire](c); ok {
		w.parting.Store(true)
	}
	return c.Close()
}
