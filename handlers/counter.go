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
// fleet. It serves no HEAD, which by its meaning must not count. The deadline of its
// context is that of the counting; the work has its own length.
func (s *Server) counter(c Counter) operation {
	all := &workGroups{Counter: c, server: s}
	return func(r *request) error {
		ctx, err := r.startWork(time.Now())
		if err != nil {
			return err
		}
		defer r.endWork()
		if _, err := s.counters.Increment(ctx, c.Key); err != nil {
			return err
		}
		body, err := all.work()
		if err != nil {
			return err
		}
		r.json(fasthttp.StatusOK, valueNoStore, body)
		return nil
	}
}

// workGrain is how much longer than its work a request may take: those which
// begin within so long work together. With a timer and a read for each, waking
// and waiting would cost more than everything else in a request.
const workGrain = 2 * time.Millisecond

// workGroups are the requests of one counter at work. Two groups overlap when
// requests come while an earlier group is at work; only the current one is joined.
type workGroups struct {
	Counter
	server  *Server
	current atomic.Pointer[workGroup]
}

// workGroup is the requests that were counted within one grain. They work
// together, and the count is read once for all of them.
type workGroup struct {
	until time.Time     // requests that come later form the next
	done  chan struct{} // closed when body and err are set
	body  []byte        // the answer to all of them
	err   error
}

// work does the work of a request that has been counted, and returns its answer.
func (w *workGroups) work() ([]byte, error) {
	for {
		now, group := time.Now(), w.current.Load()
		if group != nil && now.Before(group.until) {
			<-group.done // within the work's time and that of one read
			return group.body, group.err
		}
		grain := min(workGrain, w.Work)
		// The error stands if finish panics: then the others still get an answer.
		fresh := &workGroup{until: now.Add(grain), done: make(chan struct{}), err: cache.ErrUnavailable}
		if w.current.CompareAndSwap(group, fresh) { // else another request was first, and its group can be joined
			w.finish(fresh, grain)
			return fresh.body, fresh.err
		}
	}
}

// finish is called by the request that began the group, on its own goroutine, so that
// none is started which something would have to join. It waits until the last request
// that joined has worked for long enough, and reads the count for all.
func (w *workGroups) finish(group *workGroup, grain time.Duration) {
	defer close(group.done)
	timer := time.NewTimer(grain + w.Work)
	defer timer.Stop()
	process := w.server.deps.Context
	select {
	case <-timer.C:
	case <-process.Done():
		// Work ends early when the process stops; what remains is one short
		// read, and the answers are worth waiting for.
	}
	// A request that is counted from here on might not be in the count that is
	// read now, so it must not join.
	w.current.CompareAndSwap(group, nil)
	ctx, cancel := context.WithTimeout(context.WithoutCancel(process), w.server.config.RequestTimeout)
	defer cancel()
	n, err := w.server.counters.Count(ctx, w.Key)
	if group.err = err; err == nil {
		group.body = append(strconv.AppendInt([]byte(`{"current_requests":`), n, 10), '}')
	}
}
