package admin

import (
	"bytes"
	"errors"
	"io"

	"github.com/valyala/fasthttp"

	"hearth/internal/framing"
)

// watchedConn is a connection on which somebody looks out for slow peers and
// wants to know when it is not the peer that is slow.
type watchedConn interface {
	Reading()
	Handling()
	Writing()
	Skip(n int) // bytes of content that are still to come, and that nobody wants
}

// withhold makes fasthttp believe that no request has content: it would read all
// of it before anybody is asked. See framing.Source.
func withhold(h *fasthttp.RequestHeader) fasthttp.RequestConfig {
	const inChunks = -1
	if n := h.ContentLength(); n > 0 || n == inChunks {
		h.SetContentLength(0)
	}
	return fasthttp.RequestConfig{}
}

// content is what there is to know of a request's content.
type content struct {
	framing.Content
	asking   bool // only whether it is wanted; see expect
	wanted   bool // the answer to that
	consumed bool // it was read to its end
}

// contentKey is where it is found.
type contentKey struct{}

func contentOf(ctx *fasthttp.RequestCtx) *content {
	c, ok := ctx.UserValue(contentKey{}).(*content)
	if !ok {
		c = new(content)
		ctx.SetUserValue(contentKey{}, c)
	}
	return c
}

// inspect answers and reports false when it is in doubt where the request ends
// or whom it is for. The connection is then closed.
func inspect(ctx *fasthttp.RequestCtx) bool {
	req := &ctx.Request.Header
	found, fault := framing.Request(string(req.Method()), req.RawHeaders(), req.Protocol(), req.RequestURI())
	if fault != framing.None {
		ctx.SetConnectionClose()
		problem(ctx, fault.Status(), fault.Detail())
		return false
	}
	contentOf(ctx).Content = found
	return true
}

// settle decides, when a request is answered, what becomes of its connection. What
// is left of its content is dropped while the next request is awaited, if that is
// little. The connection ends behind content that not everybody would have read
// as it was read here: in chunks, or with a method that has none.
func settle(ctx *fasthttp.RequestCtx) {
	c := contentOf(ctx)
	if c.asking || !c.Present() {
		return
	}
	if c.Chunked || ctx.IsGet() || ctx.IsHead() || ctx.Response.ConnectionClose() {
		ctx.SetConnectionClose()
		return
	}
	if c.consumed {
		return
	}
	conn, watched := ctx.Conn().(watchedConn)
	left := c.Discard(framing.BufferedReader(ctx.RequestBodyStream()))
	if left < 0 || left > 0 && !watched {
		ctx.SetConnectionClose()
	} else if left > 0 {
		conn.Skip(left)
	}
}

// expect answers the question of Expect: 100-continue, whether to send the body.
// The request goes the way that it will go with its body, as far as to where that
// would be read: only a POST that is served comes there, and what is decided
// before is the answer.
func (a *Admin) expect(ctx *fasthttp.RequestCtx) (status int) {
	if ctx.IsGet() || ctx.IsHead() {
		setCommonHeaders(ctx)
		if !inspect(ctx) {
			return ctx.Response.StatusCode()
		}
		return fasthttp.StatusContinue
	}
	c := contentOf(ctx)
	c.asking = true
	a.Handle(ctx)
	if !c.wanted {
		return ctx.Response.StatusCode()
	}
	c.asking = false
	ctx.Response.Reset()
	return fasthttp.StatusContinue
}

var (
	errTooLarge = errors.New("the body is too long")
	errWanted   = errors.New("the body is wanted")
)

// readBody returns the request's body, or why there is none. A body that its
// header says is too long is not waited for.
func (a *Admin) readBody(ctx *fasthttp.RequestCtx) ([]byte, error) {
	c := contentOf(ctx)
	if c.Length > int64(a.config.MaxBody) {
		ctx.SetConnectionClose()
		return nil, errTooLarge
	}
	if c.asking {
		c.wanted = true
		return nil, errWanted
	}
	stream := ctx.RequestBodyStream()
	if stream == nil || !c.Present() {
		return ctx.PostBody(), nil
	}
	in := framing.BufferedReader(stream)
	if in == nil {
		panic("BUG: this version of fasthttp does not say where it reads content from")
	}
	if conn, ok := ctx.Conn().(watchedConn); ok {
		conn.Reading() // the peer's turn again
		defer conn.Handling()
	}
	var body bytes.Buffer // room is made for what has come, not for what is announced
	_, err := io.Copy(&body, io.LimitReader(c.Reader(in), int64(a.config.MaxBody)+1))
	if err == nil && body.Len() > a.config.MaxBody {
		err = errTooLarge
	}
	if err != nil {
		ctx.SetConnectionClose()
		return nil, err
	}
	c.consumed = true
	return body.Bytes(), nil
}
