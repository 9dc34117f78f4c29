package admin

import (
	"github.com/valyala/fasthttp"

	"hearth/internal/framing"
)

// inspect answers and reports false when it is in doubt where the request ends
// or whom it is for. The connection is then closed, and likewise behind content
// that not everybody would have read as it was read here: chunks, or the content
// of a method that has none.
func inspect(ctx *fasthttp.RequestCtx) bool {
	req := &ctx.Request.Header
	chunked, fault := framing.Request(string(req.Method()), req.RawHeaders(), req.Protocol(), req.RequestURI(), req.Host())
	if fault != framing.None || chunked || req.ContentLength() > 0 && (req.IsGet() || req.IsHead()) {
		ctx.SetConnectionClose()
	}
	if fault != framing.None {
		problem(ctx, fault.Status(), fault.Detail())
	}
	return fault == framing.None
}

// expect answers the question of Expect: 100-continue, whether to send the body.
// What the header alone decides is decided now.
func (a *Admin) expect(ctx *fasthttp.RequestCtx) (status int) {
	if !inspect(ctx) {
		return ctx.Response.StatusCode()
	}
	if ctx.Request.Header.ContentLength() > a.config.MaxBody {
		refuseUnread(ctx, fasthttp.ErrBodyTooLarge)
		return ctx.Response.StatusCode()
	}
	return fasthttp.StatusContinue
}
