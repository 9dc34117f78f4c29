package handlers

import (
	"errors"
	"io"
	"time"

	"github.com/valyala/fasthttp"

	"hearth/cache"
	"hearth/internal/framing"
)

// withhold makes fasthttp believe that no request has content. It would wait for
// the first 8 KiB of it before the handler is asked whether anybody wants it;
// and nobody may wait for a request that its header has decided already. What
// there is of content the raw header says; see framing.Source.
func withhold(h *fasthttp.RequestHeader) fasthttp.RequestConfig {
	const inChunks = -1 // where no field speaks of content it is 0, or -2
	if n := h.ContentLength(); n > 0 || n == inChunks {
		h.SetContentLength(0)
	}
	return fasthttp.RequestConfig{}
}

// plain tells whether a GET or HEAD ends with its header, beyond doubt: the fast
// path answers no other.
func plain(req *fasthttp.RequestHeader) bool {
	if !req.IsHTTP11() && framing.Version(req.Protocol()) != framing.None {
		return false
	}
	content, fault := framing.Header(req.RawHeaders())
	return fault == framing.None && !content.Any()
}

// inspect says what content a request has, or why it is not answered at all.
// Whoever refuses it must leave the content alone: where that ends is what is in
// doubt.
func inspect(req *fasthttp.RequestHeader) (content framing.Content, err error) {
	content, fault := framing.Request(string(req.Method()), req.RawHeaders(), req.Protocol(), req.RequestURI())
	return content, misframed(fault)
}

// misframed is the problem of a request that is not read any further.
func misframed(fault framing.Fault) error {
	if fault == framing.None {
		return nil
	}
	return &problem{status: fault.Status(), detail: fault.Detail(), close: true}
}

// settle decides, when a request is answered, what becomes of its connection.
// What is left of its content is dropped while the next request is awaited, if
// that is little. The connection ends behind content that not everybody would
// have read as it was read here: in chunks, or with a method that has none.
func (c *call) settle() {
	if c.asking {
		return // fasthttp ends the connection where the answer is no
	}
	conn, watched := c.Conn().(watchedConn)
	left := 0
	switch {
	case !c.content.Any():
	case c.content.Chunked, c.IsGet(), c.IsHead(), c.Response.ConnectionClose():
		c.SetConnectionClose()
		if !c.consumed {
			left = -1
			c.makeWay()
		}
	case !c.consumed:
		left = c.content.Rest(framing.Source(c.RequestBodyStream()))
		if left < 0 || left > 0 && !watched {
			c.SetConnectionClose()
		} else if left > 0 {
			conn.Skip(left)
		}
	}
	if watched && left == 0 && c.Request.Header.ConnectionClose() {
		conn.Last()
	}
}

// largeAnswer is more than the kernel takes off our hands for sure.
const largeAnswer = 64 << 10

// makeWay reads content that nobody wants before a large answer is sent. Whoever
// sends all of it before reading would wait for us to read, and we for them. Small
// answers do not wait, and neither do those to content larger than any may be.
func (c *call) makeWay() {
	in := framing.Source(c.RequestBodyStream())
	limit := int64(c.server.config.MaxBody)
	if in == nil || len(c.Response.Body()) < largeAnswer || c.content.Length > limit {
		return
	}
	if conn, ok := c.Conn().(watchedConn); ok {
		conn.Reading()
	}
	// An error is the client's loss: it is answered all the same.
	_, _ = io.CopyN(io.Discard, c.content.Reader(in), limit)
}

// errWanted is what readBody says instead of reading, where only that is asked.
var errWanted = errors.New("the content is wanted")

// expect answers the question of Expect: 100-continue, whether to send the
// content. It lets the request go the way that it will go with its content, as
// far as to where that would be read. What is decided before is the answer.
func (s *Server) expect(ctx *fasthttp.RequestCtx) (status int) {
	status = fasthttp.StatusInternalServerError // should it panic
	defer s.rescue(ctx)
	if ctx.IsGet() || ctx.IsHead() || ctx.IsDelete() || ctx.IsOptions() {
		// They ask for no content, and would be carried out.
		return s.expectUnread(ctx)
	}
	c := &call{RequestCtx: ctx, asked: time.Now(), asking: true}
	ctx.SetUserValue(callKey{}, c)
	if conn, ok := ctx.Conn().(watchedConn); ok {
		conn.Handling()
		defer conn.Writing()
	}
	s.slow(ctx, miss{})
	if c.wanted {
		return fasthttp.StatusContinue
	}
	return ctx.Response.StatusCode()
}

// expectUnread decides by the header alone.
func (s *Server) expectUnread(ctx *fasthttp.RequestCtx) (status int) {
	content, err := inspect(&ctx.Request.Header)
	if err == nil && content.Length > int64(s.config.MaxBody) {
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
