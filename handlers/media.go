package handlers

import (
	"bytes"
	"strings"

	"github.com/valyala/fasthttp"

	"hearth/internal/framing"
)

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
