package postgres

import (
	"crypto/tls"
	"net"
	"syscall"
)

// sessionEnded tells whether the server has already ended the session behind an idle
// connection: its parting word or the end of the stream is here, and only nobody
// has read it. A COMMIT that is sent all the same leaves its outcome open to
// whoever sent it; one that is held back was never made. It reads nothing and does
// not wait: not for another reader of the connection, either. After a slow write
// pgx leaves one behind that reads until the server speaks again, and within a
// transaction the server does not before it is sent the COMMIT that waits here.
func sessionEnded(conn net.Conn) bool {
	secure, encrypted := conn.(*tls.Conn)
	if encrypted {
		conn = secure.NetConn()
	}
	socket, ok := conn.(syscall.Conn)
	if !ok {
		return false
	}
	raw, err := socket.SyscallConn()
	if err != nil {
		return false
	}
	var first [1]byte
	n := -1
	var failed error
	err = raw.Control(func(fd uintptr) { // Read would take the lock that a reader holds
		n, _, failed = syscall.Recvfrom(int(fd), first[:], syscall.MSG_PEEK|syscall.MSG_DONTWAIT)
	})
	switch {
	case err != nil:
		return true
	case failed == syscall.EAGAIN, failed == syscall.EINTR:
		return false
	case failed != nil, n == 0:
		return true
	case encrypted:
		return first[0] == 21 // an alert; what else is there only reading tells
	}
	return first[0] == 'E' // an ErrorResponse nobody asked for is a FATAL one
}
