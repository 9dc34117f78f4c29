package testkit

import (
	"fmt"
	"net"
	"time"
)

// RedisConn is one plain connection to a Redis, for what a client library hides: it
// sends exactly what it is told and returns replies and pushes in the order of
// the wire. It speaks RESP2 until HELLO 3 is sent on it. It is not safe for
// concurrent use.
type RedisConn struct {
	tb   TB
	conn net.Conn
	dec  *decoder
}

// ioWithin bounds each exchange on a RedisConn.
const ioWithin = 10 * time.Second

// DialRedis connects to whatever speaks Redis' protocol at addr (host:port). The
// connection is closed with the test.
func DialRedis(tb TB, addr string) *RedisConn {
	tb.Helper()
	c, err := dialRedis(tb, "tcp", addr)
	if err != nil {
		tb.Fatalf("connecting to %s: %v", addr, err)
	}
	tb.Cleanup(c.Close)
	return c
}

// dialRedis opens a connection; the caller closes it.
func dialRedis(tb TB, network, addr string) (*RedisConn, error) {
	conn, err := net.DialTimeout(network, addr, ioWithin)
	if err != nil {
		return nil, err
	}
	return &RedisConn{tb: tb, conn: conn, dec: newDecoder(conn)}, nil
}

// Send writes one command without waiting for its reply.
func (c *RedisConn) Send(args ...string) error {
	if err := c.conn.SetDeadline(time.Now().Add(ioWithin)); err != nil {
		return err
	}
	_, err := c.conn.Write([]byte(Encode(args)))
	return err
}

// Receive reads the next value: a reply, or a Push where tracking or
// subscriptions are on. Error replies are values here; err is about the connection.
func (c *RedisConn) Receive() (v any, err error) {
	if err := c.conn.SetDeadline(time.Now().Add(ioWithin)); err != nil {
		return nil, err
	}
	v, _, err = c.dec.next()
	return v, err
}

// Try sends a command and returns its reply; an error reply comes as err of type
// Error. Pushes that arrive before the reply are dropped.
func (c *RedisConn) Try(args ...string) (any, error) {
	if err := c.Send(args...); err != nil {
		return nil, err
	}
	for {
		v, err := c.Receive()
		if err != nil {
			return nil, err
		}
		switch v := v.(type) {
		case Push:
		case Error:
			return nil, v
		default:
			return v, nil
		}
	}
}

// Do is Try that ends the test on any error.
func (c *RedisConn) Do(args ...string) any {
	c.tb.Helper()
	v, err := c.Try(args...)
	if err != nil {
		c.tb.Fatalf("asking Redis %q: %v", args, err)
	}
	return v
}

// Close closes the connection; a second time does nothing.
func (c *RedisConn) Close() { _ = c.conn.Close() }

// text turns a reply into what a test compares: strings as they are, numbers in
// decimals, nil as "".
func text(v any) string {
	if v == nil {
		return ""
	}
	return fmt.Sprint(v)
}
