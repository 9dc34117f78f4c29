package main

import (
	"bufio"
	"bytes"
	"fmt"
	"net"
	"strconv"
	"time"

	"github.com/valyala/fasthttp"
)

// answerWithin bounds the wait for an answer: longer than any that hearth allows itself.
const answerWithin = 30 * time.Second

// conn is one keep-alive connection to an instance. What it sends is written by hand
// and what comes back is read by fasthttp: a client with a pool would decide by itself
// how many connections there are.
type conn struct {
	net    net.Conn
	in     *bufio.Reader
	out    []byte
	answer fasthttp.Response // the latest
}

func dial(addr string) (*conn, error) {
	c, err := net.DialTimeout("tcp", addr, answerWithin)
	if err != nil {
		return nil, fmt.Errorf("connecting to hearth: %w", err)
	}
	return &conn{net: c, in: bufio.NewReader(c)}, nil
}

func (c *conn) close() { _ = c.net.Close() }

// get asks for a path and leaves what comes back in answer. After an error the
// connection is out of step.
func (c *conn) get(path string) error {
	c.out = append(append(append(c.out[:0], "GET "...), path...), " HTTP/1.1\r\nHost: fleet\r\n\r\n"...)
	return c.exchange()
}

// put stores a JSON body.
func (c *conn) put(path, body string) error {
	c.out = append(append(append(c.out[:0], "PUT "...), path...), " HTTP/1.1\r\nHost: fleet\r\nContent-Type: application/json\r\nContent-Length: "...)
	c.out = append(strconv.AppendInt(c.out, int64(len(body)), 10), "\r\n\r\n"...)
	c.out = append(c.out, body...)
	return c.exchange()
}

func (c *conn) exchange() error {
	if err := c.net.SetDeadline(time.Now().Add(answerWithin)); err != nil {
		return err
	}
	if _, err := c.net.Write(c.out); err != nil {
		return fmt.Errorf("asking hearth: %w", err)
	}
	if err := c.answer.Read(c.in); err != nil {
		return fmt.Errorf("reading from hearth: %w", err)
	}
	return nil
}

// tier is where an answer came from, by what its Cache-Status says.
type tier int

const (
	memory tier = iota // a copy in memory that hearth vouches for
	redis              // a tracked read of Redis
	source             // a load from the database, one's own or another's
	marked             // detail=stale or detail=untracked: hearth vouches for nothing
	tiers
)

var tierNames = [tiers]string{"memory", "Redis", "the database", "marked stale or untracked"}

// tierOf reads a Cache-Status. Of a many-read it tells of the answer that came from
// farthest.
func tierOf(status []byte) tier {
	switch {
	case bytes.Contains(status, []byte("detail=")):
		return marked
	case bytes.HasPrefix(status, []byte("Hearth-Memory; hit")):
		return memory
	case bytes.HasPrefix(status, []byte("Hearth-Redis; hit")):
		return redis
	}
	return source
}

// number is the value of an integer member of a JSON answer, such as `"v":`; -1
// where there is none.
func number(body []byte, member string) int64 {
	_, rest, ok := bytes.Cut(body, []byte(member))
	end := 0
	for end < len(rest) && rest[end] >= '0' && rest[end] <= '9' {
		end++
	}
	n, err := strconv.ParseInt(string(rest[:end]), 10, 64)
	if !ok || err != nil {
		return -1
	}
	return n
}

// record is an answer without its source, which is not the same for everybody.
func record(body []byte) []byte {
	before, _, _ := bytes.Cut(body, []byte(`,"source":`))
	return before
}
