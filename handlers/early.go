package handlers

import (
	"fmt"
	"log/slog"
	"strings"
	"time"

	"github.com/valyala/fasthttp"

	"hearth/cache"
)

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
	s.cors.vary(&ctx.Response.Header, false)
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
