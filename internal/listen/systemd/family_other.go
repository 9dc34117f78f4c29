//go:build !linux

package systemd

import "golang.org/x/sys/unix"

// family returns the family of a socket's addresses, 0 for another one than these.
// Nothing but Linux has an option that tells it.
func family(fd int) (int, error) {
	address, err := unix.Getsockname(fd)
	switch address.(type) {
	case *unix.SockaddrInet4:
		return unix.AF_INET, err
	case *unix.SockaddrInet6:
		return unix.AF_INET6, err
	case *unix.SockaddrUnix:
		return unix.AF_UNIX, err
	}
	return 0, err
}
