package handlers

import (
	"bytes"
	"strings"

	"github.com/valyala/fasthttp"
)

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
func refuseMedia(r *request) error {
	if !isJSON(mediaType(&r.Request.Header)) {
		return refuse(fasthttp.StatusUnsupportedMediaType, "the body must be sent as application/json")
	}
	return refuseCoding(&r.Request.Header)
}
