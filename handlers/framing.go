package handlers

import (
	"io"

	"github.com/valyala/fasthttp"

	"hearth/cache"
	"hearth/internal/framing"
)

// inChunks is what fasthttp has as the length of content that comes in chunks.
// Where no field speaks of content it is 0, or -2.
const inChunks = -1

// plain tells whether a GET or HEAD ends with its header, beyond doubt: the fast
// path answers no other.
func plain(req *fasthttp.RequestHeader) bool {
	if n := req.ContentLength(); n > 0 || n == inChunks || !req.IsHTTP11() && framing.Version(req.Protocol()) != framing.None {
		return false
	}
	_, fault := framing.Header(req.RawHeaders())
	return fault == framing.None
}

// inspect says why a request is not answered at all, and whether its content
// comes in chunks. Whoever refuses it must leave the content alone: where that
// ends is what is in doubt.
func inspect(req *fasthttp.RequestHeader) (chunked bool, err error) {
	chunked, fault := framing.Request(string(req.Method()), req.RawHeaders(), req.Protocol(), req.RequestURI(), req.Host())
	if fault == framing.None {
		return chunked, nil
	}
	return chunked, &problem{status: fault.Status(), detail: fault.Detail(), close: true}
}

// settle ends a request whose content not everybody would have read as it was
// read here: in chunks, or with a method that has none. Nothing behind it is
// read. What is left of the content is, within bounds: a connection closed with
// unread bytes is reset, and a reset takes the answer with it.
func (c *call) settle(chunked bool) {
	length := c.Request.Header.ContentLength()
	if !chunked && (length <= 0 || !c.IsGet() && !c.IsHead()) {
		return
	}
	if stream := c.RequestBodyStream(); stream != nil && !c.Response.ConnectionClose() {
		if conn, ok := c.Conn().(watchedConn); ok {
			conn.Reading()
		}
		// An error is the client's loss: it is answered all the same.
		_, _ = io.CopyN(io.Discard, stream, int64(c.server.config.MaxBody))
	}
	c.SetConnectionClose()
}

// expect answers the question of Expect: 100-continue, whether to send the
// content. What the header alone decides is decided now.
func (s *Server) expect(ctx *fasthttp.RequestCtx) (status int) {
	_, err := inspect(&ctx.Request.Header)
	if err == nil && ctx.Request.Header.ContentLength() > s.config.MaxBody {
		err = tooLarge(s.config.MaxBody)
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
	if s.origins.varies() {
		ctx.Response.Header.SetCanonical(headerVary, valueVaryOrigin)
	}
	s.origins.mark(ctx)
	s.other.counter(cache.TierNone, p.status).Inc()
}
