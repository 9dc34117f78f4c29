package listen

import (
	"io"
	"net"
	"sync"
)

// Answerer answers requests before fasthttp sees them.
type Answerer interface {
	// Answer answers as many of the requests that in begins with as it can at once. It
	// may wait to answer the first of them, and then tells the connection so (Conn.Handling);
	// it does not wait for any other. It appends the answers to out, and tells how many
	// bytes of in they are for; the rest goes to fasthttp. It keeps nothing of in, and must
	// be safe for concurrent use.
	Answer(c net.Conn, in, out []byte) (answered int, answers []byte)
}

// SetAnswerer has requests answered by a before fasthttp sees them. It must be called before
// the first Accept.
func (l *Listener) SetAnswerer(a Answerer) { l.answerer = a }

// outputs are buffers for answers on their way. A connection has one only while it answers.
var outputs = sync.Pool{New: func() any { return new([]byte) }}

// maxKeptOutput is how large a buffer may be that is kept for other connections.
const maxKeptOutput = 128 << 10

// readAnswering is Read where an Answerer comes first: n and err are what came of a read. It
// answers and reads again, until there is something for fasthttp.
//
// Between two requests it may do so, since then nothing else writes to the connection, and
// no byte of a request is elsewhere. That this is such a moment the phase tells: fasthttp
// (serveConnCounted) reads in phaseNew and phaseIdle only to wait for the first byte of a
// request.
//
//   - The phase is new until fasthttp reports StateActive, and idle from StateIdle to the next
//     StateActive. In between lies one call that reads, br.Peek(1). It reads only if br is
//     empty, so no byte that came earlier waits there, and what is read is the beginning of a
//     request: content that was left is either read by then or counted in skip.
//   - It has nothing left to write: behind each answer it flushes if br is empty. From there
//     to the next Peek br can only become emptier where fasthttp itself drops content, and as
//     the handlers hide content from it, there is none. Before the first request there
//     is no writer.
//   - It sets no deadline between two requests, since it was told no timeout; the timeouts of a
//     Listener go by the phase, which is set here as fasthttp's states set it.
//
// What fasthttp does not see, it does not count: for it the connection is still new. That
// shows in two places. An error instead of a first request is answered, but one instead of a
// later request is not, hence the io.EOF here. And Shutdown closes a connection that is new
// for five seconds, as it does one that is idle; but it comes behind Quiesce, when both are
// gone.
func (c *Conn) readAnswering(p []byte, n int, err error) (int, error) {
	for {
		phase := c.phase()
		if n == 0 {
			if c.answered && err != nil && phase == phaseIdle {
				err = io.EOF
			}
			return n, err
		}
		if phase != phaseIdle && phase != phaseNew || c.direct != nil && c.direct.seen {
			return n, err
		}
		left := c.answer(p[:n])
		switch {
		case left < 0:
			return 0, io.EOF
		case left > 0, err != nil:
			return left, err
		}
		n, err = c.read(p)
	}
}

// answer answers what in begins with, and moves what is left to its beginning: so many bytes;
// -1 says that the peer takes no answer any more. A peer that does not read is waited for as long
// as for an answer of fasthttp's.
func (c *Conn) answer(in []byte) (left int) {
	out := outputs.Get().(*[]byte)
	defer func() {
		if cap(*out) <= maxKeptOutput {
			outputs.Put(out)
		}
	}()
	rest := in
	for len(rest) > 0 {
		var n int
		n, *out = c.listener.answerer.Answer(c, rest, (*out)[:0])
		if n == 0 {
			break
		}
		rest = rest[n:]
		c.answered = true
		c.setPhase(phaseWriting)
		if c.send(*out) != nil {
			return -1
		}
	}
	if len(rest) == len(in) {
		return len(in)
	}
	c.setPhase(phaseIdle)
	return copy(in, rest)
}
