package handlers

import (
	"bytes"

	"github.com/valyala/fasthttp"
)

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

// slow answers what memory cannot, or not cheaply. A record that the fast path
// has found already need not go through the router again.
func (s *Server) slowPath(ctx *fasthttp.RequestCtx, m miss) {
	if next := s.enter(); next != nil {
		next.slowPath(ctx, miss{})
		return
	}
	defer s.leave()
	r := s.newRequest(ctx, m)
	if m.fastRoute == nil { // else the fast path has looked already
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
	if !r.admitted && len(s.limits) > 0 {
		if err := s.admit(r); err != nil {
			if m.fastRoute != nil {
				r.metrics = m.metrics
			}
			r.fail(err)
			r.finish()
			return
		}
		r.admitted = true
	}
	if m.fastRoute != nil {
		if err := s.readMiss(r, m); err != nil {
			r.fail(err)
		}
	} else if isPath(ctx) {
		s.router(ctx)
	} else {
		r.fail(notFound())
	}
	if r.contentWanted && r.expecting {
		r.Response.Reset() // it said that nothing is decided yet
		return
	}
	r.finish()
}

// newCall makes the call of a request, or takes the one that expect has made.
func (s *Server) newRequest(ctx *fasthttp.RequestCtx, m miss) *request {
	r, ok := ctx.UserValue(requestKey{}).(*request)
	if !ok || !r.expecting {
		r = &request{RequestCtx: ctx, admitted: m.admitted, rates: m.rates}
		ctx.SetUserValue(requestKey{}, r)
	}
	if r.contentWanted { // so it was asked for, and this is the request with its content
		r.expecting, r.contentWanted = false, false
	}
	r.server, r.metrics, r.cause = s, s.other, nil
	return r
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
