package redis

import (
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"sync"
	"time"

	"github.com/redis/rueidis"
)

// sentinels know which server is the master. It is believed only when the majority of
// those that are configured name it: a sentinel that is cut off goes on naming the master
// of before, with which it may be cut off together (promise C4). An answer holds for
// memory.revalidate; without a majority for longer, there is no master.
//
// Each sentinel has a goroutine of its own, so that one that hangs delays no other's vote.
type sentinels struct {
	cfg   Config
	addrs []string
	set   string // the name of the master

	mu        sync.Mutex
	votes     []vote
	addr      string        // of the master; "" before a majority has named one
	confirmed time.Time     // when a majority last named it
	first     chan struct{} // closed when there is a majority, or every sentinel was asked
}

// vote is what one sentinel says.
type vote struct {
	addr string // of the master; "" if it does not say
	err  error
	at   time.Time // when it was asked; zero before
}

func newSentinels(c Config, addrs []string, set string) *sentinels {
	return &sentinels{cfg: c, addrs: addrs, set: set, votes: make([]vote, len(addrs)), first: make(chan struct{})}
}

// master returns the address of the master, or why none is known. It waits until the
// sentinels were asked once.
func (s *sentinels) master(ctx context.Context) ([]string, error) {
	select {
	case <-s.first:
	case <-ctx.Done():
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.addr != "" && time.Since(s.confirmed) < s.cfg.Revalidate {
		return []string{s.addr}, nil
	}
	err := fmt.Errorf("no majority of the %d sentinels names a master %q", len(s.addrs), s.set)
	for _, v := range s.votes {
		err = errors.Join(err, v.err)
	}
	return nil, err
}

// keep asks all sentinels every so often until ctx ends, and calls moved when the majority
// names another master.
func (s *sentinels) keep(ctx context.Context, every, timeout time.Duration, moved func()) {
	var all sync.WaitGroup
	for i, addr := range s.addrs {
		all.Go(func() {
			var c rueidis.Client
			tick := time.NewTicker(every)
			defer tick.Stop()
			for ctx.Err() == nil {
				v := vote{at: time.Now()}
				v.addr, v.err = s.ask(ctx, &c, addr, timeout)
				if s.count(i, v, every+2*timeout) {
					moved()
				}
				select {
				case <-ctx.Done():
				case <-tick.C:
				}
			}
			if c != nil {
				c.Close()
			}
		})
	}
	all.Wait()
}

// count takes the vote of the i-th sentinel, and tells whether the majority names another
// master than before. A vote that is older than lasts does not count.
func (s *sentinels) count(i int, v vote, lasts time.Duration) (moved bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.votes[i] = v
	asked := true
	named := map[string][]time.Time{}
	for _, v := range s.votes {
		asked = asked && !v.at.IsZero()
		if v.addr != "" && time.Since(v.at) < lasts {
			named[v.addr] = append(named[v.addr], v.at)
		}
	}
	was := s.addr
	for addr, at := range named {
		most := len(s.addrs) / 2
		if len(at) <= most {
			continue
		}
		// The majority is as old as the oldest vote that it needs: one sentinel that is
		// asked again and again does not renew what the others have said.
		slices.SortFunc(at, func(a, b time.Time) int { return b.Compare(a) })
		s.addr, s.confirmed, asked = addr, at[most], true
	}
	if asked {
		select {
		case <-s.first:
		default:
			close(s.first)
		}
	}
	if was != "" && was != s.addr {
		s.cfg.Log.Warn("the sentinels name another master", "master", s.addr, "before", was)
	}
	return was != s.addr
}

// ask asks one sentinel, which c leads to. Its name is resolved anew after an error.
func (s *sentinels) ask(ctx context.Context, c *rueidis.Client, addr string, timeout time.Duration) (master string, err error) {
	defer func() {
		if err != nil {
			err = fmt.Errorf("sentinel %q: %w", addr, err)
		}
	}()
	if *c == nil {
		o, err := s.cfg.sentinelOptions(timeout)
		if err != nil {
			return "", err
		}
		if *c, _, err = dialOnce(o, addr); err != nil {
			*c = nil
			return "", err
		}
	}
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	parts, err := (*c).Do(ctx, (*c).B().SentinelGetMasterAddrByName().Master(s.set).Build()).AsStrSlice()
	switch {
	case err == nil && len(parts) == 2:
		return net.JoinHostPort(parts[0], parts[1]), nil
	case rueidis.IsRedisNil(err):
		return "", errors.New("it knows no such master; correct master_set in redis.url")
	case err == nil:
		err = errors.New("unexpected answer")
	}
	(*c).Close()
	*c = nil
	return "", err
}
