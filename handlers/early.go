package handlers

import (
	"errors"
	"fmt"
	"log/slog"
	"strconv"
	"strings"
	"time"

	"github.com/valyala/fasthttp"

	"hearth/cache"
)

// withhold makes fasthttp believe that no request has content. It would wait for
// the first 8 KiB of it before the handler is asked whether anybody wants it;
// and nobody may wait for a request that its header has decided already. What
// there is of content the raw header says; see framing.Source.
func hideContent(h *fasthttp.RequestHeader) fasthttp.RequestConfig {
	const inChunks = -1 // where no field speaks of content it is 0, or -2
	if n := h.ContentLength(); n > 0 || n == inChunks {
		h.SetContentLength(0)
	}
	return fasthttp.RequestConfig{}
}

// errWanted is what readBody says instead of reading, where only that is asked.
var errContentWanted = errors.New("the content is wanted")

// expect answers the question of Expect: 100-continue, whether to send the
// content. It lets the request go the way that it will go with its content, as
// far as to where that would be read. What is decided before is the answer.
func (s *Server) expect(ctx *fasthttp.RequestCtx) (status int) {
	status = fasthttp.StatusInternalServerError // should it panic
	defer s.recoverPanic(ctx)
	if ctx.IsGet() || ctx.IsHead() || ctx.IsDelete() || ctx.IsOptions() {
		// They ask for no content, and would be carried out.
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

// expectUnread decides by the header alone.
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

// refuseEarly answers a request that does not get as far as the handler.
func (s *Server) refuseEarly(ctx *fasthttp.RequestCtx, p *problem) {
	p.write(&ctx.Response)
	if s.cors.varies() {
		ctx.Response.Header.SetCanonical(headerVary, valueVaryOrigin)
	}
	s.cors.writeHeaders(ctx)
	s.other.counter(cache.TierNone, p.status).Inc()
}

// refuseUnread answers what fasthttp could not read as a request. Its own
// texts are plain and some of them quote the request.
func (s *Server) refuseUnreadable(ctx *fasthttp.RequestCtx, err error) {
	p := refuse(fasthttp.StatusBadRequest, "the request is not valid HTTP/1.1")
	var wait interface {
		error
		Timeout() bool
	}
	if _, small := errors.AsType[*fasthttp.ErrSmallBuffer](err); small {
		p = refuse(fasthttp.StatusRequestHeaderFieldsTooLarge,
			"request line and headers must not exceed "+strconv.Itoa(s.config.MaxHeader)+" bytes together (server.max_header)")
	} else if errors.Is(err, fasthttp.ErrBodyTooLarge) {
		p = refuse(fasthttp.StatusRequestEntityTooLarge,
			"the body must not exceed "+strconv.Itoa(s.config.MaxBody)+" bytes (server.max_body); send it in parts")
	} else if errors.As(err, &wait) && wait.Timeout() {
		p = refuse(fasthttp.StatusRequestTimeout, "the request did not arrive in time; send it again")
	}
	s.refuseEarly(ctx, p)
}

// wireLog takes what fasthttp has to say about connections. None of it is
// about a fault of this server, hence the level.
type wireLog struct{ *slog.Logger }

// Printf implements fasthttp.Logger. An error about what is no HTTP quotes the
// target, or the value of a header, that it is about; neither may be logged.
func (l wireLog) Printf(format string, args ...any) {
	said := make([]any, len(args))
	for i, arg := range args {
		if err, ok := arg.(error); ok {
			text, _, quotes := strings.Cut(err.Error(), `"`)
			if quotes {
				text += "…"
			}
			arg = text
		}
		said[i] = arg
	}
	l.Debug("connection", slog.String("event", fmt.Sprintf(format, said...)))
}
