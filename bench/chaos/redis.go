package main

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"strconv"
	"strings"
	"time"
)

// redisConn is a plain client of Redis. It waits for each answer as long as
// the connection lives: Redis may be frozen, and a command that was given up
// could still take effect later.
type redisConn struct {
	conn net.Conn
	in   *bufio.Reader
}

func dialRedis(addr string) (*redisConn, error) {
	conn, err := net.DialTimeout("tcp", addr, 5*time.Second)
	if err != nil {
		return nil, fmt.Errorf("connecting to redis: %w", err)
	}
	return &redisConn{conn: conn, in: bufio.NewReader(conn)}, nil
}

func (c *redisConn) close() {
	if c != nil {
		_ = c.conn.Close()
	}
}

// do sends one command and returns its reply as text.
func (c *redisConn) do(args ...string) (string, error) {
	var b strings.Builder
	fmt.Fprintf(&b, "*%d\r\n", len(args))
	for _, a := range args {
		fmt.Fprintf(&b, "$%d\r\n%s\r\n", len(a), a)
	}
	if err := c.conn.SetDeadline(time.Now().Add(answerWithin)); err != nil {
		return "", err
	}
	if _, err := io.WriteString(c.conn, b.String()); err != nil {
		return "", err
	}
	line, err := c.in.ReadString('\n')
	if err != nil {
		return "", err
	}
	line = strings.TrimSuffix(line, "\r\n")
	switch {
	case strings.HasPrefix(line, "-"):
		return "", errors.New("redis answers: " + line[1:])
	case !strings.HasPrefix(line, "$"):
		return strings.TrimLeft(line, "+:"), nil
	}
	n, err := strconv.Atoi(line[1:])
	if err != nil || n < 0 {
		return "", err
	}
	body := make([]byte, n+2)
	_, err = io.ReadFull(c.in, body)
	return string(body[:n]), err
}
