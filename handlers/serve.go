package handlers

import (
	"bytes"

	"github.com/valyala/fasthttp"
)

// serve answers one request: from memory on the fast path, or on the slow path. A
// listener that watches its connections is told whose turn it is: while the handler
// works, the peer cannot be slow. The fast path ends before a peer could be late.
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

// slowPath answers what memory cannot, or not cheaply. First it finds out where the
// request ends: if that is in doubt, no answer but a refusal is safe, and the
// connection ends. Whatever happens later, even a panic, the two deferred calls
// return the body's budget and decide what becomes of the connection.
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
	switch {
	case m.fastRoute != nil:
		return s.readMiss(r, m)
	case !isPath(r.RequestCtx):
		return notFound()
	}
	s.router(r.RequestCtx)
	return nil
}

// isPath keeps paths from the router that it would read otherwise than the
// client meant them: "//host/…" names a host to fasthttp, and an empty
// segment, trailing slashes included, is an empty parameter.
func isPath(ctx *fasthttp.RequestCtx) bool {
	if bytes.HasPrefix(ctx.Request.Header.RequestURI(), twoSlashes) {
		return false
	}
	path := ctx.URI().PathOriginal()
	return len(path) <= 1 || path[len(path)-1] != '/' && !bytes.Contains(path, twoSlashes)
}

var twoSlashes = []byte("//")
