package admin

import (
	"bytes"
	"errors"
	"io"
	"net"

	"github.com/valyala/fasthttp"

	"hearth/internal/framing"
)

// watchedConn is a connection whose listener keeps timeouts of its peer, and has
// to know when it is not the peer that is slow.
type watchedConn interface {
	Reading()
	Handling()
	Writing()
	Skip(n int) // bytes of unwanted content that are still to come
}

// hideContent makes fasthttp believe that no request has content: it would read all
// of it before anybody is asked. See framing.BufferedReader.
func hideContent(h *fasthttp.RequestHeader) fasthttp.RequestConfig {
	const inChunks = -1
	if n := h.ContentLength(); n > 0 || n == inChunks {
		h.SetContentLength(0)
	}
	return fasthttp.RequestConfig{}
}

// content is what there is to know of a request's content.
type content struct {
	framing.Content
	expecting bool // only whether it is wanted; see expect
	wanted    bool // the answer to that
	read      bool // it was read to its end
}

// contentKey is the user value under which a request has it.
type contentKey struct{}

func contentOf(ctx *fasthttp.RequestCtx) *content {
	c, ok := ctx.UserValue(contentKey{}).(*content)
	if !ok {
		c = new(content)
		ctx.SetUserValue(contentKey{}, c)
	}
	return c
}

// checkFraming answers and reports false when it is in doubt where the request ends
// or whom it is for. The connection is then closed.
func checkFraming(ctx *fasthttp.RequestCtx) bool {
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

// finishConnection decides, when a request is answered, what becomes of its connection.
// What is left of its content is dropped while the next request is awaited, if
// that is little. The connection ends behind content that another server in the
// way might read differently: in chunks, or with a method that has none.
func finishConnection(ctx *fasthttp.RequestCtx) {
	c := contentOf(ctx)
	if c.expecting || !c.Present() {
		return
	}
	if c.Chunked || ctx.IsGet() || ctx.IsHead() || ctx.Response.ConnectionClose() {
		ctx.SetConnectionClose()
		return
	}
	if c.read {
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

// maxBody bounds the content of a request in bytes.
const maxBody = 1 << 20

var (
	errTooLarge      = errors.New("the body is too long")
	errContentWanted = errors.New("the body is wanted")
)

// readBody returns the request's body, or why there is none. A body that its
// header says is too long is not waited for.
func (a *Admin) readBody(ctx *fasthttp.RequestCtx) ([]byte, error) {
	c := contentOf(ctx)
	if c.Length > maxBody {
		ctx.SetConnectionClose()
		return nil, errTooLarge
	}
	if c.expecting {
		c.wanted = true
		return nil, errContentWanted
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
	_, err := io.Copy(&body, io.LimitReader(c.Reader(in), maxBody+1))
	if err == nil && body.Len() > maxBody {
		err = errTooLarge
	}
	if err != nil {
		ctx.SetConnectionClose()
		return nil, err
	}
	c.read = true
	return body.Bytes(), nil
}

// refuseUnread answers a request that fasthttp could not read.
func refuseUnread(ctx *fasthttp.RequestCtx, err error) {
	status, detail := unread(err)
	problem(ctx, status, detail)
}

// unread says how to answer an error of fasthttp's reader.
func unread(err error) (status int, detail string) {
	var header *fasthttp.ErrSmallBuffer
	var network net.Error
	fault, framed := errors.AsType[framing.Fault](err)
	switch {
	case framed:
		return fault.Status(), fault.Detail()
	case errors.As(err, &header):
		return fasthttp.StatusRequestHeaderFieldsTooLarge, "the request line and headers are too long"
	case errors.Is(err, errTooLarge):
		return fasthttp.StatusRequestEntityTooLarge, "the body is too long"
	case errors.As(err, &network) && network.Timeout():
		return fasthttp.StatusRequestTimeout, "the request took too long to arrive"
	default:
		return fasthttp.StatusBadRequest, "the request is not valid HTTP/1.1"
	}
}
