package handlers

import (
	"bytes"
	"errors"
	"io"
	"strconv"
	"strings"

	"github.com/go-json-experiment/json/jsontext"
	"github.com/valyala/fasthttp"

	"hearth/internal/framing"
)

// maxDepth bounds how deep JSON from clients may be nested. Every program that
// reads the stored value later has to descend as far.
const maxDepth = 64

// mediaType is the Content-Type of a request without its parameters, in lower
// case; "" when there is none.
func mediaType(h *fasthttp.RequestHeader) string {
	t, _, _ := bytes.Cut(h.ContentType(), []byte(";"))
	return strings.ToLower(string(trimSpace(t)))
}

// isJSON tells whether a media type stands for JSON (RFC 6839, 3.1). A missing
// one does: nothing else is expected here.
func isJSON(media string) bool {
	return media == "" || media == "application/json" ||
		strings.HasPrefix(media, "application/") && strings.HasSuffix(media, "+json")
}

// refuseCoding refuses compressed bodies: they would be bounded before they
// are unpacked, and not after.
func refuseCoding(h *fasthttp.RequestHeader) error {
	coding := h.ContentEncoding()
	if len(coding) == 0 || equalFold(coding, "identity") {
		return nil
	}
	return refuse(fasthttp.StatusUnsupportedMediaType, "bodies must not be compressed; send the body without content-encoding")
}

// refuseMedia refuses what its header says is no JSON.
func refuseMedia(c *call) error {
	if !isJSON(mediaType(&c.Request.Header)) {
		return refuse(fasthttp.StatusUnsupportedMediaType, "the body must be sent as application/json")
	}
	return refuseCoding(&c.Request.Header)
}

// objectBody returns a PUT's body, checked to be exactly one JSON object, in
// bytes of its own.
func objectBody(c *call) ([]byte, error) {
	body, err := c.readBody()
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
const firstRoom = 16 << 10

// readBody returns the request's body in bytes of its own.
//
// fasthttp would make room for all that Content-Length announces before the
// first byte is there, and keep it with the connection: a few hundred peers that
// announce megabytes and send none would take all memory. So room is made for
// what has come. And it reads chunks by rules of its own; see framing.Chunks.
func (c *call) readBody() ([]byte, error) {
	limit := c.server.config.MaxBody
	if c.content.Length > int64(limit) {
		c.SetConnectionClose()
		return nil, tooLarge(limit)
	}
	if c.asking {
		c.wanted = true
		return nil, errWanted
	}
	stream := c.RequestBodyStream()
	if stream == nil || !c.content.Any() {
		return bytes.Clone(c.PostBody()), nil // none, or one that no server has read
	}
	in := framing.Source(stream)
	if in == nil {
		panic("BUG: this version of fasthttp does not say where it reads content from")
	}
	if conn, ok := c.Conn().(watchedConn); ok {
		conn.Reading() // the peer's turn again
		defer conn.Handling()
	}
	body, err := c.readAll(c.content.Reader(in), min(max(int(c.content.Length), 512), firstRoom)+1, limit)
	if err != nil {
		c.SetConnectionClose()
		return nil, err
	}
	c.consumed = true
	return body, nil
}

// readAll reads content of at most limit bytes, beginning with that much room.
func (c *call) readAll(content io.Reader, room, limit int) ([]byte, error) {
	body := make([]byte, 0, room)
	for {
		n, err := content.Read(body[len(body):cap(body)])
		body = body[:len(body)+n]
		switch {
		case len(body) > limit:
			return nil, tooLarge(limit)
		case errors.Is(err, io.EOF):
			return body, nil
		case err != nil:
			return nil, unread(err)
		case len(body) == cap(body):
			more := min(len(body), limit+1-len(body))
			if !c.roomFor(more) {
				return nil, crowded()
			}
			body = append(make([]byte, 0, len(body)+more), body...) // just so much, as append by itself would not
		}
	}
}

// roomFor takes room for so many bytes of the body more, until the request is
// over.
func (c *call) roomFor(bytes int) bool {
	if !c.server.deps.Bodies.Take(int64(bytes)) {
		return false
	}
	c.body += int64(bytes)
	return true
}

// giveRoom gives back what the body has taken.
func (c *call) giveRoom() {
	if c.body > 0 {
		c.server.deps.Bodies.Give(c.body)
		c.body = 0
	}
}

// crowded is the answer while bodies on their way take all the memory there is
// for them.
func crowded() *problem {
	return &problem{status: fasthttp.StatusServiceUnavailable, retry: true,
		detail: "bodies of other requests take as much memory as the server may use for them; try again after the time in Retry-After, or send less at a time"}
}

func tooLarge(limit int) *problem {
	return refuse(fasthttp.StatusRequestEntityTooLarge,
		"the body must not exceed "+strconv.Itoa(limit)+" bytes (server.max_body); send it in parts")
}

// unread is the problem of a request that could not be read to its end.
func unread(err error) error {
	if fault, ok := errors.AsType[framing.Fault](err); ok {
		return misframed(fault)
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

// syntaxFault says in a client's terms why a value was not read.
func syntaxFault(err error) string {
	switch {
	case errors.Is(err, jsontext.ErrDuplicateName):
		return "has an object with two members of one name"
	case errors.Is(err, io.EOF):
		return "is empty where JSON is expected"
	case errors.Is(err, io.ErrUnexpectedEOF):
		return "ends in the middle of its JSON"
	}
	return "is not valid JSON in UTF-8"
}

// deeper tells whether the containers of a valid JSON value are nested more
// than limit levels deep; {} is one level.
func deeper(value []byte, limit int) bool {
	// Nearly always the brackets are too few to matter, and counting bytes is
	// many times faster than following strings.
	if bytes.Count(value, []byte("{"))+bytes.Count(value, []byte("[")) <= limit {
		return false
	}
	level, quoted := 0, false
	for i := 0; i < len(value); i++ {
		switch c := value[i]; {
		case quoted && c == '\\':
			i++
		case c == '"':
			quoted = !quoted
		case quoted:
		case c == '{' || c == '[':
			if level++; level > limit {
				return true
			}
		case c == '}' || c == ']':
			level--
		}
	}
	return false
}
