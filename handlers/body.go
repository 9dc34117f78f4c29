package handlers

import (
	"bytes"
	"errors"
	"io"
	"strconv"

	"github.com/go-json-experiment/json/jsontext"
	"github.com/valyala/fasthttp"

	"hearth/internal/framing"
)

// objectBody returns a PUT's body, checked to be exactly one JSON object, in
// bytes of its own.
func objectBody(r *request) ([]byte, error) {
	body, err := r.readBody()
	if err != nil {
		return nil, err
	}
	dec := jsontext.NewDecoder(bytes.NewBuffer(body))
	kind := dec.PeekKind()
	value, err := dec.ReadValue()
	if err != nil {
		return nil, refuse(fasthttp.StatusBadRequest, "the body "+syntaxFault(err))
	}
	tooDeep := deeper(value, maxDepth)
	if _, err := dec.ReadToken(); !errors.Is(err, io.EOF) {
		return nil, refuse(fasthttp.StatusBadRequest, "the body must end behind its JSON value")
	}
	switch {
	case tooDeep:
		return nil, refuse(fasthttp.StatusBadRequest, "the body is nested more than 64 levels deep")
	case kind != jsontext.KindBeginObject:
		return nil, refuse(fasthttp.StatusUnprocessableEntity, "the body must be a JSON object")
	}
	return body, nil
}

// firstRoom is how much room is made for a body before any of it has come. Every
// connection has buffers of that order; what goes beyond it is taken from the
// room that all bodies have in common, so that ordinary ones are never refused.
const initialBuffer = 16 << 10

// readBody returns the request's body in bytes of its own.
//
// fasthttp would make room for all that Content-Length announces before the
// first byte is there, and keep it with the connection: a few hundred peers that
// announce megabytes and send none would take all memory. So room is made for
// what has come. And it reads chunks by rules of its own; see internal/framing.
func (r *request) readBody() ([]byte, error) {
	limit := r.server.config.MaxBody
	if r.content.Length > int64(limit) {
		r.SetConnectionClose()
		return nil, bodyTooLarge(limit)
	}
	if r.expecting {
		r.contentWanted = true
		return nil, errContentWanted
	}
	stream := r.RequestBodyStream()
	if stream == nil || !r.content.Present() {
		return bytes.Clone(r.PostBody()), nil // none, or one that no server has read
	}
	in := framing.BufferedReader(stream)
	if in == nil {
		panic("BUG: this version of fasthttp does not say where it reads content from")
	}
	if conn, ok := r.Conn().(watchedConn); ok {
		conn.Reading() // the peer's turn again
		defer conn.Handling()
	}
	body, err := r.readAll(r.content.Reader(in), min(max(int(r.content.Length), 512), initialBuffer)+1, limit)
	if err != nil {
		r.SetConnectionClose()
		return nil, err
	}
	r.contentRead = true
	return body, nil
}

// readAll reads content of at most limit bytes, beginning with that much room.
func (r *request) readAll(content io.Reader, room, limit int) ([]byte, error) {
	body := make([]byte, 0, room)
	for {
		n, err := content.Read(body[len(body):cap(body)])
		body = body[:len(body)+n]
		switch {
		case len(body) > limit:
			return nil, bodyTooLarge(limit)
		case errors.Is(err, io.EOF):
			return body, nil
		case err != nil:
			return nil, readProblem(err)
		case len(body) == cap(body):
			more := min(len(body), limit+1-len(body))
			if !r.reserveBody(more) {
				return nil, bodiesOverBudget()
			}
			body = append(make([]byte, 0, len(body)+more), body...) // just so much, as append by itself would not
		}
	}
}

// roomFor takes room for so many bytes of the body more, until the request is
// over.
func (r *request) reserveBody(bytes int) bool {
	if !r.server.deps.Bodies.Take(int64(bytes)) {
		return false
	}
	r.bodyBytes += int64(bytes)
	return true
}

// giveRoom gives back what the body has taken.
func (r *request) releaseBody() {
	if r.bodyBytes > 0 {
		r.server.deps.Bodies.Give(r.bodyBytes)
		r.bodyBytes = 0
	}
}

// crowded is the answer while bodies on their way take all the memory there is
// for them.
func bodiesOverBudget() *problem {
	return &problem{status: fasthttp.StatusServiceUnavailable, retry: true,
		detail: "bodies of other requests take as much memory as the server may use for them; try again after the time in Retry-After, or send less at a time"}
}

func bodyTooLarge(limit int) *problem {
	return refuse(fasthttp.StatusRequestEntityTooLarge,
		"the body must not exceed "+strconv.Itoa(limit)+" bytes (server.max_body); send it in parts")
}

// unread is the problem of a request that could not be read to its end.
func readProblem(err error) error {
	if fault, ok := errors.AsType[framing.Fault](err); ok {
		return framingProblem(fault)
	}
	var wait interface {
		error
		Timeout() bool
	}
	if errors.As(err, &wait) && wait.Timeout() {
		return refuse(fasthttp.StatusRequestTimeout, "the request did not arrive in time; send it again")
	}
	return refuse(fasthttp.StatusBadRequest, "the request is not valid HTTP/1.1")
}
