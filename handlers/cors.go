package handlers

import (
	"bytes"
	"slices"
	"strings"

	"github.com/valyala/fasthttp"

	"hearth/internal/param"
)

// origins is the compiled form of CORS.
//
// With "*" the headers are on every answer to a request with an Origin, and on
// every answer that a shared cache may give to somebody else without asking:
// it may have come by it through a request without one. Then nothing depends
// on Origin and no Vary is needed. With a list the headers depend on Origin,
// so Vary names it on every answer. Credentials are never allowed: with them
// every page a user visits could read with the user's rights.
type corsPolicy struct {
	all     bool
	listed  map[string]struct{}
	methods []byte
	headers []byte // empty: those the preflight asks for
}

// allMethods is what a preflight allows under "*". A method the path lacks
// then ends in a 405 that the script can read.
const allMethods = "DELETE, GET, HEAD, OPTIONS, PATCH, POST, PUT"

// preflightAge is how many seconds a browser may keep a preflight's answer.
const preflightAge = "600"

func newCORSPolicy(c CORS) corsPolicy {
	o := corsPolicy{all: slices.Contains(c.Origins, "*"), methods: []byte(allMethods)}
	if !o.all && len(c.Origins) > 0 {
		o.listed = make(map[string]struct{}, len(c.Origins))
		for _, origin := range c.Origins {
			o.listed[origin] = struct{}{}
		}
	}
	if len(c.Methods) > 0 && !slices.Contains(c.Methods, "*") {
		o.methods = []byte(strings.Join(c.Methods, ", "))
	}
	if len(c.Headers) > 0 && !slices.Contains(c.Headers, "*") {
		o.headers = []byte(strings.Join(c.Headers, ", "))
	}
	return o
}

// storable tells whether a shared cache may answer others with a response of
// this Cache-Control without asking first (RFC 9111, 3 and 4).
func storable(cacheControl []byte) bool {
	for _, directive := range []string{"no-cache", "no-store", "private"} {
		if bytes.Contains(bytes.ToLower(cacheControl), []byte(directive)) {
			return false
		}
	}
	return true
}

// varies tells whether answers depend on Origin.
func (o *corsPolicy) varies() bool { return o.listed != nil }

// mark puts the headers of an answer but Vary on ctx. It tells whether the
// request's origin may read the answer.
func (o *corsPolicy) writeHeaders(ctx *fasthttp.RequestCtx) bool {
	origin := ctx.Request.Header.PeekCanonical(headerOrigin)
	if len(origin) == 0 {
		return false
	}
	h := &ctx.Response.Header
	switch {
	case o.all:
		h.SetCanonical(headerAllowOrigin, valueStar)
	case o.listed != nil:
		if _, ok := o.listed[string(origin)]; !ok {
			return false
		}
		h.SetCanonical(headerAllowOrigin, origin)
	default:
		return false
	}
	h.SetCanonical(headerExposeHeaders, valueExposed)
	return true
}

// preflight answers the question a browser asks before a request that a plain
// form could not send (Fetch standard, 4.8). It tells whether ctx was one. A
// preflight from an origin that may not goes unanswered in its headers, which
// is a refusal.
func (o *corsPolicy) preflight(ctx *fasthttp.RequestCtx) bool {
	req := &ctx.Request.Header
	if len(req.Peek(fasthttp.HeaderOrigin)) == 0 || len(req.Peek(fasthttp.HeaderAccessControlRequestMethod)) == 0 {
		return false
	}
	ctx.SetStatusCode(fasthttp.StatusNoContent)
	if !o.writeHeaders(ctx) {
		return true
	}
	h := &ctx.Response.Header
	h.Del(fasthttp.HeaderAccessControlExposeHeaders)
	h.SetBytesV(fasthttp.HeaderAccessControlAllowMethods, o.methods)
	h.Set(fasthttp.HeaderAccessControlMaxAge, preflightAge)
	headers := o.headers
	if len(headers) == 0 {
		// "*" does not cover Authorization, so the list asked for is allowed
		// by name.
		headers = req.Peek(fasthttp.HeaderAccessControlRequestHeaders)
		if !isTokenList(headers) {
			headers = nil
		}
	}
	if len(headers) > 0 {
		h.SetBytesV(fasthttp.HeaderAccessControlAllowHeaders, headers)
	}
	return true
}

// isTokenList tells whether b may be echoed as a list of field names.
func isTokenList(b []byte) bool {
	for _, c := range b {
		if !param.Safe(c) && c != ',' && c != ' ' {
			return false
		}
	}
	return true
}
