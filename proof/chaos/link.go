package main

import (
	"sync/atomic"

	"hearth/bench/load"
)

// link is a connection to an instance that may be ended and started meanwhile. It is
// used by one goroutine at a time.
type link struct {
	*load.Conn
	restarts *atomic.Uint64 // how often the instance was ended or started: odd while it is away
	seen     uint64         // of them, when something was asked last
}

// connect is a connection to an instance, which is opened when something is asked.
func (h *harness) connect(instance int) *link {
	return &link{Conn: load.NewConn(h.hearths[instance].Public, answerWithin), restarts: &h.restarts[instance]}
}

// begin is called before something is asked: what a former process has left of the
// connection is no use.
func (l *link) begin() {
	if now := l.restarts.Load(); now != l.seen {
		l.Close()
		l.seen = now
	}
}

// excused tells whether what was asked since may have failed because the instance was
// ended, or is not there yet.
func (l *link) excused() bool { return l.seen%2 == 1 || l.restarts.Load() != l.seen }
