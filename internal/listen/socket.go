// Package listen opens the sockets that the server answers on or takes them over
// from the service manager, speaks TLS and the PROXY protocol on them, keeps
// accepting when the machine is short of descriptors, ends connections when
// their time is over, and talks to the service manager.
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
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"strings"
	"syscall"
	"time"
)

// lookupTimeout bounds the resolution of a host name in an address.
const lookupTimeout = 5 * time.Second

// keepAlive notices a peer that is gone after 30 + 3·10 seconds, also where no
// request is under way and no timeout of HTTP is running.
var keepAlive = net.KeepAliveConfig{Enable: true, Idle: 30 * time.Second, Interval: 10 * time.Second, Count: 3}

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
	config := net.ListenConfig{KeepAliveConfig: keepAlive}
	// A listener for Multipath TCP would put one more layer of the kernel in
	// the way of every connection, for peers that balancers are not.
	config.SetMultipathTCP(false)
	l, err := config.Listen(ctx, "tcp", addr)
	if err != nil {
		return nil, explain(addr, key, err)
	}
	return l, nil
}

// explain says what to do about a listener that could not be opened. The cause
// is wrapped without what the net package says around it, which would repeat
// the address.
func explain(addr, key string, err error) error {
	var number syscall.Errno
	var lookup *net.DNSError
	var syntax *net.AddrError
	switch {
	case errors.Is(err, syscall.EADDRINUSE):
		return fmt.Errorf("listening on %q: %w; change %s or stop the other process", addr, syscall.EADDRINUSE, key)
	case errors.Is(err, syscall.EACCES):
		return fmt.Errorf("listening on %q: %w; change %s, or grant CAP_NET_BIND_SERVICE for a port below 1024 "+
			"or write permission to the directory of a socket", addr, syscall.EACCES, key)
	case errors.Is(err, syscall.EADDRNOTAVAIL):
		return fmt.Errorf("listening on %q: %w; change %s to an address of this machine", addr, syscall.EADDRNOTAVAIL, key)
	case errors.Is(err, syscall.ENOENT):
		return fmt.Errorf("listening on %q: %w; create the directory or change %s", addr, syscall.ENOENT, key)
	case errors.As(err, &number):
		return fmt.Errorf("listening on %q: %w; change %s", addr, number, key)
	case errors.As(err, &lookup), errors.As(err, &syntax):
		return fmt.Errorf("listening on %q: %w; set %s to \"host:port\" or \"unix:/path\"", addr, err, key)
	default:
		return fmt.Errorf("listening on %q: %w; change %s", addr, err, key)
	}
}
