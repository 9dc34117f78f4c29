package app

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"sync"
	"time"
)

// maxSweep bounds how long one sweep may take: that of a Redis with a hundred million keys
// takes minutes.
const maxSweep = 10 * time.Minute

// sweeps remove all copies of a resource from the shared tier, key by key. That takes long
// where there are many keys, so a sweep outlives the request that has asked for it.
//
// There is one at a time for each resource, and at most one more that waits for it: a
// sweep has passed by keys that a later request is about, so who comes while one runs
// joins the next one, which has not begun.
type sweeps struct {
	remove func(ctx context.Context, glob string, matches func(key string) bool) (int64, error)
	log    *slog.Logger
	ctx    context.Context // ends with the server

	mu      sync.Mutex
	running map[string][2]*sweep // by resource: the one that runs, and the next one
	closed  bool
	all     sync.WaitGroup
}

// sweep is one of them.
type sweep struct {
	resource, glob string
	matches        func(key string) bool
	done           chan struct{}

	// Valid once done is closed.

	removed int64
	err     error
}

func newSweeps(ctx context.Context, log *slog.Logger, remove func(ctx context.Context, glob string, matches func(key string) bool) (int64, error)) *sweeps {
	return &sweeps{ctx: ctx, log: log, remove: remove, running: map[string][2]*sweep{}}
}

// newSweep is a wish for one.
func newSweep(resource, glob string, matches func(key string) bool) *sweep {
	return &sweep{resource: resource, glob: glob, matches: matches, done: make(chan struct{})}
}

// ask removes all keys of a resource. over is false when ctx has ended before: then the
// sweep goes on.
func (s *sweeps) ask(ctx context.Context, wish *sweep) (removed int64, over bool, err error) {
	one, err := s.join(wish)
	if err != nil {
		return 0, true, err
	}
	select {
	case <-one.done:
		return one.removed, true, one.err
	case <-ctx.Done():
		return 0, false, nil
	}
}

// join finds the sweep that serves a wish: one that has not begun, else the wish itself.
func (s *sweeps) join(wish *sweep) (*sweep, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return nil, errStopping
	}
	pair := s.running[wish.resource]
	switch {
	case pair[0] == nil:
		s.running[wish.resource] = [2]*sweep{wish}
		s.all.Go(func() { s.run(wish) })
	case pair[1] == nil:
		s.running[wish.resource] = [2]*sweep{pair[0], wish}
	// A reload may have given the resource other keys since.
	case pair[1].glob != wish.glob:
		return nil, errors.New("the keys of the resource have changed; two sweeps are under way still")
	default:
		return pair[1], nil
	}
	return wish, nil
}

// run does one sweep after the other until nobody waits for one.
func (s *sweeps) run(one *sweep) {
	for one != nil {
		began := time.Now()
		ctx, cancel := context.WithTimeout(s.ctx, maxSweep)
		one.removed, one.err = s.remove(ctx, one.glob, one.matches)
		cancel()
		close(one.done)
		if one.err != nil {
			s.log.Error("removing all records of a resource", "resource", one.resource, "removed", one.removed, "error", one.err)
		} else {
			s.log.Info("all records of a resource are removed", "resource", one.resource, "removed", one.removed, "seconds", time.Since(began).Seconds())
		}
		one = s.next(one.resource)
	}
}

// next is the sweep that may begin, nil if there is none.
func (s *sweeps) next(resource string) *sweep {
	s.mu.Lock()
	defer s.mu.Unlock()
	next := s.running[resource][1]
	if next == nil {
		delete(s.running, resource)
	} else {
		s.running[resource] = [2]*sweep{next}
	}
	return next
}

// underWay names the resources that are being swept.
func (s *sweeps) underWay() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	names := make([]string, 0, len(s.running))
	for name := range s.running {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

// close waits until all are over, which the end of their context hastens.
func (s *sweeps) close() {
	s.mu.Lock()
	s.closed = true
	s.mu.Unlock()
	s.all.Wait()
}
