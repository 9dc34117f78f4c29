package handlers

import (
	"bytes"

	"github.com/valyala/fasthttp"
)

// serve answers one request: from memory on the fast path, or on the slow path.
func (s *Server) serve(ctx *fasthttp.RequestCtx) {
	// fasthttp recovers nothing: without this one bad request ends the process.
	defer s.recoverPanic(ctx)
	conn, watched := ctx.Conn().(watchedConn)
	m, done := s.fastPath(ctx)
	if !done {
		if watched {
			conn.Handling()
		}
		s.slowPath(ctx, m)
	}
	if watched {
		conn.Writing()
		if done && ctx.Request.Header.ConnectionClose() {
			conn.Last()
		}
	}
}

// slowPath answers what memory cannot, or not cheaply.
func (s *Server) slowPath(ctx *fasthttp.RequestCtx, m miss) {
	if next := s.enter(); next != nil {
		next.slowPath(ctx, miss{}) // which has other routes and limits
		return
	}
	defer s.leave()
	r := s.newRequest(ctx, m)
	if m.fastRoute == nil { // else the fast path has checked that already
		var err error
		if r.content, err = checkFraming(&ctx.Request.Header); err != nil {
			r.expected = true // 501 and 505 are no fault of this server
			r.fail(err)
			r.finish()
			return
		}
	}
	defer r.finishConnection()
	defer r.releaseBody()
	if err := s.dispatch(r, m); err != nil {
		r.fail(err)
	}
	if r.contentWanted && r.expecting {
		r.Response.Reset() // so nothing is decided yet
		return
	}
	r.finish()
}

// newRequest makes the state of a request, or takes that which expect has made.
func (s *Server) newRequest(ctx *fasthttp.RequestCtx, m miss) *request {
	r, ok := ctx.UserValue(requestKey{}).(*request)
	if !ok || !r.expecting {
		r = &request{RequestCtx: ctx, admitted: m.admitted, rates: m.rates}
		ctx.SetUserValue(requestKey{}, r)
	}
	if r.contentWanted { // it was asked for, and this is the request with its content
		r.expecting, r.contentWanted = false, false
	}
	r.server, r.metrics, r.cause = s, s.other, nil
	return r
}

// dispatch takes a request to its operation, if the limits admit it. They come
// before the route: a client that is refused must not use up work of any kind. A
// record that the fast path has found already need not be looked up again.
func (s *Server) dispatch(r *request, m miss) error {
	if m.fastRoute != nil {
		r.metrics = m.metrics
	}
	if !r.admitted && len(s.limits) > 0 {
		if err := s.admit(r); err != nil {
			return err
		}
		r.admitted = true
	}
	if m.fastRoute != nil {
		return s.readMiss(r, m)
	}
	if bytes.HasPrefix(r.Request.Header.RequestURI(), twoSlashes) {
		return notFound() // to fasthttp "//host/…" names a host, and the client meant a path
	}
	path := string(r.URI().PathOriginal())
	rt, raw := s.find(string(r.Method()), path)
	if rt == nil {
		return s.unrouted(r, path)
	}
	r.metrics, r.params = rt.metrics, raw
	if err := s.authorise(r, rt.scope); err != nil {
		return err
	}
	return rt.operation(r)
}

var twoSlashes = []byte("//")
