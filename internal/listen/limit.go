package listen

import (
	"log/slog"
	"net"
	"time"
)

// Limit is how many connections a Listener may hold open at a time, and how the
// others are refused.
//
// fasthttp has a bound of its own, which answers in plain text, from the
// goroutine that accepts. Set it above this one, so that it is never reached:
// between a connection's end and that of its worker there is a moment.
type Limit struct {
	// Conns is the number; 0 means any.
	Conns int
	// Refusals are whole HTTP responses with Content-Length and Connection:
	// close. They are sent in turn, so that their Retry-After can differ and
	// those refused together do not come back together. None: connections beyond
	// Conns are just closed. The bytes must not change.
	Refusals [][]byte
	// Log hears of refusals now and then, if it is there.
	Log *slog.Logger
}

const (
	// maxRefusals bounds the refusals under way, and with them the goroutines
	// and descriptors that connections beyond the limit can take.
	maxRefusals = 128
	// refusalTimeout is what writing a refusal may take, over TLS with the handshake,
	// so that each place is free again soon however slow its peer is.
	refusalTimeout = time.Second
)

// SetLimit replaces the limit. Connections that are open stay, however many; new ones are refused until there are fewer.
// It may be called from anywhere at any time.
//
// A connection beyond the bound is not handed out: it is answered at once,
// without waiting for its request, and closed. Accept waits for none of this.
// When too many refusals are under way already, the connection is closed
// without a word.
func (w *Listener) SetLimit(l Limit) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.limit = l
}

// Refused is how many connections were refused so far, for metrics.
func (w *Listener) Refused() uint64 { return w.refused.Load() }

// Conns is how many connections are open, for metrics. Those being refused do not
// count.
func (w *Listener) Conns() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return len(w.conns)
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
