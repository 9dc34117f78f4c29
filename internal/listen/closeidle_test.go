package listen

import (
	"crypto/tls"
	"errors"
	"io"
	"net"
	"os"
	"testing"
	"time"

	"hearth/internal/testkit"
)

// pair is a watched connection, not swept, and its peer.
func pair(t *testing.T) (*Conn, net.Conn) {
	t.Helper()
	inner, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	w := New(inner, Timeouts{Read: time.Second, Write: time.Second, Idle: time.Second})
	peer, err := net.Dial("tcp", inner.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	c, err := w.Accept()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = peer.Close()
		_ = c.Close()
		_ = w.Close()
	})
	if err := peer.SetDeadline(time.Now().Add(20 * time.Second)); err != nil {
		t.Fatal(err)
	}
	return c.(*Conn), peer
}

func send(t *testing.T, c net.Conn, text string) {
	t.Helper()
	if _, err := io.WriteString(c, text); err != nil {
		t.Fatal(err)
	}
}

func wantRead(t *testing.T, c net.Conn, want string) {
	t.Helper()
	buf := make([]byte, len(want)+1)
	if n, err := c.Read(buf); err != nil || string(buf[:n]) != want {
		t.Fatalf("read %q, error %v; want %q", buf[:n], err, want)
	}
}

// TestAskedWithBytesInTheQueue: a request that has arrived is served, though the
// connection was asked to go while it came, and has its time again.
func TestAskedWithBytesInTheQueue(t *testing.T) {
	c, peer := pair(t)
	c.setPhase(phaseIdle)
	send(t, peer, "GET")
	testkit.Eventually(t, 20*time.Second, "the bytes are there", func() bool { return hasUnread(c) })
	if got := c.listener.CloseIdle(0); got != 1 {
		t.Fatalf("asked %d, want 1", got)
	}
	if got := c.listener.CloseIdle(0); got != 0 {
		t.Fatalf("asked %d twice", got)
	}
	wantRead(t, c, "GET")
	c.setPhase(phaseReading)
	if got := c.listener.CloseIdle(0); got != 0 {
		t.Fatalf("asked %d that are reading", got)
	}
	send(t, peer, "more")
	wantRead(t, c, "more")
}

// TestAskedWhileBytesAreInHand: the reader has them, and has not said so yet.
func TestAskedWhileBytesAreInHand(t *testing.T) {
	c, peer := pair(t)
	c.setPhase(phaseIdle)
	send(t, peer, "GET")
	buf := make([]byte, 8)
	n, err := c.Conn.Read(buf) // Read has just returned below …
	c.listener.CloseIdle(0)    // … when the request to close comes
	if n, err = c.answerCloseRequest(buf, n, err); n != 3 || err != nil {
		t.Fatalf("read %d bytes, error %v; want 3", n, err)
	}
	send(t, peer, "more")
	wantRead(t, c, "more")
}

// TestAskedTooLate: the next request was read together with the last one, so
// nobody has looked at the request to close when its body is awaited.
func TestAskedTooLate(t *testing.T) {
	c, peer := pair(t)
	c.setPhase(phaseIdle)
	c.listener.CloseIdle(0)
	c.setPhase(phaseReading)
	got := make(chan string)
	go func() {
		buf := make([]byte, 8)
		n, _ := c.Read(buf)
		got <- string(buf[:n])
	}()
	send(t, peer, "body")
	if text := <-got; text != "body" {
		t.Errorf("read %q", text)
	}
}

// TestAskedDoesNotSaveTheLate: a deadline that a slow peer has earned stays.
func TestAskedDoesNotSaveTheLate(t *testing.T) {
	c, peer := pair(t)
	c.setPhase(phaseIdle)
	c.listener.CloseIdle(0)
	c.setPhase(phaseTimedOut)
	send(t, peer, "GET")
	for range 2 {
		if n, err := c.Read(make([]byte, 8)); n != 0 || !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("read %d bytes, error %v; want the deadline", n, err)
		}
	}
}

// TestAskedAndIdle: the peer sees the end, and what it sends nevertheless is
// counted, and handed to nobody.
func TestAskedAndIdle(t *testing.T) {
	f := func(phase int64, sends string, crossed uint64) {
		t.Helper()
		c, peer := pair(t)
		c.setPhase(phase)
		ended := make(chan error)
		go func() {
			n, err := c.Read(make([]byte, 8))
			if n != 0 {
				t.Errorf("read %d bytes", n)
			}
			ended <- err
		}()
		if got := c.listener.CloseIdle(0); got != 1 {
			t.Errorf("asked %d, want 1", got)
		}
		if got, err := io.ReadAll(peer); len(got) != 0 || err != nil {
			t.Errorf("the peer received %q, error %v; want the end", got, err)
		}
		if sends == "" {
			_ = peer.Close()
		} else {
			send(t, peer, sends)
		}
		if err := <-ended; !errors.Is(err, io.EOF) {
			t.Errorf("error %v, want the end", err)
		}
		if got := c.listener.Crossed(); got != crossed {
			t.Errorf("crossed = %d, want %d", got, crossed)
		}
	}
	f(phaseIdle, "", 0)
	f(phaseNew, "", 0)
	f(phaseIdle, "GET", 1)
}

// TestQuietIsKept: who was used within the time, or may have been by the coarse
// clock, is not asked.
func TestQuietIsKept(t *testing.T) {
	c, _ := pair(t)
	w := c.listener
	w.SetTimeouts(Timeouts{})
	c.setPhase(phaseIdle)
	for range 6 { // 250 ms each
		if got := w.CloseIdle(time.Second); got != 0 {
			t.Fatalf("asked after %d ms", w.now.Load())
		}
		w.enforceTimeouts(checkEvery)
	}
	if got := w.CloseIdle(time.Second); got != 1 {
		t.Errorf("asked %d after %d ms, want 1", got, w.now.Load())
	}
}

// TestTimeoutsChange: open connections follow.
func TestTimeoutsChange(t *testing.T) {
	c, _ := pair(t)
	c.listener.SetTimeouts(Timeouts{})
	for range 10 {
		c.listener.enforceTimeouts(checkEvery)
	}
	if got := c.phase(); got != phaseNew {
		t.Fatalf("phase = %d without timeouts", got)
	}
	c.listener.SetTimeouts(Timeouts{Read: time.Second})
	c.listener.enforceTimeouts(checkEvery)
	if got := c.phase(); got != phaseTimedOut {
		t.Errorf("phase = %d after the time, want late", got)
	}
}

// TestAskedWithinARecord: of a request over TLS a part has come, which crypto/tls
// has and does not tell of.
func TestAskedWithinARecord(t *testing.T) {
	c, peer := pair(t)
	// No handshake: what counts is what recordConn sees of records.
	c.records = &recordConn{Conn: c.Conn}
	c.Conn = c.records
	c.setPhase(phaseIdle)
	record := "\x17\x03\x03\x00\x05hello"
	send(t, peer, record+record[:7])
	wantRead(t, c, record+record[:7])
	c.setPhase(phaseIdle)
	if got := c.listener.CloseIdle(0); got != 1 {
		t.Fatalf("asked %d, want 1", got)
	}
	read := make(chan string)
	go func() {
		buf := make([]byte, 16)
		n, _ := c.Read(buf)
		read <- string(buf[:n])
	}()
	testkit.Eventually(t, 20*time.Second, "the request's time runs", func() bool { return c.phase() == phaseReading })
	send(t, peer, record[7:])
	if got := <-read; got != record[7:] || c.records.midRecord() {
		t.Errorf("read %q, within a record: %v", got, c.records.midRecord())
	}
}

// TestCloseDoesNotWait: a peer that reads nothing delays no Close, though
// crypto/tls would wait for room for its alert.
func TestCloseDoesNotWait(t *testing.T) {
	c, peer := pair(t)
	session := tls.Server(&recordConn{Conn: c.Conn}, nil)
	w, ok := unwrap[*recordConn](session)
	if !ok {
		t.Fatal("no recordConn below TLS")
	}
	// Fill what the kernel takes.
	if err := w.SetWriteDeadline(time.Now().Add(100 * time.Millisecond)); err != nil {
		t.Fatal(err)
	}
	for chunk := make([]byte, 1<<20); ; {
		if _, err := w.Write(chunk); err != nil {
			break
		}
	}
	w.closing.Store(true)
	if err := w.SetWriteDeadline(time.Time{}); err != nil { // for ever
		t.Fatal(err)
	}
	for range 64 { // room for less than a chunk may be left
		if _, err := w.Write(make([]byte, 1<<20)); err != nil {
			_ = peer.Close()
			return
		}
	}
	t.Error("there is always room")
}
