package handlers

import (
	"bytes"
	"errors"
	"io"
	"strings"

	"github.com/go-json-experiment/json/jsontext"
	"github.com/valyala/fasthttp"
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

// objectBody returns a PUT's body, checked to be exactly one JSON object, in
// bytes of its own.
func objectBody(c *call) ([]byte, error) {
	if !isJSON(mediaType(&c.Request.Header)) {
		return nil, refuse(fasthttp.StatusUnsupportedMediaType, "the body must be sent as application/json")
	}
	if err := refuseCoding(&c.Request.Header); err != nil {
		return nil, err
	}
	body := bytes.Clone(c.PostBody())
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
