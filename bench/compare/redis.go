package main

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"strconv"
	"strings"
	"time"
)

// redisConn is just enough of a Redis client to fill a server and to ask what it
// has done. A client library would be one more thing that is measured.
type redisConn struct {
	conn net.Conn
	r    *bufio.Reader
}

// dialRedis connects; the connection is good for a minute.
func dialRedis(addr string) (*redisConn, error) {
	conn, err := net.DialTimeout("tcp", addr, 5*time.Second)
	if err != nil {
		return nil, err
	}
	if err := conn.SetDeadline(time.Now().Add(time.Minute)); err != nil {
		_ = conn.Close()
		return nil, err
	}
	return &redisConn{conn: conn, r: bufio.NewReaderSize(conn, 64<<10)}, nil
}

func (c *redisConn) close() { _ = c.conn.Close() }

func appendCommand(b []byte, args ...string) []byte {
	b = fmt.Appendf(b, "*%d\r\n", len(args))
	for _, a := range args {
		b = fmt.Appendf(b, "$%d\r\n%s\r\n", len(a), a)
	}
	return b
}

// do sends a command and returns its reply as text; nil is "".
func (c *redisConn) do(args ...string) (string, error) {
	if _, err := c.conn.Write(appendCommand(nil, args...)); err != nil {
		return "", fmt.Errorf("asking redis-server %q: %w", args, err)
	}
	reply, err := c.reply()
	if err != nil {
		return "", fmt.Errorf("asking redis-server %q: %w", args, err)
	}
	return reply, nil
}

func (c *redisConn) reply() (string, error) {
	line, err := c.r.ReadString('\n')
	if err != nil {
		return "", err
	}
	line = strings.TrimSuffix(line, "\r\n")
	switch {
	case line == "":
		return "", io.ErrUnexpectedEOF
	case line[0] == '-':
		return "", fmt.Errorf("it answers %q", line[1:])
	case line[0] != '$':
		return line[1:], nil
	}
	n, err := strconv.Atoi(line[1:])
	if err != nil || n < 0 {
		return "", err
	}
	text := make([]byte, n+2)
	_, err = io.ReadFull(c.r, text)
	return string(text[:n]), err
}

// record is the value of user n: about 100 bytes of JSON.
func record(n int) string {
	return fmt.Sprintf(`{"id":%d,"name":"张三","city":"北京","email":"user-%d@shop.example","since":"2019-05-04T12:00:00Z"}`, n, n)
}

// fill stores the records 1 to n, a thousand commands at a time.
func (c *redisConn) fill(n int) error {
	const chunk = 1000
	var b []byte
	for first := 1; first <= n; first += chunk {
		b = b[:0]
		last := min(first+chunk-1, n)
		for i := first; i <= last; i++ {
			b = appendCommand(b, "SET", fmt.Sprint("user:", i), record(i), "EX", strconv.Itoa(expiry))
		}
		if _, err := c.conn.Write(b); err != nil {
			return fmt.Errorf("filling redis-server: %w", err)
		}
		for range last - first + 1 {
			if _, err := c.reply(); err != nil {
				return fmt.Errorf("filling redis-server: %w", err)
			}
		}
	}
	return nil
}

// gets is how many GET commands the server has run.
func (c *redisConn) gets() (int64, error) {
	stats, err := c.do("INFO", "commandstats")
	if err != nil {
		return 0, err
	}
	_, rest, found := strings.Cut(stats, "cmdstat_get:calls=")
	if !found {
		return 0, nil
	}
	calls, _, _ := strings.Cut(rest, ",")
	return strconv.ParseInt(calls, 10, 64)
}
