package listen

import (
	"io"
	"net"
	"testing"
	"time"
)

// TestSweepForgivesOurOwnAbsence: when the process wakes after a minute of
// standing still, what was accepted before the first sweep is not late.
func TestSweepForgivesOurOwnAbsence(t *testing.T) {
	inner, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	// Without the goroutine: the test decides when a sweep happens.
	w := &WatchedListener{Listener: inner, timeouts: Timeouts{Read: time.Second}, done: make(chan struct{}), conns: map[*Conn]struct{}{}}
	defer func() { _ = w.Close() }()
	peer, err := net.Dial("tcp", inner.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = peer.Close() }()
	c, err := w.Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = c.Close() }()

	w.sweep(time.Minute)
	if _, err := io.WriteString(peer, "x"); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Read(make([]byte, 1)); err != nil {
		t.Fatalf("the connection was ended: %v", err)
	}
	w.sweep(time.Minute)
	w.sweep(time.Minute) // a second of running has passed
	if _, err := c.Read(make([]byte, 1)); err == nil {
		t.Fatal("the slow peer was not noticed")
	}
}
