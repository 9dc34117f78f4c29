package handlers

import (
	"bytes"
	"context"
	"fmt"
	"math/rand/v2"
	"regexp"
	"slices"

	"github.com/valyala/fasthttp"

	"hearth/internal/param"
	"hearth/internal/source"
)

// This server makes no spans of its own. It is what W3C Trace Context calls a
// pass-through: the origin gets traceparent as it came, so the caller's span is
// the parent of the origin's, and nothing refers to a span that nobody records.

// maxTraceparent bounds what a later version may append to the 55 bytes of
// version 00.
const maxTraceparent = 128

// maxTracestate is what every participant has to pass on at least, all lines
// together. Longer ones are not passed on, which the recommendation allows; to
// pass on a part, the list would have to be cut between its members.
const maxTracestate = 512

const (
	nameTraceparent = "Traceparent" // as fasthttp keeps it
	nameTracestate  = "Tracestate"
)

// traceparent is the grammar of that field (W3C Trace Context, 3.2). Its groups
// are version, trace-id, parent-id, and what a later version than 00 may append.
var traceparent = regexp.MustCompile(`\A([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-[0-9a-f]{2}(-[!-~]*)?\z`)

// traceID returns the trace-id of a traceparent, or false where the value is
// none: version ff and ids of zeros alone are invalid, and version 00 ends
// behind the flags.
func traceID(parent []byte) (id []byte, ok bool) {
	if len(parent) > maxTraceparent {
		return nil, false
	}
	m := traceparent.FindSubmatch(parent)
	if m == nil {
		return nil, false
	}
	version, id, span, appended := string(m[1]), m[2], m[3], m[4]
	if version == "ff" || version == "00" && appended != nil || isZeros(id) || isZeros(span) {
		return nil, false
	}
	return id, true
}

// isZeros tells whether an id is the invalid one of zeros alone.
func isZeros(digits []byte) bool { return len(bytes.Trim(digits, "0")) == 0 }

// traceparentOf returns the traceparent of a request and its trace-id, both
// aliases of the request, or false where there is none, an invalid one, or more
// than one: nobody could say which of them is true.
func traceparentOf(h *fasthttp.RequestHeader) (parent, id []byte, ok bool) {
	lines := h.PeekAll(nameTraceparent)
	if len(lines) != 1 {
		return nil, nil, false
	}
	id, ok = traceID(lines[0])
	return lines[0], id, ok
}

// tracestateOf returns the list that belongs to a valid traceparent, its lines
// made one; "" if there is none that may be passed on.
func tracestateOf(h *fasthttp.RequestHeader) string {
	lines := slices.DeleteFunc(h.PeekAll(nameTracestate), func(line []byte) bool { return len(line) == 0 })
	list := bytes.Join(lines, comma)
	strange := func(c rune) bool { return (c < ' ' || c > '~') && c != '\t' }
	if len(list) > maxTracestate || bytes.ContainsFunc(list, strange) {
		return ""
	}
	return string(list)
}

// withCaller adds to ctx what the source of res is told of the request. Few
// sources are told anything, and for the others nothing is gathered. What is told is
// copied, since a load may go on after its request. Where readers share a load, the
// source is told of the one that began it.
func (r *request) withCaller(ctx context.Context, res *resource) context.Context {
	if !res.wantsCaller {
		return ctx
	}
	caller := source.Caller{RequestID: r.requestID()}
	if parent, _, ok := traceparentOf(&r.Request.Header); ok {
		caller.Traceparent = string(parent)
		caller.Tracestate = tracestateOf(&r.Request.Header)
	}
	return caller.In(ctx)
}

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
// one, by which its cause can be found in the log.
func answerID(ctx *fasthttp.RequestCtx) string {
	if id := ctx.Response.Header.PeekCanonical(headerRequestID); len(id) > 0 {
		return string(id)
	}
	id := newID()
	ctx.Response.Header.SetCanonical(headerRequestID, []byte(id))
	return id
}
