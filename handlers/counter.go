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
	var work, reads deadlines
	lasting := context.WithoutCancel(s.deps.Context)
	return func(call *call) error {
		ctx, done, err := call.work()
		if err != nil {
			return err
		}
		defer done()
		if _, err := s.tallies.Increment(ctx, c.Key); err != nil {
			return err
		}
		if c.Work > 0 {
			<-work.context(s.deps.Context, c.Work, workGrain).Done()
		}
		// The work may have ended because the process stops. What remains is
		// one short read, and the answer is worth waiting for.
		d := s.config.RequestTimeout
		n, err := s.tallies.Count(reads.context(lasting, d, d/32), c.Key)
		if err != nil {
			return err
		}
		body := strconv.AppendInt([]byte(`{"current_requests":`), n, 10)
		call.json(fasthttp.StatusOK, valueNoStore, append(body, '}'))
		return nil
	}
}

// workGrain is how much longer than its work a request may take: those which
// begin within so long are done together. A timer for each would cost more
// than all that a request asks of the tiers.
const workGrain = 2 * time.Millisecond
