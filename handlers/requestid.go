package handlers

import (
	"fmt"
	"math/rand/v2"

	"github.com/valyala/fasthttp"

	"hearth/internal/param"
)

// echoRequestID passes on the id that the client gave its request, if it gave
// one, and replaces it when it is not [A-Za-z0-9._-]{1,64}: ids end up in the
// logs of many programs. The fast path calls it.
func echoRequestID(ctx *fasthttp.RequestCtx) {
	id := ctx.Request.Header.PeekCanonical(headerRequestID)
	if len(id) == 0 {
		return
	}
	if !isID(id) {
		id = []byte(newID())
	}
	ctx.Response.Header.SetCanonical(headerRequestID, id)
}

// isID tells whether a client's id may be passed on.
func isID(id []byte) bool {
	if len(id) == 0 || len(id) > 64 {
		return false
	}
	for _, c := range id {
		if !param.Safe(c) || c == '~' || c == '@' {
			return false
		}
	}
	return true
}

// newID names a request. It has to be distinct, not secret, so the generator need not
// be one for keys.
func newID() string { return fmt.Sprintf("%016x%016x", rand.Uint64(), rand.Uint64()) }

// requestID returns the id of the request: the client's, if that is one, or a
// new one, which the answer then carries.
func (r *request) requestID() string {
	if r.id == "" {
		if id := r.Request.Header.PeekCanonical(headerRequestID); isID(id) {
			r.id = string(id)
		} else {
			r.id = newID()
		}
	}
	return r.id
}

// answerID returns the id that the answer carries. An answer without one gets
// one: whoever looks for its cause in the log needs a name for it.
func answerID(ctx *fasthttp.RequestCtx) string {
	if id := ctx.Response.Header.PeekCanonical(headerRequestID); len(id) > 0 {
		return string(id)
	}
	id := newID()
	ctx.Response.Header.SetCanonical(headerRequestID, []byte(id))
	return id
}
