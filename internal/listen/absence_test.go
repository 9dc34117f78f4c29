package listen

import (
	"io"
	"net"
	"testing"
	"time"
)

// TestTimeoutsForgiveOurOwnAbsence: when the process wakes after a minute of
// standing still, what was accepted before the first check is not late.
func TestTimeoutsForgiveOurOwnAbsence(t *testing.T) {
	inner, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	// Without the goroutine: the test decides when a check happens.
	w := New(inner, Timeouts{Read: time.Second})
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

	w.enforceTimeouts(time.Minute)
	if _, err := io.WriteString(peer, "x"); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Read(make([]byte, 1)); err != nil {
		t.Fatalf("the connection was ended: %v", err)
	}
	w.enforceTimeouts(time.Minute)
	w.enforceTimeouts(time.Minute) // a second of running has passed
	if _, err := c.Read(make([]byte, 1)); err == nil {
		t.Fatal("the slow peer was not noticed")
	}
}

// accepting hands over what l accepts, until l is closed.
func accepting(l net.Listener) <-chan net.Conn {
	conns := make(chan net.Conn)
	go func() {
		defer close(conns)
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			conns <- c
		}
	}()
	return conns
}

// TestSlowPeersDoNotHoldUpRefusals: while all places are taken by peers that
// take their time, Accept goes on, and the next ones are closed without a word.
func TestSlowPeersDoNotHoldUpRefusals(t *testing.T) {
	inner, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	w := New(inner, Timeouts{})
	w.SetLimit(Limit{Conns: 1, Refusals: [][]byte{[]byte("no")}})
	var slow []net.Conn
	for range maxRefusals {
		c, other := net.Pipe()
		w.refusing[c] = struct{}{}
		slow = append(slow, c, other)
	}
	handedOut := accepting(w)
	received := func() string {
		t.Helper()
		c, err := net.Dial("tcp", inner.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = c.Close() }()
		said, err := io.ReadAll(c)
		if err != nil {
			t.Fatal(err)
		}
		return string(said)
	}
	open, err := net.Dial("tcp", inner.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = open.Close() }()
	server := <-handedOut
	for range 3 {
		if got := received(); got != "" {
			t.Errorf("with all places taken: received %q, want nothing", got)
		}
	}
	w.mu.Lock()
	delete(w.refusing, slow[0])
	w.mu.Unlock()
	if got := received(); got != "no" {
		t.Errorf("with a free place: received %q, want the refusal", got)
	}
	if got := w.Refused(); got != 4 {
		t.Errorf("refused = %d, want 4", got)
	}
	if err := w.Close(); err != nil {
		t.Error(err)
	}
	for _, c := range append(slow, server) {
		_ = c.Close()
	}
	if _, more := <-handedOut; more {
		t.Error("a connection beyond the limit was handed out")
	}
}
