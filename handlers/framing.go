package handlers

import (
	"github.com/valyala/fasthttp"

	"hearth/internal/framing"
)

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
// fast path answers no other. Content-Length: 0 is no content. The version is nearly always 1.1, which fasthttp has
// found out already.
func endsAtHeader(req *fasthttp.RequestHeader) bool {
	if !req.IsHTTP11() && framing.Version(req.Protocol()) != framing.None {
		return false
	}
	content, fault := framing.Header(req.RawHeaders())
	return fault == framing.None && !content.Present()
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
