package listen

import (
	"errors"
	"io"
	"os"
	"time"
)

// Read reads as the connection below does, what an Answerer answers excepted. When it was
// woken by a request to close, it either goes on reading, or ends the connection and
// returns io.EOF.
func (c *Conn) Read(p []byte) (int, error) {
	n, err := c.read(p)
	switch {
	case c.skip > 0:
		return c.readPastSkipped(p, n, err)
	case c.listener.answerer != nil:
		return c.readAnswering(p, n, err)
	}
	return n, err
}

func (c *Conn) read(p []byte) (int, error) {
	var n int
	var err error
	if c.direct != nil {
		n, err = c.readDirect(p)
	} else {
		n, err = c.Conn.Read(p)
	}
	if c.closeRequested.Load() {
		return c.answerCloseRequest(p, n, err)
	}
	return n, err
}

// readPastSkipped is the slow path of Read while content is dropped: n bytes of
// it, or of what comes behind it, are in p.
func (c *Conn) readPastSkipped(p []byte, n int, err error) (int, error) {
	for {
		dropped := min(c.skip, n)
		c.skip -= dropped
		if n -= dropped; n > 0 || err != nil {
			copy(p, p[dropped:dropped+n])
			return n, err
		}
		if c.skip == 0 {
			c.setPhase(phaseIdle)
		}
		n, err = c.read(p)
	}
}

// requestCloseLocked wakes the goroutine that reads the connection, or is about
// to, and makes it decide whether the connection ends. It reports false if that
// was requested already. The caller holds listener.mu.
func (c *Conn) requestCloseLocked() bool {
	if c.closeRequested.Load() {
		return false
	}
	c.closeRequested.Store(true)
	_ = c.SetReadDeadline(longAgo)
	return true
}

// answerCloseRequest is the slow path of Read when the connection was asked to
// close, while Read waited or before. A deadline does not take bytes away: those
// that had come are either in p or still in the kernel.
func (c *Conn) answerCloseRequest(p []byte, n int, err error) (int, error) {
	phase := c.takeCloseRequest()
	switch {
	case n > 0, !errors.Is(err, os.ErrDeadlineExceeded), phase == phaseTimedOut, phase == phaseAborted:
		return n, err
	case phase != phaseIdle && phase != phaseNew, hasUnread(c.Conn):
		return c.read(p)
	case c.records != nil && c.records.midRecord():
		c.setPhase(phaseReading) // the request's first byte is here, and its time runs
		return c.read(p)
	}
	return 0, c.shutdown(p)
}

// takeCloseRequest clears the request and returns the phase. The lock orders it
// with requestCloseLocked and with timeOut, whose deadline must stay.
func (c *Conn) takeCloseRequest() int64 {
	c.listener.mu.Lock()
	defer c.listener.mu.Unlock()
	c.closeRequested.Store(false)
	phase := c.phase()
	if phase != phaseTimedOut && phase != phaseAborted {
		_ = c.SetReadDeadline(time.Time{})
	}
	return phase
}

// closeGrace is how long a connection that has sent its end waits for that of its
// peer.
const closeGrace = time.Second

// shutdown ends the connection from its own goroutine. It reads until the peer
// has seen the end: closing a socket that bytes are on their way to resets it.
func (c *Conn) shutdown(p []byte) error {
	c.setPhase(phaseClosing)
	if closeWrite(c.Conn) != nil {
		return io.EOF
	}
	_ = c.SetReadDeadline(time.Now().Add(closeGrace))
	if n, _ := c.Conn.Read(p); n > 0 {
		c.listener.crossed.Add(1)
	}
	return io.EOF
}
