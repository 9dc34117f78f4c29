// Package load asks HTTP servers over connections of its own, many at a time, and
// counts what came of it; where answers need not be looked at, wrk does.
//
// What is sent is written by hand, and what comes back is read by fasthttp: a client
// with a pool would decide by itself how many connections there are, and what is sent
// a second time.
package load

import (
	"bufio"
	"fmt"
	"net"
	"strconv"
	"strings"
	"time"

	"github.com/valyala/fasthttp"
)

// AnswerWithin bounds the wait for an answer, where nothing else is said: it is longer
// than any that hearth allows itself.
const AnswerWithin = 30 * time.Second

// Conn is one keep-alive connection, opened when something is asked and there is none.
// It is used by one goroutine at a time. An error, or an answer that ends the
// connection, closes it.
type Conn struct {
	Answer fasthttp.Response // the latest

	addr   string
	within time.Duration // of a dial, and of all that is sent until its answers have come
	net    net.Conn      // nil: none
	in     *bufio.Reader
	out    []byte
}

// NewConn returns a connection to addr (host:port, or unix:PATH) that is not opened yet.
func NewConn(addr string, within time.Duration) *Conn { return &Conn{addr: addr, within: within} }

// Open connects, unless it is connected.
func (c *Conn) Open() (err error) {
	if c.net != nil {
		return nil
	}
	network, addr := "tcp", c.addr
	if path, found := strings.CutPrefix(addr, "unix:"); found {
		network, addr = "unix", path
	}
	if c.net, err = net.DialTimeout(network, addr, c.within); err != nil {
		c.net = nil
		return fmt.Errorf("connecting to %s: %w", c.addr, err)
	}
	c.in = bufio.NewReaderSize(c.net, 8<<10) // as much as hearth writes of a pipeline at once
	return nil
}

// Close ends the connection, if there is one. It is reset, so that its port is not
// kept for a minute.
func (c *Conn) Close() {
	if c.net == nil {
		return
	}
	if tcp, ok := c.net.(*net.TCPConn); ok {
		_ = tcp.SetLinger(0)
	}
	_ = c.net.Close()
	c.net = nil
}

// Queue adds a request to those that Flush sends; "" is no body. It may have header lines
// such as "If-None-Match: *".
func (c *Conn) Queue(method, path, body string, header ...string) {
	c.out = append(append(append(append(c.out, method...), ' '), path...), " HTTP/1.1\r\nHost: load\r\n"...)
	if body != "" {
		c.out = append(c.out, "Content-Type: application/json\r\nContent-Length: "...)
		c.out = append(strconv.AppendInt(c.out, int64(len(body)), 10), "\r\n"...)
	}
	for _, line := range header {
		c.out = append(append(c.out, line...), "\r\n"...)
	}
	c.out = append(append(c.out, "\r\n"...), body...)
}

// Flush sends what is queued, all at once.
func (c *Conn) Flush() error {
	out := c.out
	c.out = c.out[:0]
	if err := c.Open(); err != nil {
		return err
	}
	err := c.net.SetDeadline(time.Now().Add(c.within))
	if err == nil {
		_, err = c.net.Write(out)
	}
	if err != nil {
		c.Close()
		return fmt.Errorf("asking %s: %w", c.addr, err)
	}
	return nil
}

// Next reads the answer to the oldest request that has none. What Answer holds is valid
// until the next one is read.
func (c *Conn) Next() error {
	if c.net == nil {
		return fmt.Errorf("reading from %s: the connection was closed", c.addr)
	}
	if err := c.Answer.Read(c.in); err != nil {
		c.Close()
		return fmt.Errorf("reading from %s: %w", c.addr, err)
	}
	if c.Answer.ConnectionClose() {
		c.Close()
	}
	return nil
}

// Do sends one request and reads its answer.
func (c *Conn) Do(method, path, body string, header ...string) error {
	c.Queue(method, path, body, header...)
	if err := c.Flush(); err != nil {
		return err
	}
	return c.Next()
}
