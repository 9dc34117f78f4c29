package postgres

import (
	"net"
	"testing"
	"time"
)

// pgx reads a connection in the background after a write that was slow, until the
// server speaks. To look whether the session has ended must not wait for that.
func TestEndedDoesNotWaitForAReader(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	conn, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	server, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer server.Close()
	raw, err := conn.(*net.TCPConn).SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	reading, read, over := make(chan struct{}), make(chan struct{}), make(chan struct{})
	go func() {
		defer close(over)
		_ = raw.Read(func(uintptr) bool {
			close(reading)
			<-read
			return true
		})
	}()
	defer func() {
		close(read)
		<-over
	}()
	<-reading
	answer := make(chan bool, 1)
	go func() { answer <- sessionEnded(conn) }()
	select {
	case is := <-answer:
		if is {
			t.Error("a session whose server says nothing passes for ended")
		}
	case <-time.After(5 * time.Second):
		t.Error("it waits for whoever reads the connection")
	}
}
