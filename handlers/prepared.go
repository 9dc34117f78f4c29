package handlers

import "github.com/valyala/fasthttp"

// preparedHeaders are the headers that a resource's answers begin with. Copying a
// finished header is a few small memory copies, while setting one field has
// fasthttp look for line breaks in it and for its name among the others: for
// a memory hit that would be half of the work.
type preparedHeaders struct {
	plain   fasthttp.ResponseHeader // no compressed variant
	packed  fasthttp.ResponseHeader // with a compressed variant to choose
	missing fasthttp.ResponseHeader // the 404
}

// init builds the headers. They must not change afterwards: requests copy them
// without a lock.
func (p *preparedHeaders) init(cors *corsPolicy, cacheControl []byte) {
	for _, h := range []*fasthttp.ResponseHeader{&p.plain, &p.packed, &p.missing} {
		// As Configure tells the server; CopyTo carries it along.
		h.SetNoDefaultContentType(true)
		h.SetContentTypeBytes(valueJSON)
		h.SetCanonical(headerCacheControl, cacheControl)
		if cors.all && h != &p.missing && storable(cacheControl) {
			h.SetCanonical(headerAllowOrigin, valueStar)
			h.SetCanonical(headerExposeHeaders, valueExposed)
		}
		cors.vary(h, h == &p.packed)
	}
	p.missing.SetStatusCode(fasthttp.StatusNotFound)
	p.missing.SetContentTypeBytes(valueProblem)
	p.missing.SetCanonical(headerCacheControl, valueNoStore)
}
