package handlers

import (
	"io"

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
