package listen

import (
	"crypto/tls"
	"net"
	"sync/atomic"
	"time"

	"github.com/valyala/fasthttp"
)

// Conn is a connection of a Listener. fasthttp does not know the type, so an
// answer larger than the write buffer takes two writes instead of one.
type Conn struct {
	net.Conn
	listener       *Listener
	records        *recordConn  // below TLS; nil without
	state          atomic.Int64 // ms << phaseBits | phase
	closeRequested atomic.Bool  // the read deadline asks to close, see requestCloseLocked; set under listener.mu
	closed         atomic.Bool  // Close was called
	noMore         atomic.Bool  // the peer has said that it sends no more; see Last
	skip           int          // bytes to be dropped before the next request; see Skip
}

// Phases of a connection.
const (
	phaseReading  = iota
	phaseHandling // a request is worked on, and no timeout runs
	phaseWriting
	phaseIdle
	phaseTimedOut // was reading too long: it reads nothing more, and may write its last answer
	phaseAborted  // was timed out or writing too long: it neither reads nor writes
	phaseNew      // opened, and no byte of a request has come yet
	phaseClosing  // has sent its end, and waits briefly for that of its peer

	phaseBits = 3
)

// tlsConn is what fasthttp knows a connection over TLS by; *tls.Conn has it.
type tlsConn interface {
	Handshake() error
	ConnectionState() tls.ConnectionState
}

// secureConn is a Conn over TLS. The type is one of its own because fasthttp
// takes whatever has these methods for TLS, so a plain Conn must not.
type secureConn struct {
	*Conn
	tlsConn
}

// longAgo as a deadline ends at once whatever waits for it.
var longAgo = time.Unix(1, 0)

// NetConn is the connection below.
func (c *Conn) NetConn() net.Conn { return c.Conn }

// Close ends the connection and forgets it. It does not wait for the peer. Where
// the peer may still be sending, the listener lets the connection linger.
func (c *Conn) Close() error {
	if c.closed.Swap(true) {
		return net.ErrClosed
	}
	c.listener.mu.Lock()
	delete(c.listener.conns, c)
	c.listener.mu.Unlock()
	if c.mayBeSending() {
		c.listener.linger(c.Conn)
		return nil
	}
	return closeNow(c.Conn)
}

// mayBeSending says whether bytes of the peer may be lost on the way, or lie
// unread, so that closing the socket would reset it and cost the peer an answer.
// There is nothing to lose where there is no answer: on a connection that was
// aborted, or on which nothing is under way.
func (c *Conn) mayBeSending() bool {
	switch c.phase() {
	case phaseAborted, phaseIdle, phaseClosing:
		return false
	case phaseNew:
		// Over TLS the answer is an alert. A client of TLS 1.3 sends its request
		// before it knows whether its certificate was good enough.
		return c.records != nil
	}
	bytes, ended := peek(c.Conn)
	return !ended && (bytes || !c.noMore.Load())
}

// Last notes that the request under way was read to its end, and that its peer
// has said that it sends no other.
func (c *Conn) Last() { c.noMore.Store(true) }

// Skip has so many bytes of content dropped that nobody wants to read, before
// the next request. They have to come in the time of a request. Only for the
// goroutine that reads the connection, which must hold none of them.
func (c *Conn) Skip(n int) { c.skip = n }

func (c *Conn) setPhase(phase int64) { c.state.Store(c.listener.now.Load()<<phaseBits | phase) }

func (c *Conn) phase() int64 { return c.state.Load() & (1<<phaseBits - 1) }

// Reading notes that more of the request is awaited: after Handling, for a body
// that is read by the handler.
func (c *Conn) Reading() { c.setPhase(phaseReading) }

// Handling notes that a request has arrived and is being worked on. No timeout of
// the peer runs meanwhile.
func (c *Conn) Handling() { c.setPhase(phaseHandling) }

// Writing notes that the answer is on its way.
func (c *Conn) Writing() { c.setPhase(phaseWriting) }

// ConnState is for the field of that name in a fasthttp.Server. The server must
// set no read timeout and no idle timeout of its own: the listener uses the read
// deadline.
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
		watched.setPhase(phaseReading)
	case fasthttp.StateIdle:
		if watched.skip > 0 { // the rest of a request is still to come
			watched.setPhase(phaseReading)
			return
		}
		watched.setPhase(phaseIdle)
	}
}

// timeOut makes what the connection waits for fail. If the connection is gone
// already, that does no harm.
func (c *Conn) timeOut(phase int64) {
	if phase == phaseTimedOut {
		_ = c.SetReadDeadline(longAgo)
		return
	}
	// The kernel would keep what the peer does not read, megabytes of it, and
	// offer it for minutes after the connection is closed.
	if l, ok := unwrap[interface{ SetLinger(seconds int) error }](c.Conn); ok {
		_ = l.SetLinger(0)
	}
	_ = c.SetDeadline(longAgo)
}

// unwrap finds what is a T among a connection and those below it, from the top.
func unwrap[T any](c net.Conn) (found T, ok bool) {
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

// closeWrite sends the end of a connection, by TLS and by the socket below, and
// leaves it open for reading. It does not wait. An error means that the peer may
// not have been told.
func closeWrite(c net.Conn) error {
	type half interface{ CloseWrite() error }
	if session, ok := c.(*tls.Conn); ok {
		if w, ok := unwrap[*recordConn](c); ok {
			w.closing.Store(true)
		}
		_ = session.CloseWrite() // fails before the handshake is done; the socket says it, too
		c = session.NetConn()
	}
	if h, ok := unwrap[half](c); ok {
		return h.CloseWrite()
	}
	return net.ErrClosed
}

// closeNow closes a connection without waiting. A *tls.Conn by itself waits for
// its peer for up to five seconds.
func closeNow(c net.Conn) error {
	if w, ok := unwrap[*recordConn](c); ok {
		w.closing.Store(true)
	}
	return c.Close()
}
