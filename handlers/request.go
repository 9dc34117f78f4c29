package handlers

import (
	"context"
	"sync/atomic"
	"time"

	"github.com/valyala/fasthttp"

	"hearth/cache"
	"hearth/internal/framing"
)

// call is one request on its way through the slow path: the request, and what
// metrics and log want to know of it once it is answered. It belongs to the
// goroutine of the request and dies with it.
type request struct {
	*fasthttp.RequestCtx
	server    *Server
	metrics   *requestMetrics
	tier      cache.Tier
	id        string // X-Request-Id; "" until one is needed
	rates     rateHeaders
	cause     error // of a problem answered, for the log
	bodyBytes int64 // bytes taken from the room for bodies
	// counted says that the answer is complete and counted: memory gave it.
	counted bool
	// expected says that a status of 500 or more is no fault: a health check.
	expected bool

	content       framing.Content // as the header has it
	contentRead   bool            // it was read to its end
	admitted      bool            // the limits that cover the request have admitted it
	expecting     bool            // only whether the content is wanted: see expect
	contentWanted bool            // the answer to that
	arrived       time.Time       // when it was asked
}

// Time is when the request's header had come. fasthttp does not know yet while
// Expect is answered.
func (r *request) Time() time.Time {
	if r.expecting {
		return r.arrived
	}
	return r.RequestCtx.Time()
}

// callKey is where the router's handlers find their call.
type requestKey struct{}

func requestOf(ctx *fasthttp.RequestCtx) *request {
	r, ok := ctx.UserValue(requestKey{}).(*request)
	if !ok {
		panic("BUG: a request reached a handler without its call")
	}
	return r
}

// work admits the request to the tiers and gives it a deadline; done must be
// called when the work is over. fasthttp's own context neither has a deadline
// nor notices a client that is gone.
func (r *request) startWork() (ctx context.Context, done func(), err error) {
	s := r.server
	if s.inFlight.Add(1) > int64(s.config.MaxInFlight) {
		s.inFlight.Add(-1)
		return nil, nil, overloaded()
	}
	d := s.config.RequestTimeout
	return s.deadlines.context(s.deps.Context, d, d/32), s.release, nil
}

func (s *Server) release() { s.inFlight.Add(-1) }

// deadlines hands out contexts that end a given time from now. Requests which
// begin within the same moment share one: nobody cancels a request, and a
// timer for each would be a tenth of the cost of a read from Redis.
type deadlines struct {
	current atomic.Pointer[sharedDeadline]
}

type sharedDeadline struct {
	context.Context
	until time.Time // requests that begin later get the next
}

// context returns one that ends after d, or up to grain later, or with parent.
// All calls have to name the same ones.
func (s *deadlines) context(parent context.Context, d, grain time.Duration) context.Context {
	now := time.Now()
	if m := s.current.Load(); m != nil && now.Before(m.until) {
		return m.Context
	}
	until := now.Add(grain)
	shared, cancel := context.WithDeadline(parent, until.Add(d))
	context.AfterFunc(shared, cancel) // nobody may cancel it before
	s.current.Store(&sharedDeadline{shared, until})
	return shared
}

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

// fail answers with the problem that err stands for.
func (r *request) fail(err error) {
	p := problemOf(err)
	r.cause = p.cause
	p.write(&r.Response)
}

// json answers with a body that nobody will change any more.
func (r *request) json(status int, cacheControl, body []byte) {
	r.SetStatusCode(status)
	r.Response.Header.SetContentTypeBytes(valueJSON)
	r.Response.Header.SetCanonical(headerCacheControl, cacheControl)
	r.Response.SetBodyRaw(body)
}
