package handlers

import (
	"strconv"
	"time"

	"github.com/valyala/fasthttp"

	"hearth/cache"
)

// answerHit writes a fresh record of memory, counts it, and tells how long it took. ok is
// false if a large one does not fit in the budget; then nothing was counted. The fast path
// ends here, so it allocates nothing: it copies finished headers, sets fields by their
// canonical names, and copies the record. The caller holds the pin under which it was
// looked up, and calls logIfWatched without it.
func (s *Server) answerHit(ctx *fasthttp.RequestCtx, res *resource, sc *scratch, hit cache.View, ttl time.Duration) (elapsed time.Duration, ok bool) {
	code := s.writeView(ctx, res, sc, hit)
	if code == hitOverBudget {
		return 0, false
	}
	sc.buf = append(sc.buf[:0], valueMemoryHit...)
	sc.buf = strconv.AppendInt(sc.buf, int64(ttl/time.Second), 10)
	ctx.Response.Header.SetCanonical(headerCacheStatus, sc.buf)
	s.cors.writeHeaders(ctx)
	echoRequestID(ctx)
	s.closeWhenDraining(ctx)
	elapsed = time.Since(ctx.Time())
	res.metrics.hits(sc.stripe, code, 1, elapsed)
	return elapsed, true
}

// closeWhenDraining ends the connection behind an answer while the process drains,
// so that balancers take their next request elsewhere.
func (s *Server) closeWhenDraining(ctx *fasthttp.RequestCtx) {
	if s.deps.State() == Draining {
		ctx.Response.SetConnectionClose()
	}
}

// writeView answers with a record as it lies in memory: the record, "not
// modified", or the 404. It begins the header anew; Cache-Status is the
// caller's.
//
// The variant is chosen before the validator, since a strong tag names one variant,
// and the validator is written before If-None-Match is judged, since a 304 carries
// the fields that the 200 would have had (RFC 9110, 15.4.5). The header that varies
// is taken even by those who get the plain variant: a cache in front has to know.
func (s *Server) writeView(ctx *fasthttp.RequestCtx, res *resource, sc *scratch, v cache.View) hitCode {
	h := &ctx.Response.Header
	if v.Missing() {
		res.headers.missing.CopyTo(h)
		ctx.Response.SetBodyRaw(res.notFound)
		return hitMissing
	}
	head, data, tail, compressed := v.Parts(res.Shape)
	if compressed != nil {
		res.headers.packed.CopyTo(h)
	} else {
		res.headers.plain.CopyTo(h)
	}
	packed := compressed != nil && acceptsGzip(ctx.Request.Header.PeekCanonical(headerAcceptEncoding))
	if s.writeETag(ctx, sc, v, packed) {
		return hitNotModified
	}
	if packed {
		h.SetContentEncodingBytes(valueGzip)
		head, data, tail = "", compressed, ""
	}
	if v.Large() {
		if !s.setLarge(ctx, v.Entry(), head, data, tail) {
			return hitOverBudget
		}
		return hitOK
	}
	ctx.Response.AppendBodyString(head)
	ctx.Response.AppendBody(data)
	ctx.Response.AppendBodyString(tail)
	return hitOK
}

// writeETag adds the validator, and tells whether the client holds it already:
// then the status is 304. If-None-Match is judged for every answer with a record,
// whichever tier it is from; If-Modified-Since is not, as records have no dates.
func (s *Server) writeETag(ctx *fasthttp.RequestCtx, sc *scratch, v cache.View, packed bool) bool {
	sc.buf = appendTag(sc.buf[:0], v, packed)
	ctx.Response.Header.SetCanonical(headerETag, sc.buf)
	if !isNotModified(&ctx.Request.Header, sc.buf) {
		return false
	}
	ctx.SetStatusCode(fasthttp.StatusNotModified)
	ctx.Response.Header.SetContentTypeBytes(nil) // of a body that is not there
	return true
}

// appendTag appends an entry's validator. The gzip variant has other bytes, so a
// strong tag must differ (RFC 9110, 8.8.3.3).
func appendTag(dst []byte, v cache.View, packed bool) []byte {
	if packed {
		return v.AppendGzipETag(dst)
	}
	return v.AppendETag(dst)
}

// isUnpacked tells of a record that was loaded or read for this reader alone. There is no
// compressed variant of it, but another answer under the same path may have one, and a
// cache in front must know that answers vary.
func isUnpacked(a cache.Answer) bool {
	return !a.Entry.Missing() && (a.FromDB || a.Entry.Compressible() && a.Entry.Gzip() == nil)
}

// writeUnpacked answers with such a record.
func (s *Server) writeUnpacked(ctx *fasthttp.RequestCtx, res *resource, sc *scratch, a cache.Answer) hitCode {
	if a.Entry.Compressible() {
		res.headers.packed.CopyTo(&ctx.Response.Header)
	} else {
		res.headers.plain.CopyTo(&ctx.Response.Header)
	}
	if s.writeETag(ctx, sc, cache.ViewOf(a.Entry), false) {
		return hitNotModified
	}
	if front, back := a.Parts(); !s.setEntry(ctx, a.Entry, front, back) {
		return hitOverBudget
	}
	return hitOK
}

// answer writes what the tiers found, unless If-Match refuses it. The fast path
// leaves requests with that field alone, so it is judged here only, by the tag of
// the variant that would be sent. A missing record is 404 whatever the condition
// (RFC 9110, 13.2.1).
func (s *Server) answer(r *request, res *resource, sc *scratch, a cache.Answer) error {
	unpacked := isUnpacked(a)
	if !a.Entry.Missing() {
		packed := !unpacked && a.Entry.Gzip() != nil && acceptsGzip(r.Request.Header.PeekCanonical(headerAcceptEncoding))
		sc.buf = appendTag(sc.buf[:0], cache.ViewOf(a.Entry), packed)
		if err := checkIfMatch(&r.Request.Header, sc.buf); err != nil {
			return err
		}
	}
	r.tier = a.Tier
	var code hitCode
	if unpacked {
		code = s.writeUnpacked(r.RequestCtx, res, sc, a)
	} else {
		code = s.writeView(r.RequestCtx, res, sc, cache.ViewOf(a.Entry))
	}
	if code == hitOverBudget {
		return answersOverBudget()
	}
	sc.buf = a.AppendStatus(sc.buf[:0])
	r.Response.Header.SetCanonical(headerCacheStatus, sc.buf)
	if a.Detail != "" {
		// Stale or untracked: good for this reader, not for those behind a cache
		// in front.
		r.Response.Header.SetCanonical(headerCacheControl, valueNoStore)
	}
	return nil
}
