// Package resp is just enough of a Redis client for benchmarks to fill a server,
// to trouble it, and to ask what it has done.
//
// A client library would retry, reconnect and give up by rules of its own, and be
// one more thing that is measured; here a command is sent once, and what became of
// it is what the answer says.
package resp

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"strconv"
	"strings"
	"time"
)

// Conn is a connection to Redis, speaking RESP2. It is used by one goroutine at a
// time. After an error it is out of step and has to be closed.
type Conn struct {
	conn   net.Conn
	in     *bufio.Reader
	within time.Duration
}

// Dial connects. The connection is good for the time within; see Renew.
func Dial(addr string, within time.Duration) (*Conn, error) {
	conn, err := net.DialTimeout("tcp", addr, 5*time.Second)
	if err != nil {
		return nil, fmt.Errorf("connecting to redis-server: %w", err)
	}
	c := &Conn{conn: conn, in: bufio.NewReaderSize(conn, 64<<10), within: within}
	if err := c.Renew(); err != nil {
		_ = conn.Close()
		return nil, err
	}
	return c, nil
}

// Renew begins the connection's time anew, for one that is kept between commands.
func (c *Conn) Renew() error {
	if err := c.conn.SetDeadline(time.Now().Add(c.within)); err != nil {
		return fmt.Errorf("renewing the connection to redis-server: %w", err)
	}
	return nil
}

// Close ends the connection. A command without its answer may still take effect.
func (c *Conn) Close() { _ = c.conn.Close() }

// Append appends a command to b, for Pipeline.
func Append(b []byte, args ...string) []byte {
	b = fmt.Appendf(b, "*%d\r\n", len(args))
	for _, a := range args {
		b = fmt.Appendf(b, "$%d\r\n%s\r\n", len(a), a)
	}
	return b
}

// Do sends a command and returns its reply as text; nil is "". An error that Redis
// answers is an error.
func (c *Conn) Do(args ...string) (string, error) {
	_, err := c.conn.Write(Append(nil, args...))
	var reply string
	if err == nil {
		reply, err = c.reply()
	}
	if err != nil {
		return "", fmt.Errorf("asking redis-server %q: %w", args, err)
	}
	return reply, nil
}

// Pipeline sends n commands at once and returns the first error among the replies.
// They are to be so few that their replies fit into the buffers of the connection:
// none is read before all are sent.
func (c *Conn) Pipeline(commands []byte, n int) error {
	_, err := c.conn.Write(commands)
	for i := 0; i < n && err == nil; i++ {
		_, err = c.reply()
	}
	if err != nil {
		return fmt.Errorf("asking redis-server %d things at once: %w", n, err)
	}
	return nil
}

func (c *Conn) reply() (string, error) {
	line, err := c.in.ReadString('\n')
	if err != nil {
		return "", err
	}
	line = strings.TrimSuffix(line, "\r\n")
	if line == "" {
		return "", io.ErrUnexpectedEOF
	}
	switch line[0] {
	case '+', ':':
		return line[1:], nil
	case '-':
		return "", fmt.Errorf("it answers %q", line[1:])
	case '$':
	default:
		return "", fmt.Errorf("it answers %q, which is no text", line)
	}
	n, err := strconv.Atoi(line[1:])
	if err != nil || n < 0 {
		return "", err
	}
	text := make([]byte, n+2)
	_, err = io.ReadFull(c.in, text)
	return string(text[:n]), err
}
