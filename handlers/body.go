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
	"hearth/internal/jsonvalue"
	"hearth/internal/source"
)

// objectBody returns a PUT's body, parsed, in bytes of its own. It is parsed before
// the write begins, and never again: a guard would cost the record its copies, and a
// body that is no object must not.
func (r *request) objectBody() (jsonvalue.Node, error) {
	body, err := r.readBody()
	if err != nil {
		return jsonvalue.Node{}, err
	}
	object, err := jsonvalue.ParseObject(body, maxDepth)
	if err == nil {
		return object, nil
	}
	return object, objectFault(err)
}

// objectFault is why a body is refused that jsonvalue.ParseObject did not take.
func objectFault(err error) error {
	if nul, ok := errors.AsType[*jsonvalue.NULError](err); ok {
		return &source.BodyError{Member: nul.Member, Reason: "has a NUL character"}
	}
	switch {
	case errors.Is(err, jsonvalue.ErrTrailing):
		return refuse(fasthttp.StatusBadRequest, "the body must end behind its JSON value")
	case errors.Is(err, jsonvalue.ErrTooDeep):
		return refuse(fasthttp.StatusBadRequest, "the body is nested more than 64 levels deep")
	case errors.Is(err, jsonvalue.ErrNotObject):
		return refuse(fasthttp.StatusUnprocessableEntity, "the body must be a JSON object")
	}
	return refuse(fasthttp.StatusBadRequest, "the body "+syntaxFault(err))
}

// initialBuffer is the most that is allocated for a body before any of it has
// come. Every connection has buffers of that order; what goes beyond it is taken
// from the budget that all bodies share, so that ordinary ones are never refused.
const initialBuffer = 16 << 10

// errContentWanted is what readBody returns instead of reading while the request
// only asks whether its content is wanted.
var errContentWanted = errors.New("the content is wanted")

// readBody returns the request's body in bytes of its own.
//
// fasthttp would allocate all that Content-Length announces before the first byte
// is there, and keep it with the connection: a few hundred peers that announce
// megabytes and send none would take all memory. So the buffer grows with what has
// come. And fasthttp reads chunks by rules of its own; see package framing.
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
		return bytes.Clone(r.PostBody()), nil // none, or one that came without a connection
	}
	in := framing.BufferedReader(stream)
	if in == nil {
		panic("BUG: this version of fasthttp does not say where it reads content from")
	}
	if conn, ok := r.Conn().(watchedConn); ok {
		conn.Reading() // the peer's turn again
		defer conn.Handling()
	}
	body, err := r.readAll(r.content.Reader(in), limit)
	if err != nil {
		r.SetConnectionClose()
		return nil, err
	}
	r.contentRead = true
	return body, nil
}

// readAll reads content of at most limit bytes. Each time its buffer is full it
// doubles, or grows to one byte more than the limit, which tells that there is
// more; io.ReadAll would neither stop there nor ask for budget.
func (r *request) readAll(content io.Reader, limit int) ([]byte, error) {
	body := make([]byte, 0, min(max(int(r.content.Length), 512), initialBuffer)+1)
	for {
		n, err := content.Read(body[len(body):cap(body)])
		body = body[:len(body)+n]
		switch {
		case len(body) > limit:
			return nil, bodyTooLarge(limit)
		case errors.Is(err, io.EOF):
			return body, nil
		case err != nil:
			return nil, r.server.readProblem(err)
		case len(body) == cap(body):
			more := min(len(body), limit+1-len(body))
			if !r.reserveBody(more) {
				return nil, bodiesOverBudget()
			}
			body = append(make([]byte, 0, len(body)+more), body...) // append alone would round up
		}
	}
}

// reserveBody takes budget for so many bytes of the body more, until the request
// is over. It does not wait for others to return theirs: they may be waiting for
// their own peers, who send as slowly as they like.
func (r *request) reserveBody(bytes int) bool {
	if !r.server.deps.Bodies.Take(int64(bytes)) {
		return false
	}
	r.bodyBytes += int64(bytes)
	return true
}

// releaseBody gives back what the body has taken.
func (r *request) releaseBody() {
	if r.bodyBytes > 0 {
		r.server.deps.Bodies.Return(r.bodyBytes)
		r.bodyBytes = 0
	}
}

// bodiesOverBudget is the answer while bodies on their way take all the memory
// there is for them.
func bodiesOverBudget() *problem {
	return &problem{status: fasthttp.StatusServiceUnavailable, retry: true,
		detail: "bodies of other requests take as much memory as the server may use for them; try again after the time in Retry-After, or send less at a time"}
}

// bodyTooLarge is the answer to a body that is announced or found to be larger than
// server.max_body.
func bodyTooLarge(limit int) *problem {
	return refuse(fasthttp.StatusRequestEntityTooLarge,
		"the body must not exceed "+strconv.Itoa(limit)+" bytes (server.max_body); send it in parts")
}

// timeoutError is what errors of deadlines have in common, fasthttp's and ours.
type timeoutError interface {
	error
	Timeout() bool
}

// readProblem is the problem of a request that could not be read to its end: its
// header by fasthttp, whose own texts quote the request, or its content here.
func (s *Server) readProblem(err error) *problem {
	if fault, ok := errors.AsType[framing.Fault](err); ok {
		return framingProblem(fault)
	}
	if _, ok := errors.AsType[*fasthttp.ErrSmallBuffer](err); ok {
		return refuse(fasthttp.StatusRequestHeaderFieldsTooLarge,
			"request line and headers must not exceed "+strconv.Itoa(s.config.MaxHeader)+" bytes together (server.max_header)")
	}
	if errors.Is(err, fasthttp.ErrBodyTooLarge) {
		return bodyTooLarge(s.config.MaxBody)
	}
	if t, ok := errors.AsType[timeoutError](err); ok && t.Timeout() {
		return refuse(fasthttp.StatusRequestTimeout, "the request did not arrive in time; send it again")
	}
	return refuse(fasthttp.StatusBadRequest, "the request is not valid HTTP/1.1")
}

// maxDepth bounds how deep JSON from clients may be nested. Every program that
// reads the stored value later has to descend as far.
const maxDepth = 64

// syntaxFault says in a client's terms why a value was not read. The decoder's own
// texts quote the body, which may be secret, and name its packages.
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
// than limit levels deep; {} is one level. The decoder has a limit of its own, which
// is far higher and cannot be set.
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

// mediaType is the Content-Type of a request without its parameters, in lower
// case; "" when there is none. The parser of package mime refuses a field for the
// form of parameters that nobody here looks at.
func mediaType(h *fasthttp.RequestHeader) string {
	t, _, _ := bytes.Cut(h.ContentType(), semicolon)
	return strings.ToLower(string(framing.Trim(t)))
}

// isJSON tells whether a media type stands for JSON (RFC 6839, 3.1). A missing
// one does: nothing else is expected here.
func isJSON(media string) bool {
	return media == "" || media == "application/json" ||
		strings.HasPrefix(media, "application/") && strings.HasSuffix(media, "+json")
}

// isNDJSON tells whether a media type stands for one JSON value per line.
func isNDJSON(media string) bool {
	return media == "application/x-ndjson" || media == "application/ndjson"
}

// refuseCoding refuses compressed bodies: server.max_body would bound what is
// sent, and not what it unpacks to.
func refuseCoding(h *fasthttp.RequestHeader) error {
	coding := h.ContentEncoding()
	if len(coding) == 0 || strings.EqualFold(string(coding), "identity") {
		return nil
	}
	return refuse(fasthttp.StatusUnsupportedMediaType, "bodies must not be compressed; send the body without content-encoding")
}

// refuseMedia refuses what its header says is no JSON. It is also a defence: a page
// cannot send JSON to another origin without a preflight, but it can send text/plain.
func refuseMedia(h *fasthttp.RequestHeader) error {
	if !isJSON(mediaType(h)) {
		return refuse(fasthttp.StatusUnsupportedMediaType, "the body must be sent as application/json")
	}
	return refuseCoding(h)
}
