package handlers

import (
	"context"
	"strconv"
	"time"

	"github.com/valyala/fasthttp"
)

// counter counts the request, works for a while as the recipe does, and
// answers with the count as it is then: the figure is the load on the whole
// fleet. It serves no HEAD, which by its meaning must not count.
func (s *Server) counter(c Counter) operation {
	return func(call *call) error {
		ctx, done, err := call.work(c.Work)
		if err != nil {
			return err
		}
		defer done()
		if _, err := s.tallies.Increment(ctx, c.Key); err != nil {
			return err
		}
		pause(ctx, c.Work)
		// The wait may have ended because the process stops. What remains is
		// one short read, and the answer is worth waiting for.
		last, cancel := context.WithTimeout(context.WithoutCancel(ctx), s.config.RequestTimeout)
		defer cancel()
		n, err := s.tallies.Count(last, c.Key)
		if err != nil {
			return err
		}
		body := strconv.AppendInt([]byte(`{"current_requests":`), n, 10)
		call.json(fasthttp.StatusOK, valueNoStore, append(body, '}'))
		return nil
	}
}

// pause waits for d, or until ctx ends.
func pause(ctx context.Context, d time.Duration) {
	if d <= 0 {
		return
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}
