package listen

import (
	"errors"
	"fmt"
	"net"
	"os"

	"golang.org/x/sys/unix"
)

// Socketpair returns both ends of a connection within this process: sockets like
// any others, only without an address. A check whether connections are served
// needs neither a listener nor a port for it.
func Socketpair() (a, b net.Conn, err error) {
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	if err != nil {
		return nil, nil, fmt.Errorf("making a connection within the process: %w", err)
	}
	var ends [2]net.Conn
	for i, fd := range fds {
		f := os.NewFile(uintptr(fd), "pair")
		c, connErr := net.FileConn(f) // has a descriptor of its own
		err = errors.Join(err, connErr, f.Close())
		ends[i] = c
	}
	if err != nil {
		for _, c := range ends {
			if c != nil {
				_ = c.Close()
			}
		}
		return nil, nil, fmt.Errorf("making a connection within the process: %w", err)
	}
	return ends[0], ends[1], nil
}
