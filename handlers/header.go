package handlers

import (
	"github.com/valyala/fasthttp"
)

const (
	// mediaProblem is the media type of every error (RFC 9457, 3).
	mediaProblem = "application/problem+json"
	// exposed are the response headers that scripts of other origins may read.
	exposed = "ETag, Cache-Status, RateLimit, RateLimit-Policy, Retry-After, Age, Hearth-Version"

	nameForwardedFor = fasthttp.HeaderXForwardedFor
	nameFetchSite    = "Sec-Fetch-Site"
	nameIfMatch      = fasthttp.HeaderIfMatch
	nameIfNoneMatch  = fasthttp.HeaderIfNoneMatch
	nameRecordMatch  = "If-Record-Match"
	nameVersion      = "Hearth-Version"
)

// Header names and values in the form that fasthttp takes without looking at
// them again: names in canonical form for SetCanonical and PeekCanonical, values
// without line breaks. They are constants in all but the language's type system, so
// nothing may write to them.
var (
	headerAge             = []byte("Age")
	headerAcceptEncoding  = []byte("Accept-Encoding")
	headerAllowOrigin     = []byte("Access-Control-Allow-Origin")
	headerCacheControl    = []byte("Cache-Control")
	headerCacheStatus     = []byte("Cache-Status")
	headerETag            = []byte("ETag")
	headerExposeHeaders   = []byte("Access-Control-Expose-Headers")
	headerForwardedFor    = []byte(nameForwardedFor)
	headerIfMatch         = []byte(nameIfMatch)
	headerIfNoneMatch     = []byte(nameIfNoneMatch)
	headerOrigin          = []byte("Origin")
	headerRateLimit       = []byte("RateLimit")
	headerRateLimitPolicy = []byte("RateLimit-Policy")
	headerRequestID       = []byte("X-Request-Id")
	headerVary            = []byte("Vary")
	headerVersion         = []byte(nameVersion)
	valueExposed          = []byte(exposed)
	valueGzip             = []byte("gzip")
	valueJSON             = []byte("application/json")
	valueMemoryHit        = []byte("Hearth-Memory; hit; ttl=")
	valueNoCache          = []byte("no-cache")
	valueNoStore          = []byte("no-store")
	valueProblem          = []byte(mediaProblem)
	valueStar             = []byte("*")
)

// What the values of fields are cut at.
var (
	comma     = []byte(",")
	semicolon = []byte(";")
)

// preparedHeaders are the headers that a resource's answers begin with. Copying a
// finished header is a few small memory copies, while setting one field has
// fasthttp look for line breaks in it and for its name among the others: for
// a memory hit that would be half of the work.
type preparedHeaders struct {
	plain   fasthttp.ResponseHeader // no compressed variant
	packed  fasthttp.ResponseHeader // with a compressed variant to choose
	missing fasthttp.ResponseHeader // the 404
	wire    wireHeads               // the same as text
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
		cors.vary(h, h == &p.packed, h != &p.missing && reusable(cacheControl))
	}
	p.missing.SetStatusCode(fasthttp.StatusNotFound)
	p.missing.SetContentTypeBytes(valueProblem)
	p.missing.SetCanonical(headerCacheControl, valueNoStore)
	p.wire = newWireHeads(p)
}
