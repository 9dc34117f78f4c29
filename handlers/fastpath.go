package handlers

import (
	"bytes"

	"github.com/valyala/fasthttp"

	"hearth/internal/limit"
	"hearth/internal/source"
)

// fastPath answers a GET or HEAD from memory if it can do so without allocating.
// With done false nothing was written and the slow path has to answer; m then
// says which record is asked for, if that much is clear already.
//
// It reads the request line as it came: fasthttp's own path is normalised, and a
// normalised path may name another record than the client meant. The checks go
// from cheap to dear, and each hands what it does not know to the slow path, which
// checks everything again. Limits come before memory: a refused request must not
// even learn whether a record is there. They come after the checks of the header,
// since the slow path takes from them by itself.
//
// Nothing of the request outlives it: fasthttp uses its buffers again for the next
// one. target and raw alias the request line and are only read. The key is built in
// scratch; Look looks it up without keeping it. The answer consists of finished
// headers and a copy of the record, made while a pin keeps the record where it is. What a
// refresh keeps, key and arguments, is copied, and so is what a miss hands on of the limits.
//
// The map is looked up with string(…) of a slice in the index expression, which the
// compiler does without a copy.
func (s *Server) fastPath(ctx *fasthttp.RequestCtx) (m miss, done bool) {
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
	route := s.fastRoutes[string(target[:cut])]
	if route == nil {
		return miss{}, false
	}
	raw := target[cut:]
	if !route.kind.IsCanonical(raw) || route.shadowed(raw) || !endsAtHeader(req) || req.PeekCanonical(headerIfMatch) != nil {
		return miss{}, false
	}
	sc := s.scratch.Get().(*scratch)
	limited := len(route.limits) > 0
	if limited && s.tryLimits(ctx, route.limits, target, sc) != limit.Admitted {
		s.scratch.Put(sc)
		return miss{fastRoute: route, raw: raw}, false
	}
	sc.buf = route.key.One(sc.buf[:0], raw)
	// The clock was read after the last byte of the request came in. So a
	// process that was stopped and wakes up serves nothing on an old reading.
	pin := s.memory.Pin(uint32(sc.stripe))
	hit, ttl := s.memory.Look(route.Resource, sc.buf, ctx.Time())
	if !hit.Found() || hit.Large() { // large answers are counted, see largeBody
		m = miss{fastRoute: route, raw: raw, admitted: true, large: hit.Found()}
		pin.Release()
		if limited {
			m.rates = rateHeaders{bytes.Clone(sc.rates.state), bytes.Clone(sc.rates.policy)}
		}
		s.scratch.Put(sc)
		return m, false
	}
	if hit.RefreshDue(ttl) && s.memory.TakeRefresh(route.Resource, sc.buf, hit) {
		s.memory.Refresh(route.Resource, string(sc.buf), miss{fastRoute: route, raw: raw}.args(), hit.Entry())
	}
	s.answerHit(ctx, route.resource, sc, hit, ttl)
	pin.Release()
	if limited {
		sc.rates.write(&ctx.Response.Header)
	}
	s.scratch.Put(sc)
	return miss{}, true
}

// miss is a record that the fast path has not answered: its route, and the
// parameter, which aliases the request and is canonical. The zero miss is a request
// of which nothing is known, and which nothing was checked of.
type miss struct {
	*fastRoute
	raw      []byte
	large    bool        // memory has it
	admitted bool        // the limits that cover it have admitted it …
	rates    rateHeaders // … and say this
}

// args are the record's parameters. They alias no request. A value is parsed only
// here, for what goes on to a source: a hit needs its text and nothing more.
func (m miss) args() source.Args {
	v, reason := m.params[0].Parse(string(m.raw))
	if reason != "" {
		panic("BUG: a canonical parameter " + reason)
	}
	return source.Args{v.Arg}
}
