package testkit

import (
	"bufio"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
)

// Ports are taken from below the range from which Linux picks the local ends of
// outgoing connections (32768 and up): a client that keeps dialling the port of a
// stopped server from within that range sooner or later connects to itself.
const (
	firstPort = 20000
	lastPort  = 32000
)

// FreePort returns a TCP port of 127.0.0.1 on which nothing listens and which no
// other test, of this or another test binary, is given before tb ends. So a
// server can be stopped and started again on it.
func FreePort(tb TB) int {
	tb.Helper()
	port, lock, err := reservePort()
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { lock.Close() })
	return port
}

// reservePort finds a port that nobody uses or has reserved. The reservation is a
// lock on a file, which the kernel drops when the holder closes it or dies.
func reservePort() (int, *os.File, error) {
	dir := filepath.Join(os.TempDir(), "hearth-testkit-ports")
	if err := os.MkdirAll(dir, 0o777); err != nil {
		return 0, nil, fmt.Errorf("making the directory of port reservations: %w", err)
	}
	_ = os.Chmod(dir, 0o777) // past the umask; fails for all but its owner, who has done it
	const span = lastPort - firstPort
	start := rand.IntN(span)
	for i := range span {
		port := firstPort + (start+i)%span
		lock, err := os.OpenFile(filepath.Join(dir, fmt.Sprint(port)), os.O_CREATE|os.O_RDWR, 0o666)
		if err != nil {
			continue // another user's reservation
		}
		if syscall.Flock(int(lock.Fd()), syscall.LOCK_EX|syscall.LOCK_NB) == nil {
			if bindable(port) {
				return port, lock, nil
			}
		}
		lock.Close()
	}
	return 0, nil, fmt.Errorf("looking for a free port: all of %d to %d are taken", firstPort, lastPort)
}

// bindable reports whether a server could listen on the port. Between fork and
// exec a child holds all our sockets, so a program started meanwhile would keep the
// trial listener alive; hence the lock.
func bindable(port int) bool {
	syscall.ForkLock.RLock()
	defer syscall.ForkLock.RUnlock()
	l, err := net.Listen("tcp", hostPort(port))
	if err != nil {
		return false
	}
	return l.Close() == nil
}

// Listening reports whether some process listens on addr, which is host:port, a
// port or the path of a unix socket. It asks the kernel's tables instead of
// connecting, because a proxy would pass a trial connection on to its backend.
func Listening(addr string) bool {
	if strings.HasPrefix(addr, "/") {
		return tableHas("/proc/net/unix", func(f []string) bool {
			// flags 00010000: it accepts connections
			return len(f) == 8 && f[7] == addr && f[3] == "00010000"
		})
	}
	port := addr[strings.LastIndexByte(addr, ':')+1:]
	var n int
	if _, err := fmt.Sscan(port, &n); err != nil {
		return false
	}
	suffix := fmt.Sprintf(":%04X", n)
	listens := func(f []string) bool { // state 0A: listening
		return len(f) > 3 && strings.HasSuffix(f[1], suffix) && f[3] == "0A"
	}
	return tableHas("/proc/net/tcp", listens) || tableHas("/proc/net/tcp6", listens)
}

// tableHas reports whether a line of one of the kernel's tables, split at blanks,
// satisfies match.
func tableHas(path string, match func(fields []string) bool) bool {
	file, err := os.Open(path)
	if err != nil {
		return false
	}
	defer file.Close()
	for lines := bufio.NewScanner(file); lines.Scan(); {
		if match(strings.Fields(lines.Text())) {
			return true
		}
	}
	return false
}

// Pipe is a connection over loopback, and its other end. Both are closed with tb.
func Pipe(tb TB) (ours, theirs net.Conn) {
	tb.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		tb.Fatal(err)
	}
	defer l.Close()
	if ours, err = net.Dial("tcp", l.Addr().String()); err != nil {
		tb.Fatal(err)
	}
	if theirs, err = l.Accept(); err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { _, _ = ours.Close(), theirs.Close() })
	return ours, theirs
}
