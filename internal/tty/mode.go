package tty

import "golang.org/x/sys/unix"

// Mode is how a terminal handles keys and characters (termios, POSIX, 11). fd is its descriptor.
func Mode(fd int) (*unix.Termios, error) { return unix.IoctlGetTermios(fd, getMode) }

// SetMode changes that at once.
func SetMode(fd int, m *unix.Termios) error { return unix.IoctlSetTermios(fd, setMode, m) }

// SetModeForgetting is SetMode that forgets keys which nobody has read.
func SetModeForgetting(fd int, m *unix.Termios) error {
	return unix.IoctlSetTermios(fd, setModeForgetting, m)
}
