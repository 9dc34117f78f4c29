package origin

import (
	"bufio"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"math"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

// kept are connections to an origin that are used again. A connection is handed on only
// when its answer was read to the end and nothing is left on it: what an origin sends
// beyond the length that it has announced would be the answer to the next request, and
// so another record's. The transport of net/http looks for that behind the next
// request's back, so it may be late.
//
// It implements http.RoundTripper for requests without a body. Its methods are safe for
// concurrent use.
type kept struct {
	dial   func(context.Context) (net.Conn, error)
	places chan struct{} // bounds the connections in use
	stray  *atomic.Bool  // the origin has sent what nobody has asked for

	mu     sync.Mutex
	idle   []*keptConn // the one that was used last is last
	closed bool
}

func newKept(most int, stray *atomic.Bool, dial func(context.Context) (net.Conn, error)) *kept {
	return &kept{dial: dial, places: make(chan struct{}, most), stray: stray}
}

// keptConn is one of them.
type keptConn struct {
	net.Conn
	in      *bufio.Reader
	limited *io.LimitedReader
	born    time.Time
}

// RoundTrip implements http.RoundTripper. A connection that the origin has closed
// meanwhile is replaced by a new one, once.
func (k *kept) RoundTrip(req *http.Request) (*http.Response, error) {
	ctx := req.Context()
	select {
	case k.places <- struct{}{}:
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	c := k.take()
	for {
		again := c != nil
		if c == nil {
			conn, err := k.dial(ctx)
			if err != nil {
				<-k.places
				return nil, err
			}
			limited := &io.LimitedReader{R: conn}
			c = &keptConn{Conn: conn, limited: limited, in: bufio.NewReader(limited), born: time.Now()}
		}
		resp, heard, err := k.ask(ctx, c, req)
		if err == nil {
			return resp, nil
		}
		_ = c.Close()
		if !again || heard || ctx.Err() != nil {
			<-k.places
			return nil, err
		}
		c = nil
	}
}

// ask sends req on c and reads the header of its answer. heard tells whether any byte of
// one has come.
func (k *kept) ask(ctx context.Context, c *keptConn, req *http.Request) (resp *http.Response, heard bool, err error) {
	deadline, _ := ctx.Deadline() // the zero time is none
	if err := c.SetDeadline(deadline); err != nil {
		return nil, false, err
	}
	stop := context.AfterFunc(ctx, func() { _ = c.SetDeadline(time.Unix(1, 0)) })
	defer func() {
		if err != nil {
			stop()
			if ctx.Err() != nil {
				err = errors.Join(ctx.Err(), err)
			}
		}
	}()
	if err := req.Write(c); err != nil {
		return nil, false, err
	}
	c.limited.N = maxHeader
	if resp, err = nextAnswer(c.in, c.limited, req); err != nil {
		if c.limited.N <= 0 {
			err = fmt.Errorf("the origin's header has more than %d bytes", maxHeader)
		}
		return nil, c.limited.N < maxHeader, err
	}
	c.limited.N = math.MaxInt64
	resp.Body = &keptBody{ReadCloser: resp.Body, conn: c, of: k, stop: stop, last: resp.Close || req.Close}
	return resp, true, nil
}

// keptBody is the body of an answer. Its connection is free when it was read to the end.
type keptBody struct {
	io.ReadCloser
	conn *keptConn
	of   *kept
	stop func() bool
	last bool // no further answer comes on the connection
	over bool
}

// Read implements io.Reader.
func (b *keptBody) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	if err != io.EOF || b.over {
		return n, err
	}
	b.over = true
	if b.conn.in.Buffered() > 0 {
		b.of.stray.Store(true)
	}
	b.of.give(b.conn, b.stop() && !b.last)
	return n, io.EOF
}

// Close implements io.Closer.
func (b *keptBody) Close() error {
	if !b.over {
		b.over = true
		b.stop()
		b.of.give(b.conn, false)
	}
	return nil
}

// take returns an idle connection on which nothing has come since, nil if there is none.
func (k *kept) take() *keptConn {
	k.mu.Lock()
	defer k.mu.Unlock()
	for len(k.idle) > 0 {
		c := k.idle[len(k.idle)-1]
		k.idle = k.idle[:len(k.idle)-1]
		quiet, stray := listen(c.Conn)
		if stray {
			k.stray.Store(true)
		}
		if quiet && time.Since(c.born) < connAge && !k.stray.Load() {
			return c
		}
		_ = c.Close()
	}
	return nil
}

// give takes a connection back, and closes it unless it may be used again.
func (k *kept) give(c *keptConn, again bool) {
	k.mu.Lock()
	defer k.mu.Unlock()
	<-k.places
	if again && !k.closed && !k.stray.Load() && time.Since(c.born) < connAge {
		k.idle = append(k.idle, c)
		return
	}
	_ = c.Close()
}

// close closes idle connections, and those in use when they come back.
func (k *kept) close() {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.closed = true
	for _, c := range k.idle {
		_ = c.Close()
	}
	k.idle = nil
}

// listen tells whether there is nothing to read on an idle connection, and whether there
// is something that nobody has asked for. Neither means that it has ended, or speaks of
// its end as TLS does.
func listen(conn net.Conn) (quiet, stray bool) {
	secure, ok := conn.(*tls.Conn)
	if ok {
		conn = secure.NetConn()
	}
	below, ok := conn.(syscall.Conn)
	if !ok {
		return false, false
	}
	raw, err := below.SyscallConn()
	if err != nil {
		return false, false
	}
	var n int
	var met error
	err = raw.Read(func(fd uintptr) bool {
		var b [1]byte
		n, _, met = syscall.Recvfrom(int(fd), b[:], syscall.MSG_PEEK|syscall.MSG_DONTWAIT)
		return true
	})
	return err == nil && met == syscall.EAGAIN, err == nil && met == nil && n > 0 && secure == nil
}
