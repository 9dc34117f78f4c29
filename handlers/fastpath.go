package handlers

import (
	"bytes"
	"time"

	"github.com/valyala/fasthttp"

	"hearth/cache"
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
	route, raw := s.recordAt(target)
	if route == nil {
		return miss{}, false
	}
	asks, ends := endsAtHeader(req)
	if !ends || req.PeekCanonical(headerIfMatch) != nil {
		return miss{}, false
	}
	if s.fresh.asking[asks] {
		return miss{fastRoute: route, raw: raw}, false
	}
	sc := s.scratch.Get().(*scratch)
	limited := len(route.limits) > 0
	if limited && s.tryLimits(ctx, route.limits, pathOf(target), sc) != limit.Admitted {
		s.scratch.Put(sc)
		return miss{fastRoute: route, raw: raw}, false
	}
	sc.buf = route.key.One(sc.buf[:0], raw)
	elapsed, done, large := s.answerSmall(ctx, route, raw, sc)
	if !done {
		m = miss{fastRoute: route, raw: raw, admitted: true, large: large}
	}
	switch {
	case !limited:
	case done:
		sc.rates.write(&ctx.Response.Header)
	default:
		m.rates = rateHeaders{bytes.Clone(sc.rates.state), bytes.Clone(sc.rates.policy)}
	}
	s.scratch.Put(sc)
	if done {
		s.logIfWatched(ctx, cache.TierMemory, elapsed)
	}
	return m, done
}

// answerSmall looks the key in sc.buf up and answers with what it finds, under one pin, which
// also ends should this panic. A large record is left to the slow path, where it is counted;
// see largeBody.
func (s *Server) answerSmall(ctx *fasthttp.RequestCtx, route *fastRoute, raw []byte, sc *scratch) (elapsed time.Duration, done, large bool) {
	pin := s.memory.Pin(uint32(sc.stripe))
	defer pin.Release()
	// The clock was read after the last byte of the request came in. So a
	// process that was stopped and wakes up serves nothing on an old reading.
	hit, ttl := s.memory.Look(route.Resource, sc.buf, ctx.Time())
	if !hit.Found() || hit.Large() {
		return 0, false, hit.Found()
	}
	s.refreshIfDue(route, raw, sc.buf, hit, ttl)
	elapsed, done = s.answerHit(ctx, route.resource, sc, hit, ttl)
	return elapsed, done, false
}

// recordAt finds the record that a target names, if memory can answer it: one parameter in
// its canonical spelling behind a literal prefix. A nil route says that it names another
// thing, or one in another spelling.
func (s *Server) recordAt(target []byte) (route *fastRoute, raw []byte) {
	path := pathOf(target)
	if bytes.IndexByte(target[len(path):], '#') >= 0 {
		return nil, nil
	}
	cut := bytes.LastIndexByte(path, '/') + 1
	route = s.fastRoutes[string(path[:cut])]
	if route == nil {
		return nil, nil
	}
	raw = path[cut:]
	if !route.kind.IsCanonical(raw) || route.shadowed(raw) {
		return nil, nil
	}
	return route, raw
}

// pathOf is a target without its query.
func pathOf(target []byte) []byte {
	if i := bytes.IndexByte(target, '?'); i >= 0 {
		return target[:i]
	}
	return target
}

// refreshIfDue has a record loaded anew, should it be time for that and this reader's turn.
// What the refresh keeps is copied.
func (s *Server) refreshIfDue(route *fastRoute, raw, key []byte, hit cache.View, ttl time.Duration) {
	if hit.RefreshDue(ttl) && s.memory.TakeRefresh(route.Resource, key, hit) {
		s.memory.Refresh(route.Resource, string(key), miss{fastRoute: route, raw: raw}.args(), hit.Entry())
	}
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
	return source.Args{m.kind.Arg(m.raw)}
}
