package tty

import "golang.org/x/sys/unix"

const getMode, setMode, setModeForgetting = unix.TCGETS, unix.TCSETS, unix.TCSETSF
