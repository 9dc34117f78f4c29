package main

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"strconv"
	"time"
)

// answerWithin bounds the wait for an answer: longer than any fault lasts.
const answerWithin = 3 * time.Minute

// link is one keep-alive connection to an instance.
type link struct {
	conn net.Conn
	in   *bufio.Reader
	out  []byte
}

func dialHTTP(addr string) (*link, error) {
	conn, err := net.DialTimeout("tcp", addr, answerWithin)
	if err != nil {
		return nil, err
	}
	return &link{conn: conn, in: bufio.NewReaderSize(conn, 64<<10)}, nil
}

func (l *link) flush() error {
	if err := l.conn.SetDeadline(time.Now().Add(answerWithin)); err != nil {
		return err
	}
	_, err := l.conn.Write(l.out)
	l.out = l.out[:0]
	return err
}

// response is one answer; body and status are valid until the next one is read.
type response struct {
	code   int
	marked bool // detail=stale or detail=untracked
	status string
	body   []byte
	buf    []byte
}

// read reads the next answer. It understands what hearth sends: a
// Content-Length on everything.
func (l *link) read(r *response) error {
	line, err := l.in.ReadSlice('\n')
	if err != nil {
		return err
	}
	if len(line) < 12 {
		return fmt.Errorf("status line %q", line)
	}
	if r.code, err = strconv.Atoi(string(line[9:12])); err != nil {
		return fmt.Errorf("status line %q", line)
	}
	r.marked, r.status = false, ""
	length := 0
	for {
		line, err := l.in.ReadSlice('\n')
		if err != nil {
			return err
		}
		line = bytes.TrimRight(line, "\r\n")
		if len(line) == 0 {
			break
		}
		if value, ok := bytes.CutPrefix(line, []byte("Content-Length: ")); ok {
			if length, err = strconv.Atoi(string(value)); err != nil {
				return err
			}
		}
		if value, ok := bytes.CutPrefix(line, []byte("Cache-Status: ")); ok {
			r.status = string(value)
			r.marked = bytes.Contains(value, []byte("detail="))
		}
	}
	if cap(r.buf) < length {
		r.buf = make([]byte, length)
	}
	r.body = r.buf[:length]
	_, err = io.ReadFull(l.in, r.body)
	return err
}

var versionMember = []byte(`"v":`)

// version is the record's version.
func (r *response) version() (int64, error) {
	_, rest, ok := bytes.Cut(r.body, versionMember)
	n := int64(0)
	for len(rest) > 0 && rest[0] >= '0' && rest[0] <= '9' {
		n, rest = n*10+int64(rest[0]-'0'), rest[1:]
	}
	if !ok || n == 0 {
		return 0, fmt.Errorf("an answer without a version: %q", r.body)
	}
	return n, nil
}

// reader asks one instance, depth requests at a time, as fast as it answers.
type reader struct {
	book     *book
	instance int
	addr     string
	depth    int
	rand     *rand.Rand
}

func (r *reader) run(ctx context.Context) error {
	l, err := dialHTTP(r.addr)
	if err != nil {
		return err
	}
	defer l.conn.Close()
	asked := make([]question, 0, r.depth)
	var answer response
	for ctx.Err() == nil {
		asked = asked[:0]
		for range r.depth {
			s := &r.book.shelves[r.rand.IntN(resources)]
			// The square prefers the first places: hot keys meet more writes.
			x := r.rand.Float64()
			rec := s.places[int(x*x*float64(len(s.places)))].Load()
			if rec == nil {
				continue
			}
			asked = append(asked, r.book.ask(rec, r.instance))
			l.out = append(append(append(l.out, "GET /"...), resourceNames[rec.resource]...), '/')
			l.out = append(strconv.AppendInt(l.out, rec.id, 10), " HTTP/1.1\r\nHost: chaos\r\n\r\n"...)
		}
		if len(asked) == 0 {
			if !pause(ctx, time.Millisecond) {
				return nil
			}
			continue
		}
		if err := l.flush(); err != nil {
			return fmt.Errorf("asking instance %d: %w", r.instance+1, err)
		}
		for _, q := range asked {
			if err := l.read(&answer); err != nil {
				return fmt.Errorf("reading from instance %d: %w", r.instance+1, err)
			}
			if err := r.check(q, &answer); err != nil {
				return err
			}
		}
	}
	return nil
}

func (r *reader) check(q question, a *response) (err error) {
	r.book.reads.Add(1)
	version := int64(0)
	switch a.code {
	case 200:
		if version, err = a.version(); err != nil {
			return err
		}
	case 404:
	case 502, 503, 504:
		r.book.refused.Add(1)
		return nil
	default:
		return fmt.Errorf("instance %d answers %d: %q", r.instance+1, a.code, a.body)
	}
	if a.marked {
		r.book.marked.Add(1)
		return nil
	}
	r.book.judge(q, r.instance, version, a.status)
	return nil
}

// pause waits for d; false: ctx ended.
func pause(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-ctx.Done():
		return false
	}
}
