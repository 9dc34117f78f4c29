package handlers

import (
	"io"

	"github.com/valyala/fasthttp"

	"hearth/internal/framing"
)

// plain tells whether a GET or HEAD ends with its header, beyond doubt: the fast
// path answers no other.
func endsAtHeader(req *fasthttp.RequestHeader) bool {
	if !req.IsHTTP11() && framing.Version(req.Protocol()) != framing.None {
		return false
	}
	content, fault := framing.Header(req.RawHeaders())
	return fault == framing.None && !content.Present()
}

// inspect says what content a request has, or why it is not answered at all.
// Whoever refuses it must leave the content alone: where that ends is what is in
// doubt.
func checkFraming(req *fasthttp.RequestHeader) (content framing.Content, err error) {
	content, fault := framing.Request(string(req.Method()), req.RawHeaders(), req.Protocol(), req.RequestURI())
	return content, framingProblem(fault)
}

// misframed is the problem of a request that is not read any further.
func framingProblem(fault framing.Fault) error {
	if fault == framing.None {
		return nil
	}
	return &problem{status: fault.Status(), detail: fault.Detail(), close: true}
}

// settle decides, when a request is answered, what becomes of its connection.
// What is left of its content is dropped while the next request is awaited, if
// that is little. The connection ends behind content that not everybody would
// have read as it was read here: in chunks, or with a method that has none.
func (r *request) finishConnection() {
	if r.expecting {
		return // fasthttp ends the connection where the answer is no
	}
	conn, watched := r.Conn().(watchedConn)
	left := 0
	switch {
	case !r.content.Present():
	case r.content.Chunked, r.IsGet(), r.IsHead(), r.Response.ConnectionClose():
		r.SetConnectionClose()
		if !r.contentRead {
			left = -1
			r.drainContent()
		}
	case !r.contentRead:
		left = r.content.Discard(framing.BufferedReader(r.RequestBodyStream()))
		if left < 0 || left > 0 && !watched {
			r.SetConnectionClose()
		} else if left > 0 {
			conn.Skip(left)
		}
	}
	if watched && left == 0 && r.Request.Header.ConnectionClose() {
		conn.Last()
	}
}

// largeAnswer is more than the kernel takes off our hands for sure.
const largeAnswer = 64 << 10

// makeWay reads content that nobody wants before a large answer is sent. Whoever
// sends all of it before reading would wait for us to read, and we for them. Small
// answers do not wait, and neither do those to content larger than any may be.
func (r *request) drainContent() {
	in := framing.BufferedReader(r.RequestBodyStream())
	limit := int64(r.server.config.MaxBody)
	if in == nil || len(r.Response.Body()) < largeAnswer || r.content.Length > limit {
		return
	}
	if conn, ok := r.Conn().(watchedConn); ok {
		conn.Reading()
	}
	// An error is the client's loss: it is answered all the same.
	_, _ = io.CopyN(io.Discard, r.content.Reader(in), limit)
}

// watchedConn is a connection on which somebody looks out for slow peers and
// wants to know when it is not the peer that is slow.
type watchedConn interface {
	Reading()
	Handling()
	Writing()
	Last()      // the peer has sent its last request, all of it
	Skip(n int) // bytes of content that are still to come, and that nobody wants
}
