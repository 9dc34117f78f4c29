// Package listen opens the sockets that the server answers on, speaks TLS and the
// PROXY protocol on them, keeps accepting when the machine is short of
// descriptors, and ends connections when their time is over.
//
// It exists because fasthttp takes every failure to accept for the end of the
// listener, and knows no way to end an idle connection that a request may be on
// its way to. Layers are listeners around listeners, each for one thing, so that
// what is not configured is not there:
//
//	New(certificates.Listener(Proxied(Retrying(Listen(…)))))
//
// None of them reads in Accept: whatever a peer can delay happens in its own
// connection's goroutine.
package listen

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"strings"
	"syscall"
	"time"
)

// lookupTimeout bounds the resolution of a host name in an address.
const lookupTimeout = 5 * time.Second

// KeepAlive notices a peer that is gone after 30 + 3·10 seconds, also where no
// request is under way and no timeout of HTTP is running.
var KeepAlive = net.KeepAliveConfig{Enable: true, Idle: 30 * time.Second, Interval: 10 * time.Second, Count: 3}

// Listen opens a listener at addr: "host:port", or "unix:/path" for a socket
// file of that mode ("unix:@name" for an abstract one, which has none). The key is the one
// in the configuration that holds addr, for errors. The listener is a
// *net.TCPListener with keep-alive, or a *net.UnixListener that removes its
// file when it is closed. A file left behind by a process that is gone is
// replaced; anything else in the way is an error.
func Listen(addr, key string, mode fs.FileMode) (net.Listener, error) {
	ctx, cancel := context.WithTimeout(context.Background(), lookupTimeout)
	defer cancel()
	if path, found := strings.CutPrefix(addr, "unix:"); found {
		return listenUnix(ctx, path, addr, key, mode)
	}
	config := net.ListenConfig{KeepAliveConfig: KeepAlive}
	// A listener for Multipath TCP would put one more layer of the kernel in
	// the way of every connection, for peers that balancers are not.
	config.SetMultipathTCP(false)
	l, err := config.Listen(ctx, "tcp", addr)
	if err != nil {
		return nil, explain(addr, key, err)
	}
	return l, nil
}

// advice says what to do about an error of the system; KEY stands for the key of
// the configuration.
var advice = map[syscall.Errno]string{
	syscall.EADDRINUSE:    "change KEY or stop the other process",
	syscall.EACCES:        "change KEY, or grant CAP_NET_BIND_SERVICE for a port below 1024 or write permission to the directory of a socket",
	syscall.EADDRNOTAVAIL: "change KEY to an address of this machine",
	syscall.ENOENT:        "create the directory or change KEY",
}

// explain says what to do about a listener that could not be opened. The cause
// is wrapped without what the net package says around it, which would repeat
// the address.
func explain(addr, key string, err error) error {
	do := "change KEY"
	number, system := errors.AsType[syscall.Errno](err)
	_, lookup := errors.AsType[*net.DNSError](err)
	_, syntax := errors.AsType[*net.AddrError](err)
	switch {
	case system:
		do, err = cmp.Or(advice[number], do), number
	case lookup || syntax:
		do = `set KEY to "host:port" or "unix:/path"`
	}
	return fmt.Errorf("listening on %q: %w; %s", addr, err, strings.Replace(do, "KEY", key, 1))
}

// Socketpair returns both ends of a connection within this process: sockets like
// any others, only without an address. A check whether connections are served
// needs neither a listener nor a port for it.
func Socketpair() (a, b net.Conn, err error) {
	fds, err := twoSockets()
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
