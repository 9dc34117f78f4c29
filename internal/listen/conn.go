package listen

import (
	"crypto/tls"
	"net"
	"sync/atomic"

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
	answered       bool         // requests that fasthttp has not seen; of the goroutine that reads
	direct         *direct      // nil: it is read by Conn; of the goroutine that reads
	blind          atomic.Bool  // waits without having looked for the peer's end; see direct
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

// secureConn is a Conn over TLS. It has a type of its own because fasthttp takes
// every connection with these methods for TLS, so a plain Conn must not have them.
type secureConn struct {
	*Conn
	tlsConn
}

// NetConn is the connection below.
func (c *Conn) NetConn() net.Conn { return c.Conn }

// Last notes that the request under way was read to its end, and that the peer has
// announced that it sends no other.
func (c *Conn) Last() { c.noMore.Store(true) }

// Skip makes Read drop so many bytes of unwanted content before the next request.
// They have to come within the time of a request. Only the goroutine that reads
// the connection may call it, and it must hold none of them.
func (c *Conn) Skip(n int) { c.skip = n }

// setPhase notes the phase and when it began. It is all that a request costs.
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
	own, ok := c.(interface{ self() *Conn }) // *Conn, or *secureConn
	if !ok {
		return
	}
	switch conn := own.self(); {
	case s == fasthttp.StateActive, s == fasthttp.StateIdle && conn.skip > 0: // more of a request is still to come
		conn.setPhase(phaseReading)
	case s == fasthttp.StateIdle:
		conn.setPhase(phaseIdle)
	}
}

func (c *Conn) self() *Conn { return c }

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
