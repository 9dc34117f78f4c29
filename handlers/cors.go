package handlers

import (
	"bytes"
	"slices"
	"strings"

	"github.com/valyala/fasthttp"

	"hearth/internal/param"
)

// corsPolicy is the compiled form of CORS.
//
// With "*" the headers are on every answer to a request with an Origin, and on
// every answer that a shared cache may give to other clients without asking here:
// it may have got that through a request without an Origin. Then nothing depends
// on Origin and no Vary is needed. With a list the headers depend on Origin, so
// Vary names it on every answer. Credentials are never allowed: with them every
// page a user visits could read with the user's rights.
//
// Libraries for this (rs/cors and its ports to fasthttp) wrap a handler and set
// fields one by one; the fast path copies finished headers, see preparedHeaders.
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

// newCORSPolicy compiles a configuration. An empty list of origins allows none, and
// no answer then has any header of CORS.
func newCORSPolicy(c CORS) corsPolicy {
	p := corsPolicy{all: slices.Contains(c.Origins, "*"), methods: listed(c.Methods, allMethods), headers: listed(c.Headers, "")}
	if len(p.headers) > 0 && !slices.ContainsFunc(c.Headers, isVersion) {
		// A script that has written must be able to read what it wrote.
		p.headers = append(p.headers, ", "+nameVersion...)
	}
	if !p.all && len(c.Origins) > 0 {
		p.listed = make(map[string]struct{}, len(c.Origins))
		for _, origin := range c.Origins {
			p.listed[origin] = struct{}{}
		}
	}
	return p
}

// listed is a list of the configuration as a field's value, or all.
func listed(names []string, all string) []byte {
	if len(names) == 0 || slices.Contains(names, "*") {
		return []byte(all)
	}
	return []byte(strings.Join(names, ", "))
}

// isVersion tells whether a name is that of the field with versions of writes.
func isVersion(name string) bool { return strings.EqualFold(name, nameVersion) }

// storable tells whether a shared cache may answer others with a response of
// this Cache-Control without asking first (RFC 9111, 3 and 4).
func storable(cacheControl []byte) bool {
	lower := strings.ToLower(string(cacheControl))
	return !strings.Contains(lower, "no-cache") && !strings.Contains(lower, "no-store") && !strings.Contains(lower, "private")
}

// varies tells whether answers depend on Origin.
func (p *corsPolicy) varies() bool { return p.listed != nil }

// reusable tells whether a cache, be it that of a browser, may answer the same client again
// with a response of this Cache-Control without asking. It then has to know that a read
// with a version may need another one.
func reusable(cacheControl []byte) bool {
	lower := strings.ToLower(string(cacheControl))
	return !strings.Contains(lower, "no-cache") && !strings.Contains(lower, "no-store")
}

// vary puts on an answer which request fields its choice depends on (RFC 9110,
// 12.5.5); encoding says that Accept-Encoding is one, and version that Hearth-Version is. It
// does not matter whether this request has the fields: a cache in front asks what the next
// one might have. Cache-Control is no such field: caches read it themselves.
func (p *corsPolicy) vary(h *fasthttp.ResponseHeader, encoding, version bool) {
	which := 0
	for bit, varies := range []bool{encoding, version, p.varies()} {
		if varies {
			which |= 1 << bit
		}
	}
	if which != 0 {
		h.SetCanonical(headerVary, valuesVary[which])
	}
}

// valuesVary are the values of Vary, by what vary makes of its arguments.
var valuesVary = [...][]byte{
	1: []byte("Accept-Encoding"),
	2: []byte("Hearth-Version"),
	3: []byte("Accept-Encoding, Hearth-Version"),
	4: []byte("Origin"),
	5: []byte("Accept-Encoding, Origin"),
	6: []byte("Hearth-Version, Origin"),
	7: []byte("Accept-Encoding, Hearth-Version, Origin"),
}

// writeHeaders puts all headers but Vary on an answer. It tells whether the
// request's origin may read it. The fast path calls it.
func (p *corsPolicy) writeHeaders(ctx *fasthttp.RequestCtx) bool {
	allowed := p.allowed(ctx.Request.Header.PeekCanonical(headerOrigin))
	if len(allowed) == 0 {
		return false
	}
	ctx.Response.Header.SetCanonical(headerAllowOrigin, allowed)
	ctx.Response.Header.SetCanonical(headerExposeHeaders, valueExposed)
	return true
}

// allowed is who may read an answer to a request from origin, empty for nobody: "*", or the
// origin alone.
func (p *corsPolicy) allowed(origin []byte) []byte {
	if len(origin) == 0 {
		return nil
	}
	if p.all {
		return valueStar
	}
	if _, ok := p.listed[string(origin)]; !ok {
		return nil
	}
	return origin
}

// preflight answers the question a browser asks before a request that a plain
// form could not send (Fetch standard, 4.8). It tells whether ctx was one. An
// origin that may not read here gets an answer without the headers, which is how
// a preflight is refused.
func (p *corsPolicy) preflight(ctx *fasthttp.RequestCtx) bool {
	req := &ctx.Request.Header
	if len(req.Peek(fasthttp.HeaderOrigin)) == 0 || len(req.Peek(fasthttp.HeaderAccessControlRequestMethod)) == 0 {
		return false
	}
	ctx.SetStatusCode(fasthttp.StatusNoContent)
	if !p.writeHeaders(ctx) {
		return true
	}
	h := &ctx.Response.Header
	h.Del(fasthttp.HeaderAccessControlExposeHeaders)
	h.SetBytesV(fasthttp.HeaderAccessControlAllowMethods, p.methods)
	h.Set(fasthttp.HeaderAccessControlMaxAge, preflightAge)
	headers := p.headers
	if len(headers) == 0 {
		// "*" does not cover Authorization, so the list asked for is allowed
		// by name.
		if headers = req.Peek(fasthttp.HeaderAccessControlRequestHeaders); !isTokenList(headers) {
			headers = nil
		}
	}
	if len(headers) > 0 {
		h.SetBytesV(fasthttp.HeaderAccessControlAllowHeaders, headers)
	}
	return true
}

// isTokenList tells whether b may be echoed as a list of field names. It takes fewer
// characters than the grammar of names has, which leaves out nothing that is in use.
func isTokenList(b []byte) bool {
	return !bytes.ContainsFunc(b, func(c rune) bool { return c > '~' || !param.Safe(byte(c)) && c != ',' && c != ' ' })
}
