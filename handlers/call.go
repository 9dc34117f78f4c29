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
type call struct {
	*fasthttp.RequestCtx
	server *Server
	meter  *meter
	tier   cache.Tier
	id     string // X-Request-Id; "" until one is needed
	rates  rates
	cause  error // of a problem answered, for the log
	body   int64 // bytes taken from the room for bodies
	// counted says that the answer is complete and counted: memory gave it.
	counted bool
	// expected says that a status of 500 or more is no fault: a health check.
	expected bool

	content  framing.Content // as the header has it
	consumed bool            // it was read to its end
	admitted bool            // the limits that cover the request have admitted it
	asking   bool            // only whether the content is wanted: see expect
	wanted   bool            // the answer to that
	asked    time.Time       // when it was asked
}

// Time is when the request's header had come. fasthttp does not know yet while
// Expect is answered.
func (c *call) Time() time.Time {
	if c.asking {
		return c.asked
	}
	return c.RequestCtx.Time()
}

// callKey is where the router's handlers find their call.
type callKey struct{}

func callOf(ctx *fasthttp.RequestCtx) *call {
	c, ok := ctx.UserValue(callKey{}).(*call)
	if !ok {
		panic("BUG: a request reached a handler without its call")
	}
	return c
}

// work admits the request to the tiers and gives it a deadline; done must be
// called when the work is over. fasthttp's own context neither has a deadline
// nor notices a client that is gone.
func (c *call) work() (ctx context.Context, done func(), err error) {
	s := c.server
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
type deadlines struct{ present atomic.Pointer[moment] }

type moment struct {
	context.Context
	until time.Time // requests that begin later get the next
}

// context returns one that ends after d, or up to grain later, or with parent.
// All calls have to name the same ones.
func (s *deadlines) context(parent context.Context, d, grain time.Duration) context.Context {
	now := time.Now()
	if m := s.present.Load(); m != nil && now.Before(m.until) {
		return m.Context
	}
	until := now.Add(grain)
	shared, cancel := context.WithDeadline(parent, until.Add(d))
	context.AfterFunc(shared, cancel) // nobody may cancel it before
	s.present.Store(&moment{shared, until})
	return shared
}

// operation answers one request or says why not. It writes nothing when it
// returns an error.
type operation func(c *call) error

// handler adapts an operation to the router.
func handler(m *meter, op operation) fasthttp.RequestHandler {
	return func(ctx *fasthttp.RequestCtx) {
		c := callOf(ctx)
		c.meter = m
		if err := op(c); err != nil {
			c.fail(err)
		}
	}
}

// fail answers with the problem that err stands for.
func (c *call) fail(err error) {
	p := problemOf(err)
	c.cause = p.cause
	p.write(&c.Response)
}

// json answers with a body that nobody will change any more.
func (c *call) json(status int, cacheControl, body []byte) {
	c.SetStatusCode(status)
	c.Response.Header.SetContentTypeBytes(valueJSON)
	c.Response.Header.SetCanonical(headerCacheControl, cacheControl)
	c.Response.SetBodyRaw(body)
}
