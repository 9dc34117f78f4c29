package handlers

import (
	"github.com/valyala/fasthttp"

	"hearth/cache"
)

// answer writes what the tiers found, unless If-Match refuses it. A missing
// record is 404 whatever the condition (RFC 9110, 13.2.1).
func (s *Server) answer(r *request, res *resource, sc *scratch, a cache.Answer) error {
	if !a.Entry.Missing() {
		if err := checkIfMatch(&r.Request.Header, tagOf(r.RequestCtx, sc, a)); err != nil {
			return err
		}
	}
	return s.writeAnswer(r, res, sc, a)
}

// writeAnswer shapes what the tiers found.
func (s *Server) writeAnswer(r *request, res *resource, sc *scratch, a cache.Answer) error {
	r.tier = a.Tier
	h := &r.Response.Header
	if !a.FromDB || a.Entry.Missing() {
		if s.writeEntry(r.RequestCtx, res, sc, a.Entry) == hitOverBudget {
			return answersOverBudget()
		}
	} else {
		// There is no compressed variant of what the first reader gets, but
		// there will be one under the same path.
		if a.Entry.Packs() {
			res.headers.packed.CopyTo(h)
		} else {
			res.headers.plain.CopyTo(h)
		}
		if !s.writeETag(r.RequestCtx, sc, a.Entry, false) {
			if front, back := a.Parts(); !s.setBody(r.RequestCtx, a.Entry, front, back) {
				return answersOverBudget()
			}
		}
	}
	sc.buf = a.AppendStatus(sc.buf[:0])
	h.SetCanonical(headerCacheStatus, sc.buf)
	if a.Detail != "" {
		// Stale or unguarded: good for this reader, not for those behind a
		// cache in front.
		h.SetCanonical(headerCacheControl, valueNoStore)
	}
	return nil
}

// writeEntry answers with an entry as it lies in memory: the record, "not
// modified", or the 404. It begins the header anew; Cache-Status is the
// caller's.
func (s *Server) writeEntry(ctx *fasthttp.RequestCtx, res *resource, sc *scratch, entry *cache.Entry) hitCode {
	h := &ctx.Response.Header
	if entry.Missing() {
		res.headers.missing.CopyTo(h)
		ctx.Response.SetBodyRaw(res.notFound)
		return hitMissing
	}
	body := entry.Body()
	compressed := entry.Gzip()
	if compressed != nil {
		res.headers.packed.CopyTo(h)
	} else {
		res.headers.plain.CopyTo(h)
	}
	packed := compressed != nil && acceptsGzip(ctx.Request.Header.PeekCanonical(headerAcceptEncoding))
	if s.writeETag(ctx, sc, entry, packed) {
		return hitNotModified
	}
	if packed {
		h.SetContentEncodingBytes(valueGzip)
		body = compressed
	}
	if !s.setBody(ctx, entry, body, nil) {
		return hitOverBudget
	}
	return hitOK
}

// tagOf is the validator of what a GET of a record is answered with. It stands in
// sc until that is used for something else.
func tagOf(ctx *fasthttp.RequestCtx, sc *scratch, a cache.Answer) []byte {
	e := a.Entry
	packed := !a.FromDB && e.Gzip() != nil && acceptsGzip(ctx.Request.Header.PeekCanonical(headerAcceptEncoding))
	sc.buf = appendTag(sc.buf[:0], e, packed)
	return sc.buf
}

func appendTag(dst []byte, e *cache.Entry, packed bool) []byte {
	if packed {
		return e.AppendPackedETag(dst)
	}
	return e.AppendETag(dst)
}

// writeETag adds the validator, and tells whether the client holds it already:
// then the status is 304.
func (s *Server) writeETag(ctx *fasthttp.RequestCtx, sc *scratch, entry *cache.Entry, packed bool) bool {
	sc.buf = appendTag(sc.buf[:0], entry, packed)
	ctx.Response.Header.SetCanonical(headerETag, sc.buf)
	list := ctx.Request.Header.PeekCanonical(headerIfNoneMatch)
	if len(list) == 0 || !etagListed(list, sc.buf) && !listedFurther(&ctx.Request.Header, sc.buf) {
		return false
	}
	ctx.SetStatusCode(fasthttp.StatusNotModified)
	ctx.Response.Header.SetContentTypeBytes(nil) // of a body that is not there
	return true
}

// setBody makes front and back the body of the answer; front belongs to the
// entry. What is large is sent as a parcel: false means that there is no room for
// it.
func (s *Server) setBody(ctx *fasthttp.RequestCtx, e *cache.Entry, front, back []byte) bool {
	if !e.Large() {
		if len(back) > 0 {
			front = append(append(make([]byte, 0, len(front)+len(back)), front...), back...)
		}
		ctx.Response.SetBodyRaw(front)
		return true
	}
	p := &largeBody{memory: s.memory}
	if !ctx.IsHead() && !p.hold(e) { // to a HEAD only the length is told
		return false
	}
	p.add(front)
	p.add(back)
	ctx.Response.SetBodyStream(p, p.size)
	return true
}

// parts are the body of a single answer, with null as the data of a missing
// record.
func (res *resource) parts(a cache.Answer) (front, back []byte) {
	switch {
	case !a.Entry.Missing():
		return a.Parts()
	case res.prefix == nil:
		return nullData, nil
	case a.FromDB:
		return res.prefix, nullLoaded
	}
	return res.prefix, nullCached
}

var nullData, nullLoaded, nullCached = []byte("null"), []byte(`null,"source":"db"}`), []byte(`null,"source":"cache"}`)

// markRequest adds what depends on the request and the state of the process
// alone, whichever way the answer took.
func (s *Server) writeRequestHeaders(ctx *fasthttp.RequestCtx) {
	if id := ctx.Request.Header.PeekCanonical(headerRequestID); len(id) > 0 {
		s.writeRequestID(ctx, id)
	}
	if s.deps.State() == Draining {
		ctx.Response.SetConnectionClose()
	}
}
