package handlers

import "github.com/valyala/fasthttp"

// shapes are the headers that a resource's answers begin with. Copying a
// finished header is a few small memory copies, while setting one field has
// fasthttp look for line breaks in it and for its name among the others: for
// a memory hit that would be half of the work.
type preparedHeaders struct {
	plain   fasthttp.ResponseHeader // no compressed variant
	packed  fasthttp.ResponseHeader // with a compressed variant to choose
	missing fasthttp.ResponseHeader // the 404
}

// init builds the shapes. They must not change afterwards.
func (t *preparedHeaders) init(o *corsPolicy, cacheControl []byte) {
	for _, h := range []*fasthttp.ResponseHeader{&t.plain, &t.packed, &t.missing} {
		// As Configure tells the server; CopyTo carries it along.
		h.SetNoDefaultContentType(true)
		h.SetContentTypeBytes(valueJSON)
		h.SetCanonical(headerCacheControl, cacheControl)
		if o.all && h != &t.missing && storable(cacheControl) {
			h.SetCanonical(headerAllowOrigin, valueStar)
			h.SetCanonical(headerExposeHeaders, valueExposed)
		}
		vary(h, o, h == &t.packed)
	}
	t.missing.SetStatusCode(fasthttp.StatusNotFound)
	t.missing.SetContentTypeBytes(valueProblem)
	t.missing.SetCanonical(headerCacheControl, valueNoStore)
}

// vary names the request fields that the choice of an answer depends on.
func vary(h *fasthttp.ResponseHeader, o *corsPolicy, encoding bool) {
	switch origin := o.varies(); {
	case encoding && origin:
		h.SetCanonical(headerVary, valueVaryEncodingAndOrigin)
	case encoding:
		h.SetCanonical(headerVary, valueVaryEncoding)
	case origin:
		h.SetCanonical(headerVary, valueVaryOrigin)
	}
}
