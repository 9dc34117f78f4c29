package handlers

import (
	"fmt"
	"io"

	"github.com/valyala/fasthttp"

	"hearth/internal/framing"
)

// watchedConn is a connection whose listener looks out for slow peers and wants
// to know when it is not the peer that is slow.
type watchedConn interface {
	Reading()
	Handling()
	Writing()
	Last()      // the peer has sent its last request, all of it
	Skip(n int) // bytes of content that are still to come, and are not wanted
}

// finishConnection decides, when a request is answered, what becomes of its
// connection. Content that is left is dropped while the next request is awaited, if
// that is little. The connection ends behind content that programs on the way may
// have read differently: in chunks, or with a method that has none. The listener is
// told when the peer has sent its last request, all of it: then nothing that it
// still sends has to be read before the connection can end.
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

// drainContent reads unwanted content before a large answer is sent. A client that
// sends all of its content before it reads would wait for us to read, and we for
// it. Smaller answers do not wait, since the kernel buffers them, and neither do
// those to content larger than any may be.
func (r *request) drainContent() {
	in := framing.BufferedReader(r.RequestBodyStream())
	limit := int64(r.server.config.MaxBody)
	if in == nil || sentBytes(r.RequestCtx) < largeBodyFrom || r.content.Length > limit {
		return
	}
	if conn, ok := r.Conn().(watchedConn); ok {
		conn.Reading()
	}
	// The answer is sent even if this fails.
	_, _ = io.CopyN(io.Discard, r.content.Reader(in), limit)
}

// refusalWaits is how many answers there are to connections beyond the limit.
const refusalWaits = 3

// Refusals are the whole HTTP responses that a listener sends, in turn, to
// connections beyond its limit. They are bytes, made once: refusing a connection must
// cost next to nothing, and the listener knows no HTTP. There is no request then,
// hence no Date, no request id and nothing that depends on an origin. They differ in
// Retry-After, from one second on, so that those refused together do not come back
// together.
func (s *Server) Refusals() [][]byte {
	p := refuse(fasthttp.StatusServiceUnavailable,
		"as many connections are open as the server may have; try again after the time in Retry-After, or over a connection you have")
	body := p.appendJSON(nil)
	cors := ""
	if s.cors.all {
		cors = "Access-Control-Allow-Origin: *\r\n"
	}
	var all [][]byte
	for after := 1; after <= refusalWaits; after++ {
		all = append(all, fmt.Appendf(nil, "HTTP/1.1 503 Service Unavailable\r\nContent-Type: %s\r\nContent-Length: %d\r\n"+
			"Cache-Control: no-store\r\n%sRetry-After: %d\r\nConnection: close\r\n\r\n%s", mediaProblem, len(body), cors, after, body))
	}
	return all
}

// hideContent makes fasthttp believe that no request has content. Otherwise it
// waits for the first 8 KiB of it before it calls the handler; but a request that
// its header has decided already must be answered without waiting for content.
// What content there is the raw header says; see framing.BufferedReader.
func hideContent(h *fasthttp.RequestHeader) fasthttp.RequestConfig {
	const inChunks = -1 // where no field speaks of content it is 0, or -2
	if n := h.ContentLength(); n > 0 || n == inChunks {
		h.SetContentLength(0)
	}
	return fasthttp.RequestConfig{}
}

// endsAtHeader tells whether a GET or HEAD ends with its header, beyond doubt: the
// fast path answers no other; and which of its fields ask for freshness. Content-Length: 0
// is no content. The version is nearly always 1.1, which fasthttp has found out already.
func endsAtHeader(req *fasthttp.RequestHeader) (asks framing.Asks, ok bool) {
	if !req.IsHTTP11() && framing.Version(req.Protocol()) != framing.None {
		return 0, false
	}
	content, asks, fault := framing.Header(req.RawHeaders())
	return asks, fault == framing.None && !content.Present()
}

// checkFraming says what content a request has, or why it is not answered at all.
// The content of a refused request must not be read: where it ends is what is in
// doubt.
func checkFraming(req *fasthttp.RequestHeader) (content framing.Content, err error) {
	content, fault := framing.Request(string(req.Method()), req.RawHeaders(), req.Protocol(), req.RequestURI())
	if fault != framing.None {
		return content, framingProblem(fault)
	}
	return content, nil
}

// framingProblem is the problem of a request that is not read any further.
func framingProblem(fault framing.Fault) *problem {
	return &problem{status: fault.Status(), detail: fault.Detail(), close: true}
}
