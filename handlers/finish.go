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
// the counts, and a log line where something went wrong. An answer that memory gave
// has its headers and is counted already. The time ends here, before the answer is
// sent: what follows is the peer's speed and not this server's.
func (r *request) finish() {
	s, status := r.server, r.Response.StatusCode()
	failed := status >= fasthttp.StatusInternalServerError
	if !r.counted {
		r.finishHeaders(failed && !r.expected)
		elapsed := time.Since(r.Time())
		r.metrics.count(r.tier, status, elapsed)
		if !failed {
			s.logIfWatched(r.RequestCtx, r.tier, elapsed)
		}
	}
	if !failed || r.expected {
		return
	}
	switch unlogged, ok := s.failures.allow(r.Time()); {
	case !ok:
	case unlogged > 0:
		r.log("request failed", status, slog.Int64("unlogged", unlogged))
	default:
		r.log("request failed", status)
	}
}

// finishHeaders writes the headers of every answer. One that failed always has an
// id, by which it is found in the log.
func (r *request) finishHeaders(failed bool) {
	s, h := r.server, &r.Response.Header
	if len(h.PeekCanonical(headerVary)) == 0 {
		s.cors.vary(h, false, false)
	}
	s.cors.writeHeaders(r.RequestCtx)
	echoRequestID(r.RequestCtx)
	s.closeWhenDraining(r.RequestCtx)
	if r.id != "" { // the source was told of it
		h.SetCanonical(headerRequestID, []byte(r.id))
	}
	r.rates.write(h)
	if failed {
		r.id = answerID(r.RequestCtx)
	}
}

// recoverPanic turns a panic into a 500. What the handler had written so far is
// dropped: half of an answer is worse than none. The panic may come from before the
// request had any state, or from the fast path; then it gets the state it needs here.
func (s *Server) recoverPanic(ctx *fasthttp.RequestCtx) {
	fault := recover()
	if fault == nil {
		return
	}
	r, ok := ctx.UserValue(requestKey{}).(*request)
	if !ok {
		r = &request{RequestCtx: ctx, server: s, metrics: s.other}
	}
	r.tier = cache.TierNone
	r.fail(fmt.Errorf("panic: %v", fault))
	r.finishHeaders(true)
	status := r.Response.StatusCode()
	r.metrics.count(r.tier, status, time.Since(r.Time()))
	r.log("request panicked", status, slog.String("stack", string(debug.Stack())))
}
