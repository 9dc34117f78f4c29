package handlers

import (
	"fmt"
	"log/slog"
	"runtime/debug"
	"time"

	"github.com/valyala/fasthttp"

	"hearth/cache"
)

// finish completes an answer of the slow path: the headers of every answer,
// the counts, and a log line where something went wrong.
func (r *request) finish() {
	s, status := r.server, r.Response.StatusCode()
	if !r.counted {
		s.finishHeaders(r, status)
		took := time.Since(r.Time())
		r.metrics.count(r.tier, status, took)
		if status < fasthttp.StatusInternalServerError && s.watches(took) {
			s.logWatched(r.RequestCtx, r.tier, status, took)
		}
	}
	if status < fasthttp.StatusInternalServerError || r.expected {
		return
	}
	if unlogged, ok := s.failures.allow(r.Time()); !ok {
		return
	} else if unlogged > 0 {
		r.log(slog.LevelError, "request failed", status, slog.Int64("unlogged", unlogged))
	} else {
		r.log(slog.LevelError, "request failed", status)
	}
}

func (s *Server) finishHeaders(r *request, status int) {
	h := &r.Response.Header
	if s.cors.varies() && len(h.PeekCanonical(headerVary)) == 0 {
		h.SetCanonical(headerVary, valueVaryOrigin)
	}
	s.cors.writeHeaders(r.RequestCtx)
	s.writeRequestHeaders(r.RequestCtx)
	if r.id != "" { // the source was told of it
		h.SetCanonical(headerRequestID, []byte(r.id))
	}
	r.rates.write(h)
	if status < fasthttp.StatusInternalServerError || r.expected {
		return
	}
	r.id = answerID(r.RequestCtx)
}

// answerID returns the id that the answer carries. One that carries none yet gets
// one: whoever looks for the cause of an answer needs a name for it.
func answerID(ctx *fasthttp.RequestCtx) string {
	if id := ctx.Response.Header.PeekCanonical(headerRequestID); len(id) > 0 {
		return string(id)
	}
	id := newID()
	ctx.Response.Header.SetCanonical(headerRequestID, []byte(id))
	return id
}

// rescue turns a panic into a 500. What the handler had written so far is
// dropped: half of an answer is worse than none.
func (s *Server) recoverPanic(ctx *fasthttp.RequestCtx) {
	fault := recover()
	if fault == nil {
		return
	}
	r, ok := ctx.UserValue(requestKey{}).(*request)
	if !ok {
		r = &request{RequestCtx: ctx, server: s, metrics: s.other}
	}
	r.counted, r.tier = false, cache.TierNone
	r.fail(fmt.Errorf("panic: %v", fault))
	status := r.Response.StatusCode()
	s.finishHeaders(r, status)
	r.metrics.count(r.tier, status, time.Since(r.Time()))
	r.log(slog.LevelError, "request panicked", status, slog.String("stack", string(debug.Stack())))
}
