package handlers

import (
	"time"

	"hearth/cache"
	"hearth/internal/framing"
)

// missed is a request for a record that memory lacks: the first that a batch cannot answer.
type missed struct {
	route *fastRoute // nil: it is another kind of request
	framing.Plain
	length int // of the request in bytes
}

// answerMiss answers the first request of in, for a record that memory lacks, where one read of
// the shared tier is enough: that is nearly always so, and spares all that fasthttp does for a
// request. Whatever needs more than that is handed on, as if nothing had happened: a load, a
// wait, an error, a mark, a large record, a request that is to be logged.
//
// Unlike the rest of Answer it waits, as a handler does: so the connection is told that a
// request is at work, the server counts it, and it takes one of the places for work beyond
// memory. The key is in the scratch.
func (b *batch) answerMiss(in []byte) (answered int) {
	s, sc, route := b.s, b.sc, b.lacks.route
	if s.config.AccessSample > 0 || route.refuser != nil {
		return 0
	}
	if s.enter() != nil { // a reload has put another in its place
		return 0
	}
	defer s.leave()
	defer s.inFlight.Add(-1)
	if s.inFlight.Add(1) > int64(s.config.MaxInFlight) {
		return 0
	}
	key := string(sc.buf)
	if s.memory.KnownSize(key) != 0 {
		return 0
	}
	if conn, ok := b.conn.(watchedConn); ok {
		conn.Handling()
	}
	a, ok := s.memory.ReadAtOnce(s.deadlines.context(s.deps.Context, b.began, s.config.RequestTimeout), route.Resource, key)
	if !ok {
		return 0
	}
	p, at, elapsed := &b.lacks.Plain, len(b.out), time.Since(b.began)
	slow, id := s.config.Slow > 0 && elapsed >= s.config.Slow, p.RequestID
	if slow && len(id) == 0 {
		id = []byte(newID())
	}
	var code hitCode
	b.out, code = s.appendHit(b.out, sc, route.resource, p, cache.ViewOf(a.Entry), 0, sc.date.at(b.began), id, &a)
	route.metrics.count(a.Tier, code.status(), elapsed)
	if slow {
		b.log(in[:b.lacks.length], p, at, a.Tier, code, elapsed, id)
	}
	return b.lacks.length
}
