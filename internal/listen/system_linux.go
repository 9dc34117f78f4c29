package listen

import (
	"syscall"

	"golang.org/x/sys/unix"
)

// noNetwork is the machine being on no network, an error that only Linux has.
const noNetwork = syscall.ENONET

// twoSockets makes two connected sockets that no child inherits.
func twoSockets() ([2]int, error) {
	return unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
}
