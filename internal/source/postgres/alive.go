package postgres

import (
	"crypto/tls"
	"net"
	"syscall"
)

// sessionEnded tells whether the server has already ended the session behind an
// idle connection: the server's last message or the end of the stream has arrived
// and is not read yet. A COMMIT that is sent all the same leaves its outcome
// unknown; one that is held back was never made. It reads nothing and does not
// wait: not for another reader of the connection, either. After a slow write pgx
// leaves one behind that reads until the server speaks again, and within a
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
	// Control runs a function on the descriptor without taking part in reads and
	// deadlines of the connection.
	raw, err := socket.SyscallConn()
	if err != nil {
		return false
	}
	var first [1]byte
	n := -1
	var failed error
	err = raw.Control(func(fd uintptr) { // Read would take the lock that a reader holds
		// MSG_PEEK leaves what is there for the real reader, and MSG_DONTWAIT
		// returns at once when nothing is.
		n, _, failed = syscall.Recvfrom(int(fd), first[:], syscall.MSG_PEEK|syscall.MSG_DONTWAIT)
	})
	switch {
	case err != nil:
		return true
	// Nothing has come: the session is open as far as this end can know. It may
	// still end before the COMMIT arrives; then the outcome is asked for.
	case failed == syscall.EAGAIN, failed == syscall.EINTR:
		return false
	// A reset, or the end of the stream.
	case failed != nil, n == 0:
		return true
	case encrypted:
		return first[0] == 21 // an alert; what else is there only reading tells
	}
	return first[0] == 'E' // an ErrorResponse without a request is a FATAL one
}
