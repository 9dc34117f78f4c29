package handlers

import (
	"bytes"
	"strconv"
	"time"

	"github.com/valyala/fasthttp"

	"hearth/cache"
	"hearth/internal/limit"
	"hearth/internal/source"
)

// hot answers a GET or HEAD from memory if it can do so without allocating.
// With done false nothing was written and the slow path has to answer; m then
// says which record is asked for, if that much is clear already.
//
// It reads the request line as it came: fasthttp's own path is normalised,
// and a normalised path may name another record than the client meant.
func (s *Server) hot(ctx *fasthttp.RequestCtx) (m miss, done bool) {
	req := &ctx.Request.Header
	if !req.IsGet() && !req.IsHead() {
		return miss{}, false
	}
	target := req.RequestURI()
	if i := bytes.IndexByte(target, '?'); i >= 0 {
		if bytes.IndexByte(target[i:], '#') >= 0 {
			return miss{}, false
		}
		target = target[:i]
	}
	cut := bytes.LastIndexByte(target, '/') + 1
	route := s.hots[string(target[:cut])]
	if route == nil {
		return miss{}, false
	}
	raw := target[cut:]
	if !route.kind.IsCanonical(raw) || route.shadowed(raw) || !plain(req) || req.PeekCanonical(headerIfMatch) != nil {
		return miss{}, false
	}
	sc := s.scratch.Get().(*scratch)
	limited := len(route.quotas) > 0
	if limited && s.tryQuotas(ctx, route.quotas, target, sc) != limit.Admitted {
		s.scratch.Put(sc)
		return miss{hotRoute: route, raw: raw}, false
	}
	sc.buf = route.key.One(sc.buf[:0], raw)
	// The clock was read after the last byte of the request came in. So a
	// process that was stopped and wakes up serves nothing on an old reading.
	entry, ttl := s.memory.Hit(route.Resource, sc.buf, ctx.Time())
	if entry == nil || entry.Large() { // large answers are kept account of, see parcel
		m = miss{hotRoute: route, raw: raw, admitted: true, large: entry != nil}
		if limited {
			m.rates = rates{bytes.Clone(sc.rates.state), bytes.Clone(sc.rates.policy)}
		}
		s.scratch.Put(sc)
		return m, false
	}
	if entry.Due(ttl) && s.memory.TakeRefresh(route.Resource, entry) {
		s.memory.Refresh(route.Resource, string(sc.buf), miss{hotRoute: route, raw: raw}.args(), entry)
	}
	s.answerHit(ctx, route.record, sc, entry, ttl)
	if limited {
		sc.rates.write(&ctx.Response.Header)
	}
	s.scratch.Put(sc)
	return miss{}, true
}

// miss is a record that the fast path has not answered: its route, and the
// parameter, which aliases the request and is canonical.
type miss struct {
	*hotRoute
	raw      []byte
	large    bool  // memory has it
	admitted bool  // the limits that cover it have admitted it …
	rates    rates // … and say this
}

// args are the record's parameters. They alias no request.
func (m miss) args() source.Args {
	v, reason := m.params[0].Parse(string(m.raw))
	if reason != "" {
		panic("BUG: a canonical parameter " + reason)
	}
	return source.Args{v.Arg}
}

// answerHit writes a fresh entry of memory and counts it. false means that there
// is no room for a large one, and nothing was counted.
func (s *Server) answerHit(ctx *fasthttp.RequestCtx, rec *record, sc *scratch, entry *cache.Entry, ttl time.Duration) bool {
	code := s.writeEntry(ctx, rec, sc, entry)
	if code == hitCongested {
		return false
	}
	sc.buf = append(sc.buf[:0], valueMemoryHit...)
	sc.buf = strconv.AppendInt(sc.buf, int64(ttl/time.Second), 10)
	ctx.Response.Header.SetCanonical(headerCacheStatus, sc.buf)
	s.origins.mark(ctx)
	s.markRequest(ctx)
	took := time.Since(ctx.Time())
	rec.meter.hit(sc.stripe, code, took)
	if s.watches(took) {
		s.watch(ctx, code.status(), took)
	}
	return true
}

// writeEntry answers with an entry as it lies in memory: the record, "not
// modified", or the 404. It begins the header anew; Cache-Status is the
// caller's.
func (s *Server) writeEntry(ctx *fasthttp.RequestCtx, rec *record, sc *scratch, entry *cache.Entry) hitCode {
	h := &ctx.Response.Header
	if entry.Missing() {
		rec.shapes.missing.CopyTo(h)
		ctx.Response.SetBodyRaw(rec.missing)
		return hitMissing
	}
	body := entry.Body()
	compressed := entry.Gzip()
	if compressed != nil {
		rec.shapes.packed.CopyTo(h)
	} else {
		rec.shapes.plain.CopyTo(h)
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
		return hitCongested
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

// markRequest adds what depends on the request and the state of the process
// alone, whichever way the answer took.
func (s *Server) markRequest(ctx *fasthttp.RequestCtx) {
	if id := ctx.Request.Header.PeekCanonical(headerRequestID); len(id) > 0 {
		s.echoID(ctx, id)
	}
	if s.deps.State() == Draining {
		ctx.Response.SetConnectionClose()
	}
}
