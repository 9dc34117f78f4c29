package main

import (
	"bufio"
	"fmt"
	"net"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/valyala/fasthttp"
)

// crowd is keep-alive connections of this program, for what wrk cannot do: be idle, and
// look at every answer.
type crowd []*member

// member is one connection, used by one goroutine at a time.
type member struct {
	conn net.Conn
	in   *bufio.Reader
}

// dialers is how many connect at a time: fewer than the kernel lets wait for the
// server to accept them.
const dialers = 64

// gather connects n members. Those that are connected are returned also with an error.
func gather(addr string, n int) (crowd, error) {
	var mu sync.Mutex
	var all crowd
	var errs []error
	var dialing sync.WaitGroup
	for d := range dialers {
		dialing.Go(func() {
			for i := d; i < n; i += dialers {
				conn, err := net.DialTimeout("tcp", addr, answerWithin)
				mu.Lock()
				if err != nil {
					errs = append(errs, err)
					mu.Unlock()
					return
				}
				all = append(all, &member{conn, bufio.NewReaderSize(conn, 512)})
				mu.Unlock()
			}
		})
	}
	dialing.Wait()
	if len(errs) > 0 {
		return all, fmt.Errorf("connecting %d times to %s: %w", n, addr, errs[0])
	}
	return all, nil
}

// close ends the connections at once, so that none of them keeps its port for a minute.
func (all crowd) close() {
	for _, m := range all {
		if c, ok := m.conn.(*net.TCPConn); ok {
			_ = c.SetLinger(0)
		}
		_ = m.conn.Close()
	}
}

// ask sends a request on every connection at the same time and returns the numbers that
// are answered.
func (all crowd) ask(path string) ([]int64, error) {
	numbers := make([]int64, len(all))
	errs := make([]error, len(all))
	request := []byte("GET " + path + " HTTP/1.1\r\nHost: inflight\r\n\r\n")
	var asking sync.WaitGroup
	for i, m := range all {
		asking.Go(func() { numbers[i], errs[i] = m.ask(request) })
	}
	asking.Wait()
	errs = slices.DeleteFunc(errs, func(err error) bool { return err == nil })
	if len(errs) > 0 {
		return nil, fmt.Errorf("asking for %s on %d connections: %d fail, the first: %w", path, len(all), len(errs), errs[0])
	}
	return numbers, nil
}

func (m *member) ask(request []byte) (int64, error) {
	if err := m.conn.SetDeadline(time.Now().Add(answerWithin)); err != nil {
		return 0, err
	}
	if _, err := m.conn.Write(request); err != nil {
		return 0, err
	}
	res := fasthttp.AcquireResponse()
	defer fasthttp.ReleaseResponse(res)
	if err := res.Read(m.in); err != nil {
		return 0, err
	}
	if res.StatusCode() != fasthttp.StatusOK {
		return 0, fmt.Errorf("the answer is %d %q", res.StatusCode(), res.Body())
	}
	_, rest, found := strings.Cut(string(res.Body()), `{"current_requests":`)
	n, err := strconv.ParseInt(strings.TrimSuffix(rest, "}"), 10, 64)
	if !found || err != nil {
		return 0, fmt.Errorf("the answer is %q", res.Body())
	}
	return n, nil
}
