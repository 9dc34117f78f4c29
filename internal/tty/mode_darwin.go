package tty

import "golang.org/x/sys/unix"

const getMode, setMode, setModeForgetting = unix.TIOCGETA, unix.TIOCSETA, unix.TIOCSETAF
