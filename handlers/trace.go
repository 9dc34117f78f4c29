package handlers

import (
	"context"
	"strings"

	"github.com/valyala/fasthttp"

	"hearth/internal/source"
)

// This server makes no spans of its own. It is what W3C Trace Context calls a
// pass-through: the origin gets traceparent as it came, so the caller's span is
// the parent of the origin's, and nothing refers to a span that nobody records.

// maxTraceparent bounds what a later version may append to the 55 bytes of
// version 00.
const maxTraceparent = 128

// maxTracestate is what everybody has to pass on at least, all its lines
// together. Longer ones are not passed on, which the recommendation allows;
// half of one would have to be cut between members.
const maxTracestate = 512

const (
	nameTraceparent = "Traceparent" // as fasthttp keeps it
	nameTracestate  = "Tracestate"

	traceparentSize = len("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01")
)

// traceID returns the trace-id of a traceparent, or false where the value is
// none (W3C Trace Context, 3.2). A later version than 00 may go on behind
// another hyphen, in ways not known yet.
func traceID(parent []byte) (id []byte, ok bool) {
	if len(parent) < traceparentSize || len(parent) > maxTraceparent {
		return nil, false
	}
	version, id, span, flags := parent[:2], parent[3:35], parent[36:52], parent[53:55]
	for _, field := range [][]byte{version, id, span, flags} {
		if !isLowerHex(field) {
			return nil, false
		}
	}
	if parent[2] != '-' || parent[35] != '-' || parent[52] != '-' || string(version) == "ff" || isZeros(id) || isZeros(span) {
		return nil, false
	}
	rest := parent[traceparentSize:]
	if len(rest) > 0 && (string(version) == "00" || rest[0] != '-' || !isVisible(rest)) {
		return nil, false
	}
	return id, true
}

func isLowerHex(b []byte) bool {
	for _, c := range b {
		if (c < '0' || c > '9') && (c < 'a' || c > 'f') {
			return false
		}
	}
	return true
}

func isZeros(b []byte) bool {
	for _, c := range b {
		if c != '0' {
			return false
		}
	}
	return true
}

func isVisible(b []byte) bool {
	for _, c := range b {
		if c <= ' ' || c > '~' {
			return false
		}
	}
	return true
}

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
	var b strings.Builder
	for _, line := range h.PeekAll(nameTracestate) {
		if len(line) == 0 {
			continue
		}
		if b.Len()+len(line) > maxTracestate {
			return ""
		}
		for _, c := range line {
			if (c < ' ' || c > '~') && c != '\t' {
				return ""
			}
		}
		if b.Len() > 0 {
			b.WriteByte(',')
		}
		b.Write(line)
	}
	if b.Len() > maxTracestate {
		return ""
	}
	return b.String()
}

// tell adds to ctx what the source of rec is told of the request. Few sources
// are told anything, and for the others nothing is gathered.
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

// name returns the id of the request: the client's, if that is one, or a new one,
// which the answer then carries.
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
