package systemd

import "golang.org/x/sys/unix"

// family returns the family of a socket's addresses.
func family(fd int) (int, error) { return unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_DOMAIN) }
