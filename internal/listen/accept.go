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
func (w *Listener) Accept() (net.Conn, error) {
	for {
		c, err := w.Listener.Accept()
		if err != nil {
			return nil, err
		}
		watched := w.admit(c)
		if watched == nil {
			w.refuse(c)
			continue
		}
		if session, ok := c.(tlsConn); ok {
			return &secureConn{Conn: watched, tlsConn: session}, nil
		}
		return watched, nil
	}
}

// admit makes c one of the open connections; nil says that there is no room.
func (w *Listener) admit(c net.Conn) *Conn {
	watched := &Conn{Conn: c, listener: w}
	watched.records, _ = unwrap[*recordConn](c)
	watched.setPhase(phaseNew)
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.limit.Conns > 0 && len(w.conns) >= w.limit.Conns {
		return nil
	}
	w.conns[watched] = struct{}{}
	return watched
}

// refuse turns away a connection that was just accepted.
func (w *Listener) refuse(c net.Conn) {
	n := w.refused.Add(1)
	w.mu.Lock()
	bound := w.limit
	place := len(bound.Refusals) > 0 && !w.closed && len(w.refusing) < maxRefusals
	if place {
		// Set here, where Close cannot have shortened it yet.
		_ = c.SetDeadline(time.Now().Add(refusalTimeout))
		w.refusing[c] = struct{}{}
		w.running.Go(func() { w.sendRefusal(c, bound.Refusals[n%uint64(len(bound.Refusals))]) })
	}
	w.mu.Unlock()
	if !place {
		_ = closeNow(c)
	}
	if bound.Log != nil && w.logged.allow() {
		bound.Log.Warn("refusing connections, as many as may be are open; raise server.max_in_flight, or find out who opens them",
			"listener", w.Addr().String(), "open", bound.Conns, "refused", n)
	}
}

// sendRefusal sends a refusal and lets the connection linger, since its peer is
// about to send a request, or does already. Over TLS a handshake comes first.
func (w *Listener) sendRefusal(c net.Conn, refusal []byte) {
	_, err := c.Write(refusal)
	w.mu.Lock()
	delete(w.refusing, c)
	w.mu.Unlock()
	if err != nil {
		_ = closeNow(c)
		return
	}
	w.linger(c)
}
