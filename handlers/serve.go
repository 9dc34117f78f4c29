package handlers

import (
	"bytes"
	"fmt"
	"log/slog"
	"strings"
	"time"

	"github.com/valyala/fasthttp"

	"hearth/cache"
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

// expect answers the question of Expect: 100-continue, whether to send the
// content (RFC 9110, 10.1.1). The request goes the way that it will go with its
// content, up to where that would be read. What is decided before that point is
// the answer.
func (s *Server) expect(ctx *fasthttp.RequestCtx) (status int) {
	status = fasthttp.StatusInternalServerError // should it panic
	defer s.recoverPanic(ctx)
	if ctx.IsGet() || ctx.IsHead() || ctx.IsDelete() || ctx.IsOptions() {
		// They ask for no content, so that way would carry them out.
		return s.expectUnread(ctx)
	}
	r := &request{RequestCtx: ctx, arrived: time.Now(), expecting: true}
	ctx.SetUserValue(requestKey{}, r)
	if conn, ok := ctx.Conn().(watchedConn); ok {
		conn.Handling()
		defer conn.Writing()
	}
	s.slowPath(ctx, miss{})
	if r.contentWanted {
		return fasthttp.StatusContinue
	}
	return ctx.Response.StatusCode()
}

// expectUnread decides by the header alone. These methods seldom have content; what
// is sent all the same is dropped behind the answer.
func (s *Server) expectUnread(ctx *fasthttp.RequestCtx) (status int) {
	content, err := checkFraming(&ctx.Request.Header)
	if err == nil && content.Length > int64(s.config.MaxBody) {
		err = bodyTooLarge(s.config.MaxBody)
	}
	if err == nil {
		return fasthttp.StatusContinue
	}
	p := problemOf(err)
	s.refuseEarly(ctx, p)
	return p.status
}

// refuseUnreadable answers what fasthttp could not read as a request.
func (s *Server) refuseUnreadable(ctx *fasthttp.RequestCtx, err error) {
	s.refuseEarly(ctx, s.readProblem(err))
}

// refuseEarly answers a request that does not get as far as the handler. It has the
// headers that let a script read the refusal, and is counted, but has no id and no
// line in the log: peers that send no HTTP decide how often this happens.
func (s *Server) refuseEarly(ctx *fasthttp.RequestCtx, p *problem) {
	p.write(&ctx.Response)
	s.cors.vary(&ctx.Response.Header, false, false)
	s.cors.writeHeaders(ctx)
	s.other.counter(cache.TierNone, p.status).Inc()
}

// wireLog takes what fasthttp has to say about connections. None of it is
// about a fault of this server, hence the level.
type wireLog struct{ *slog.Logger }

// Printf implements fasthttp.Logger. An error about what is no HTTP quotes the
// target, or the value of a header; neither may be logged, so its text is cut at
// the first quote.
func (l wireLog) Printf(format string, args ...any) {
	redacted := make([]any, len(args))
	for i, arg := range args {
		if err, ok := arg.(error); ok {
			text, _, quotes := strings.Cut(err.Error(), `"`)
			if quotes {
				text += "…"
			}
			arg = text
		}
		redacted[i] = arg
	}
	l.Debug("connection", slog.String("event", fmt.Sprintf(format, redacted...)))
}
