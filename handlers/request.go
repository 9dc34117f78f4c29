package handlers

import (
	"context"
	"sync/atomic"
	"time"

	"github.com/valyala/fasthttp"

	"hearth/cache"
	"hearth/internal/framing"
)

// request is one request on its way through the slow path, and what metrics and
// log want to know of it once it is answered. It belongs to the goroutine of the
// request and dies with it.
type request struct {
	*fasthttp.RequestCtx
	server  *Server
	metrics *requestMetrics // of the resource that is asked for
	tier    cache.Tier      // that answered
	id      string          // X-Request-Id; "" until one is needed
	rates   rateHeaders
	cause   error // of a problem answered, for the log
	// counted says that the answer is complete and counted: memory gave it.
	counted bool
	// expected says that a status of 500 or more is no fault: a health check.
	expected bool
	admitted bool // the limits that cover the request have admitted it

	content     framing.Content // as the header has it
	contentRead bool            // to its end
	bodyBytes   int64           // taken from the budget for bodies

	// With Expect: 100-continue an operation runs twice: expecting, to learn
	// whether it wants the content, and then in earnest. See expect.
	expecting     bool
	contentWanted bool      // the answer to that
	arrived       time.Time // when it was asked
}

// Time is when the request's header had come. fasthttp does not know yet while
// Expect is answered.
func (r *request) Time() time.Time {
	if r.expecting {
		return r.arrived
	}
	return r.RequestCtx.Time()
}

// requestKey is where the router's handlers find their request.
type requestKey struct{}

// requestOf returns the state of a request. slowPath has put it there before the
// router calls any handler.
func requestOf(ctx *fasthttp.RequestCtx) *request {
	r, ok := ctx.UserValue(requestKey{}).(*request)
	if !ok {
		panic("BUG: a request reached a handler without its state")
	}
	return r
}

// startWork admits the request to the tiers and gives it a deadline, which counts from
// began; endWork must be called when the work is over. fasthttp's own context neither has a
// deadline nor notices a client that is gone. There is no queue for a place: a request that
// would wait here waits better at its client, who knows whether it still cares.
func (r *request) startWork(began time.Time) (context.Context, error) {
	s := r.server
	if s.inFlight.Add(1) > int64(s.config.MaxInFlight) {
		s.inFlight.Add(-1)
		return nil, cache.ErrOverload
	}
	return s.deadlines.context(s.deps.Context, began, s.config.RequestTimeout), nil
}

func (r *request) endWork() { r.server.inFlight.Add(-1) }

// operation answers one request or says why not. It writes nothing when it
// returns an error.
type operation func(r *request) error

// handler adapts an operation to the router.
func handler(m *requestMetrics, op operation) fasthttp.RequestHandler {
	return func(ctx *fasthttp.RequestCtx) {
		r := requestOf(ctx)
		r.metrics = m
		if err := op(r); err != nil {
			r.fail(err)
		}
	}
}

// fail answers with the problem that err stands for, in place of whatever was
// written so far.
func (r *request) fail(err error) {
	p := problemOf(err)
	r.cause = p.cause
	p.write(&r.Response)
}

// json answers with a body that does not change any more.
func (r *request) json(status int, cacheControl, body []byte) {
	r.SetStatusCode(status)
	r.Response.Header.SetContentTypeBytes(valueJSON)
	r.Response.Header.SetCanonical(headerCacheControl, cacheControl)
	r.Response.SetBodyRaw(body)
}

// deadlines hands out contexts that end a given time from now. Requests that
// begin at almost the same time share one: nobody cancels a request, and a timer
// for each would be a tenth of the cost of a read from Redis.
type deadlines struct {
	current atomic.Pointer[sharedDeadline]
}

type sharedDeadline struct {
	context.Context
	until time.Time // requests that begin later get the next
}

// context returns one that ends timeout after began, or up to a thirty-second of it
// later, or with parent. All calls have to name the same ones. Two requests may both
// find that it is time for the next and make one each; then the later one stays, and
// both are right.
func (d *deadlines) context(parent context.Context, began time.Time, timeout time.Duration) context.Context {
	if shared := d.current.Load(); shared != nil && began.Before(shared.until) {
		return shared.Context
	}
	until := began.Add(timeout / 32)
	ctx, cancel := context.WithDeadline(parent, until.Add(timeout))
	context.AfterFunc(ctx, cancel) // it is shared, so nothing may cancel it earlier
	d.current.Store(&sharedDeadline{ctx, until})
	return ctx
}
