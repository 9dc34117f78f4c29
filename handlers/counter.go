package handlers

import (
	"context"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/valyala/fasthttp"

	"hearth/cache"
)

// counter counts the request, works for a while as the recipe does, and
// answers with the count as it is then: the figure is the load on the whole
// fleet. It serves no HEAD, which by its meaning must not count.
func (s *Server) counter(c Counter) operation {
	all := &workGroups{Counter: c, server: s}
	return func(call *request) error {
		ctx, done, err := call.startWork()
		if err != nil {
			return err
		}
		defer done()
		if _, err := s.counters.Increment(ctx, c.Key); err != nil {
			return err
		}
		body, err := all.work()
		if err != nil {
			return err
		}
		call.json(fasthttp.StatusOK, valueNoStore, body)
		return nil
	}
}

// workGrain is how much longer than its work a request may take: those which
// begin within so long work together. With a timer and a read for each, waking
// and waiting would cost more than all the rest of a request.
const workGrain = 2 * time.Millisecond

// shifts are the requests of one counter at work.
type workGroups struct {
	Counter
	server  *Server
	current atomic.Pointer[workGroup]
}

// shift is the requests that were counted within one moment. They work together,
// and the count is read once for all of them.
type workGroup struct {
	until time.Time     // who comes later is of another one
	done  chan struct{} // closed when body and err are set
	body  []byte        // the answer to all of them
	err   error
}

// work does the work of a request that has been counted, and returns its answer.
func (all *workGroups) work() ([]byte, error) {
	for {
		now, sh := time.Now(), all.current.Load()
		if sh != nil && now.Before(sh.until) {
			<-sh.done // within the work's time and that of one read
			return sh.body, sh.err
		}
		grain := min(workGrain, all.Work)
		fresh := &workGroup{until: now.Add(grain), done: make(chan struct{}), err: cache.ErrUnavailable}
		if all.current.CompareAndSwap(sh, fresh) { // else another one was first, and can be joined
			all.lead(fresh, grain)
			return fresh.body, fresh.err
		}
	}
}

// lead is the part of the one who began the shift: he watches the time, and asks for
// the count when the last who joined has worked for long enough.
func (all *workGroups) lead(sh *workGroup, grain time.Duration) {
	defer close(sh.done)
	timer := time.NewTimer(grain + all.Work)
	defer timer.Stop()
	process := all.server.deps.Context
	select {
	case <-timer.C:
	case <-process.Done():
		// Work ends early when the process stops; what remains is one short
		// read, and the answers are worth waiting for.
	}
	// Whoever is counted from here on might not be in the count that is read now.
	all.current.CompareAndSwap(sh, nil)
	ctx, cancel := context.WithTimeout(context.WithoutCancel(process), all.server.config.RequestTimeout)
	defer cancel()
	n, err := all.server.counters.Count(ctx, all.Key)
	if sh.err = err; err == nil {
		sh.body = append(strconv.AppendInt([]byte(`{"current_requests":`), n, 10), '}')
	}
}
