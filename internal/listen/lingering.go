package listen

import (
	"cmp"
	"errors"
	"net"
	"os"
	"time"
)

// Bounds of lingering; see the method linger.
const (
	// maxLingering is how many connections may linger at a time.
	maxLingering = 1024
	// lingerTime is how long one may take where Timeouts does not say.
	lingerTime = 30 * time.Second
	// lingerQuiet is how long a peer may be silent meanwhile.
	lingerQuiet = 5 * time.Second
	// maxLingerBytes is how much a peer may go on sending. Many clients send all of
	// their content before they read a byte of the answer.
	maxLingerBytes = 64 << 20
)

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

// linger ends a connection in stages, as nginx's lingering_close does (RFC 9112,
// 9.6): it sends its end, reads and discards what the peer still sends until the
// peer ends the connection too, and only then closes the socket. A socket that
// is closed while bytes are on their way to it is reset, and the reset overtakes
// the answer: a client that sends a large body and reads afterwards would find
// "connection reset" instead of its 413, and a balancer would take this server
// for a broken one.
//
// It returns at once; a goroutine of the listener does the waiting. Time, silence,
// bytes and the number of lingering connections are bounded. Beyond that number
// the oldest is cut. An ordinary peer is gone after one round trip, so the oldest
// is nearly always one that holds its place on purpose.
func (l *Listener) linger(c net.Conn) {
	l.mu.Lock()
	if l.closed {
		l.mu.Unlock()
		_ = closeNow(c)
		return
	}
	f := &lingeringConn{conn: c, deadline: time.Now().Add(cmp.Or(l.timeouts.Linger, lingerTime))}
	if l.lingering.Len() >= maxLingering {
		l.cutLocked(l.lingering.Front().Value.(*lingeringConn))
	}
	f.element = l.lingering.PushBack(f)
	l.running.Go(func() { l.awaitEnd(f) })
	l.mu.Unlock()
}

// cutLocked ends a connection's wait. The caller holds mu.
func (l *Listener) cutLocked(f *lingeringConn) {
	l.lingering.Remove(f.element)
	f.element, f.deadline = nil, longAgo
	_ = f.conn.SetReadDeadline(longAgo)
}

// shortenLocked lets no connection linger longer than until then. The caller
// holds mu.
func (l *Listener) shortenLocked(until time.Time) {
	for e := l.lingering.Front(); e != nil; e = e.Next() {
		f := e.Value.(*lingeringConn)
		if f.deadline.After(until) {
			f.deadline = until
			_ = f.conn.SetReadDeadline(until)
		}
	}
}

// awaitEnd is the goroutine of one lingering connection.
func (l *Listener) awaitEnd(f *lingeringConn) {
	ended := closeWrite(f.conn) != nil // gone already, or there is no such stage
	for left := maxLingerBytes; !ended && left > 0; {
		l.mu.Lock()
		deadline := time.Now().Add(lingerQuiet)
		if f.deadline.Before(deadline) {
			deadline = f.deadline
		}
		_ = f.conn.SetReadDeadline(deadline)
		l.mu.Unlock()
		n, err := discard(f.conn)
		if errors.Is(err, os.ErrDeadlineExceeded) {
			break
		}
		left -= n
		ended = err != nil
	}
	if !ended {
		l.cut.Add(1)
	}
	l.mu.Lock()
	if f.element != nil {
		l.lingering.Remove(f.element)
	}
	l.mu.Unlock()
	_ = closeNow(f.conn)
}
