package handlers

import (
	"context"
	"time"

	"hearth/cache"
)

// Time is when the request's header had come. fasthttp does not know yet while
// Expect is answered.
func (r *request) Time() time.Time {
	if r.expecting {
		return r.arrived
	}
	return r.RequestCtx.Time()
}

// requestKey is where recoverPanic, and the request after an Expect, find it.
type requestKey struct{}

// startWork admits the request to the tiers and gives it a deadline; done must be
// called when the work is over. fasthttp's own context neither has a deadline
// nor notices a client that is gone.
func (r *request) startWork() (ctx context.Context, done func(), err error) {
	s := r.server
	if s.inFlight.Add(1) > int64(s.config.MaxInFlight) {
		s.inFlight.Add(-1)
		return nil, nil, cache.ErrOverload
	}
	done = func() { s.inFlight.Add(-1) }
	return s.deadlines.context(s.deps.Context, s.config.RequestTimeout), done, nil
}

// fail answers with the problem that err stands for.
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
