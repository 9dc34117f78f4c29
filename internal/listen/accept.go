package listen

import (
	"net"
	"time"
)

const (
	// maxRefusals bounds the refusals under way, and with them the goroutines
	// and descriptors that connections beyond the limit can take.
	maxRefusals = 128
	// refusalTimeout is what writing a refusal may take, over TLS with the handshake,
	// so that each place is free again soon however slow its peer is.
	refusalTimeout = time.Second
)

// Accept waits for the next connection that there is room for. It does no
// handshake and reads nothing, so no peer can hold up the others. A *Conn is
// returned, or what embeds one and has the methods by which fasthttp knows TLS.
func (l *Listener) Accept() (net.Conn, error) {
	for {
		c, err := l.Listener.Accept()
		if err != nil {
			return nil, err
		}
		watched := l.admit(c)
		if watched == nil {
			l.refuse(c)
			continue
		}
		if session, ok := c.(tlsConn); ok {
			return &secureConn{Conn: watched, tlsConn: session}, nil
		}
		return watched, nil
	}
}

// admit makes c one of the open connections; nil says that there is no room.
func (l *Listener) admit(c net.Conn) *Conn {
	watched := &Conn{Conn: c, listener: l}
	watched.records, _ = unwrap[*recordConn](c)
	watched.setPhase(phaseNew)
	if l.answerer != nil && l.opened.Load() {
		watched.direct = newDirect(watched)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.limit.Conns > 0 && len(l.conns) >= l.limit.Conns {
		return nil
	}
	l.conns[watched] = struct{}{}
	return watched
}

// refuse turns away a connection that was just accepted.
func (l *Listener) refuse(c net.Conn) {
	n := l.refused.Add(1)
	l.mu.Lock()
	bound := l.limit
	place := len(bound.Refusals) > 0 && !l.closed && len(l.refusing) < maxRefusals
	if place {
		// Set here, where Close cannot have shortened it yet.
		_ = c.SetDeadline(time.Now().Add(refusalTimeout))
		l.refusing[c] = struct{}{}
		l.running.Go(func() { l.sendRefusal(c, bound.Refusals[n%uint64(len(bound.Refusals))]) })
	}
	l.mu.Unlock()
	if !place {
		_ = closeNow(c)
	}
	if bound.Log != nil && l.logged.allow() {
		bound.Log.Warn("refusing connections, as many as may be are open; raise server.max_in_flight, or find out who opens them",
			"listener", l.Addr().String(), "open", bound.Conns, "refused", n)
	}
}

// sendRefusal sends a refusal and lets the connection linger, since its peer is
// about to send a request, or does already. Over TLS a handshake comes first.
func (l *Listener) sendRefusal(c net.Conn, refusal []byte) {
	_, err := c.Write(refusal)
	l.mu.Lock()
	delete(l.refusing, c)
	l.mu.Unlock()
	if err != nil {
		_ = closeNow(c)
		return
	}
	l.linger(c)
}
