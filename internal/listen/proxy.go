package listen

import (
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
)

// ProxiedListener hands out connections that begin with a header of the PROXY
// protocol. See Proxied.
type ProxiedListener struct {
	net.Listener
	trusted atomic.Pointer[[]netip.Prefix]
	refused atomic.Uint64
}

// Proxied wraps l for balancers that say by the PROXY protocol, version 1 or 2
// (HAProxy's proxy-protocol.txt), whose connection they pass on.
//
// A connection from an address in trusted, from any address if trusted is empty,
// or from a Unix socket must begin with such a header: then RemoteAddr tells the
// address in it, a *net.TCPAddr, from the first Read on. Headers that name none
// (LOCAL, UNKNOWN, UNSPEC, AF_UNIX, datagrams) leave the peer's own, which is
// also what is told before. A connection without a header, or with a bad one, is
// closed and its Read fails; it is not answered, and nothing is guessed.
//
// From any other address no header is read: what comes is the request, and the
// address is the peer's own. So health checks and operators can connect directly,
// and a peer that is not trusted cannot claim another address.
//
// Accept reads nothing: the header is read by the first Read, under whatever
// deadline the connection has then. A Read that runs into it may be tried again.
func Proxied(l net.Listener, trusted []netip.Prefix) *ProxiedListener {
	p := &ProxiedListener{Listener: l}
	p.SetTrusted(trusted)
	return p
}

// SetTrusted replaces the networks of those who are trusted, for connections
// accepted from now on. It may be called from anywhere at any time.
func (l *ProxiedListener) SetTrusted(trusted []netip.Prefix) {
	all := make([]netip.Prefix, len(trusted))
	for i, prefix := range trusted {
		if addr := prefix.Addr(); addr.Is4In6() && prefix.Bits() >= 96 {
			prefix = netip.PrefixFrom(addr.Unmap(), prefix.Bits()-96)
		}
		all[i] = prefix
	}
	l.trusted.Store(&all)
}

// Refused is how many connections had no header, or a bad one, for metrics. Those
// that ended or were given up before they sent a byte do not count.
func (l *ProxiedListener) Refused() uint64 { return l.refused.Load() }

// Accept returns the next connection, without having read from it.
func (l *ProxiedListener) Accept() (net.Conn, error) {
	conn, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	if !l.trusts(conn.RemoteAddr()) {
		return conn, nil
	}
	return &proxiedConn{Conn: conn, listener: l}, nil
}

func (l *ProxiedListener) trusts(peer net.Addr) bool {
	tcp, ok := peer.(*net.TCPAddr)
	trusted := *l.trusted.Load()
	if !ok || len(trusted) == 0 {
		return true
	}
	// A prefix contains no address with a zone, and no mapped one.
	addr := tcp.AddrPort().Addr().Unmap().WithZone("")
	for _, prefix := range trusted {
		if prefix.Contains(addr) {
			return true
		}
	}
	return false
}

// proxiedConn is a connection that begins with a header.
type proxiedConn struct {
	net.Conn
	listener    *ProxiedListener
	client      atomic.Pointer[net.TCPAddr] // from the header; nil: none yet, or none in it
	failed      atomic.Bool                 // a Read ended without a whole header: nothing may be said
	passthrough atomic.Bool                 // header and what was read with it are used up

	mu         sync.Mutex // held while the header is read, until passthrough
	buffered   []byte     // what has come of the header; then, what came behind it
	headerRead bool       // the header is read
	err        error      // why it never will be
}

var errNoHeader = errors.New("the connection has not begun with a header of the PROXY protocol")

// Read reads what comes after the header.
func (c *proxiedConn) Read(p []byte) (int, error) {
	if c.passthrough.Load() {
		return c.Conn.Read(p)
	}
	return c.readFirst(p)
}

// readFirst is the slow path of Read: it reads the header and hands out what
// came with it.
func (c *proxiedConn) readFirst(p []byte) (int, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.headerRead {
		if err := c.readHeader(); err != nil {
			c.failed.Store(true)
			return 0, err
		}
		c.headerRead = true
		c.failed.Store(false)
	}
	if len(c.buffered) > 0 {
		n := copy(p, c.buffered)
		c.buffered = c.buffered[n:]
		return n, nil
	}
	c.buffered = nil
	c.passthrough.Store(true)
	return c.Conn.Read(p)
}

// readHeader reads until the header is whole. What comes behind it in one segment is
// kept: reading byte by byte would cost a call to the kernel for each.
func (c *proxiedConn) readHeader() error {
	if c.err != nil {
		return c.err
	}
	if c.buffered == nil {
		c.buffered = make([]byte, 0, maxHeader)
	}
	for {
		client, size, err := parseHeader(c.buffered)
		switch {
		case err == nil:
			if client.IsValid() {
				c.client.Store(net.TCPAddrFromAddrPort(client))
			}
			c.buffered = c.buffered[size:]
			return nil
		case !errors.Is(err, errIncomplete):
			return c.fail(err, true)
		}
		n, err := c.Conn.Read(c.buffered[len(c.buffered):cap(c.buffered)])
		c.buffered = c.buffered[:len(c.buffered)+n]
		switch wait, _ := errors.AsType[net.Error](err); {
		case n > 0 || err == nil:
		case wait != nil && wait.Timeout():
			return err // and may be tried again
		case errors.Is(err, io.EOF) && len(c.buffered) > 0:
			return c.fail(io.ErrUnexpectedEOF, true)
		default:
			return c.fail(err, false)
		}
	}
}

// fail closes the connection for good. An end before the first byte is no fault
// of the peer: balancers check that way whether the port is open.
func (c *proxiedConn) fail(err error, fault bool) error {
	if fault {
		c.listener.refused.Add(1)
		err = fmt.Errorf("reading the PROXY header of %q: %w; have the balancer send one (HAProxy: send-proxy-v2) or set server.proxy_protocol = false",
			c.Conn.RemoteAddr().String(), err)
	}
	c.err, c.buffered = err, nil
	_ = c.Conn.Close()
	return err
}

// Write writes; but not to a peer whose header a Read has waited for in vain.
func (c *proxiedConn) Write(p []byte) (int, error) {
	if c.failed.Load() {
		return 0, errNoHeader
	}
	return c.Conn.Write(p)
}

// RemoteAddr is the client's address once the header is read, if it has one.
func (c *proxiedConn) RemoteAddr() net.Addr {
	if client := c.client.Load(); client != nil {
		return client
	}
	return c.Conn.RemoteAddr()
}

// NetConn is the connection below, with all that it can do; its RemoteAddr is the
// balancer's.
func (c *proxiedConn) NetConn() net.Conn { return c.Conn }
