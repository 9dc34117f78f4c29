package main

import (
	"bufio"
	"context"
	"fmt"
	"net"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/valyala/fasthttp"
)

const (
	writeEvery = 50 // one of so many requests is a write
	records    = 1000
	// answerWithin is when a client gives up: as late as HAProxy does.
	answerWithin = 20 * time.Second
)

// tally is what clients were answered.
type tally struct {
	reads, writes int64
	failed        int64
	first         string // of the failures
	slowest       time.Duration
	dialled       int64 // connections to the balancer

	restarts      int
	longest, took time.Duration // of one restart, and of all
}

func (t *tally) String() string {
	text := fmt.Sprintf("%d requests (%d writes) in %.1f s, slowest %v; %d restarts, longest %v; %d failed",
		t.reads+t.writes, t.writes, t.took.Seconds(), t.slowest.Round(time.Millisecond), t.restarts, t.longest.Round(time.Millisecond), t.failed)
	if t.failed > 0 {
		text += ", first: " + t.first
	}
	return text
}

// crowd is clients that ask as fast as they are answered.
type crowd struct {
	addr    string
	count   atomic.Int64
	over    chan struct{}
	clients sync.WaitGroup

	mu  sync.Mutex
	sum tally
}

func begin(addr string, clients int) *crowd {
	c := &crowd{addr: addr, over: make(chan struct{})}
	for i := range clients {
		c.clients.Go(func() { c.ask(i) })
	}
	return c
}

func (c *crowd) asked() int64 { return c.count.Load() }

// await waits until so many more requests were answered.
func (c *crowd) await(ctx context.Context, more int64) error {
	until := c.asked() + more
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for c.asked() < until {
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-tick.C:
		}
	}
	return nil
}

func (c *crowd) end() *tally {
	close(c.over)
	c.clients.Wait()
	return &c.sum
}

// ask is one client.
func (c *crowd) ask(number int) {
	var t tally
	k := client{addr: c.addr}
	for i := number; ; i++ {
		select {
		case <-c.over:
			k.close()
			t.dialled = k.dialled
			c.add(&t)
			return
		default:
		}
		id, began := int64(1+i*61%records), time.Now()
		var err error
		if i%writeEvery == 0 {
			t.writes++
			err = k.put(id, i)
		} else {
			t.reads++
			err = k.get(id)
		}
		t.slowest = max(t.slowest, time.Since(began))
		if err != nil {
			if t.failed++; t.failed == 1 {
				t.first = err.Error()
			}
			k.close()
		}
		c.count.Add(1)
	}
}

func (c *crowd) add(t *tally) {
	c.mu.Lock()
	defer c.mu.Unlock()
	s := &c.sum
	s.reads, s.writes, s.failed, s.dialled = s.reads+t.reads, s.writes+t.writes, s.failed+t.failed, s.dialled+t.dialled
	s.slowest = max(s.slowest, t.slowest)
	if s.first == "" {
		s.first = t.first
	}
}

// client is one keep-alive connection to the balancer, made again after a failure.
type client struct {
	addr    string
	net     net.Conn
	in      *bufio.Reader
	out     []byte
	answer  fasthttp.Response
	dialled int64
}

func (k *client) get(id int64) error {
	k.out = append(strconv.AppendInt(append(k.out[:0], "GET /user/"...), id, 10), " HTTP/1.1\r\nHost: rolling\r\n\r\n"...)
	return k.exchange()
}

func (k *client) put(id int64, n int) error {
	body := `{"name":"n` + strconv.Itoa(n) + `"}`
	k.out = append(strconv.AppendInt(append(k.out[:0], "PUT /user/"...), id, 10), " HTTP/1.1\r\nHost: rolling\r\nContent-Type: application/json\r\nContent-Length: "...)
	k.out = append(append(strconv.AppendInt(k.out, int64(len(body)), 10), "\r\n\r\n"...), body...)
	return k.exchange()
}

// exchange sends out and judges the answer.
func (k *client) exchange() (err error) {
	if k.net == nil {
		if k.net, err = net.DialTimeout("tcp", k.addr, answerWithin); err != nil {
			return fmt.Errorf("connecting to the balancer: %w", err)
		}
		k.in = bufio.NewReader(k.net)
		k.dialled++
	}
	if err := k.net.SetDeadline(time.Now().Add(answerWithin)); err != nil {
		return err
	}
	if _, err := k.net.Write(k.out); err != nil {
		return fmt.Errorf("asking: %w", err)
	}
	if err := k.answer.Read(k.in); err != nil {
		return fmt.Errorf("reading the answer to %.20q: %w", k.out, err)
	}
	if code := k.answer.StatusCode(); code != fasthttp.StatusOK {
		return fmt.Errorf("%.20q is answered %d %.200q", k.out, code, k.answer.Body())
	}
	if k.answer.ConnectionClose() {
		k.close()
	}
	return nil
}

func (k *client) close() {
	if k.net != nil {
		_ = k.net.Close()
		k.net = nil
	}
}
