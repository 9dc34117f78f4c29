package redis

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"sync"
	"time"

	"github.com/redis/rueidis"
)

// sentinels know which server is the master. It is believed only when the majority of
// those that are configured name it: a sentinel that is cut off goes on naming the master
// of before, with which it may be cut off together (promise C4). An answer holds for
// memory.revalidate; without a majority for longer, there is no master.
type sentinels struct {
	cfg   Config
	addrs []string
	set   string // the name of the master
	log   *slog.Logger

	clients []rueidis.Client // one for each address, nil until it answers; of one goroutine

	mu        sync.Mutex
	addr      string    // of the master; "" before a majority has named one
	confirmed time.Time // when a majority last named it
	last      error     // why there is no majority
	first     chan struct{}
	asked     bool
}

func newSentinels(c Config, addrs []string, set string) *sentinels {
	return &sentinels{cfg: c, addrs: addrs, set: set, log: c.Log, clients: make([]rueidis.Client, len(addrs)), first: make(chan struct{})}
}

// master returns the address of the master, or why none is known.
func (s *sentinels) master(ctx context.Context, lasts time.Duration) ([]string, error) {
	select {
	case <-s.first:
	case <-ctx.Done():
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.addr == "" && s.last == nil:
		return nil, errNotYet
	case s.addr == "" || s.last != nil && time.Since(s.confirmed) > lasts:
		return nil, s.last
	}
	return []string{s.addr}, nil
}

// ask asks all sentinels at once, and tells whether they name another master than before.
func (s *sentinels) ask(ctx context.Context, timeout time.Duration) (moved bool) {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	named, errs := make([]string, len(s.addrs)), make([]error, len(s.addrs))
	var all sync.WaitGroup
	for i := range s.addrs {
		all.Go(func() { named[i], errs[i] = s.askOne(ctx, i, timeout) })
	}
	all.Wait()
	votes := map[string]int{}
	for _, addr := range named {
		if addr != "" {
			votes[addr]++
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	was := s.addr
	s.last = fmt.Errorf("no majority of the %d sentinels names a master %q: %w", len(s.addrs), s.set, errors.Join(errs...))
	for addr, n := range votes {
		if n > len(s.addrs)/2 {
			s.addr, s.confirmed, s.last = addr, time.Now(), nil
		}
	}
	if !s.asked {
		s.asked = true
		close(s.first)
	}
	if was != "" && was != s.addr {
		s.log.Warn("the sentinels name another master", "master", s.addr, "before", was)
	}
	return was != s.addr
}

// askOne asks one sentinel. Its name is resolved anew after an error.
func (s *sentinels) askOne(ctx context.Context, i int, timeout time.Duration) (string, error) {
	if s.clients[i] == nil {
		o, err := s.cfg.sentinelOptions(timeout)
		if err != nil {
			return "", err
		}
		c, _, err := dialOnce(o, s.addrs[i])
		if err != nil {
			return "", fmt.Errorf("sentinel %q: %w", s.addrs[i], err)
		}
		s.clients[i] = c
	}
	c := s.clients[i]
	parts, err := c.Do(ctx, c.B().SentinelGetMasterAddrByName().Master(s.set).Build()).AsStrSlice()
	if err == nil && len(parts) == 2 {
		return net.JoinHostPort(parts[0], parts[1]), nil
	}
	if rueidis.IsRedisNil(err) {
		return "", fmt.Errorf("sentinel %q knows no master %q", s.addrs[i], s.set)
	}
	if err == nil {
		err = errors.New("unexpected answer")
	}
	c.Close()
	s.clients[i] = nil
	return "", fmt.Errorf("sentinel %q: %w", s.addrs[i], err)
}

// close ends the connections to the sentinels.
func (s *sentinels) close() {
	for _, c := range s.clients {
		if c != nil {
			c.Close()
		}
	}
}
