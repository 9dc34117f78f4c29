//go:build !linux

package listen

import (
	"syscall"

	"golang.org/x/sys/unix"
)

// noNetwork stands for an error that only Linux has.
const noNetwork = syscall.ENETDOWN

// twoSockets makes two connected sockets that no child inherits. Between the two steps a
// process that is started meanwhile would; the lock is what Go's own does about it.
func twoSockets() ([2]int, error) {
	syscall.ForkLock.RLock()
	defer syscall.ForkLock.RUnlock()
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM, 0)
	if err == nil {
		unix.CloseOnExec(fds[0])
		unix.CloseOnExec(fds[1])
	}
	return fds, err
}
