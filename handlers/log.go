package handlers

import (
	"context"
	"log/slog"
	"math/rand/v2"
	"net"
	"net/netip"
	"sync/atomic"
	"time"

	"github.com/valyala/fasthttp"

	"hearth/cache"
)

// log writes the one line of a request that went wrong. It alone tells the cause,
// which no client is told.
func (r *request) log(message string, status int, more ...slog.Attr) {
	attrs := append(r.server.attrs(eventOf(r.RequestCtx, r.tier, status, time.Since(r.Time()))), more...)
	if r.cause != nil {
		attrs = append(attrs, slog.String("error", r.cause.Error()))
	}
	r.server.deps.Log.LogAttrs(context.Background(), slog.LevelError, message, attrs...)
}

// watches tells whether a request without fault is logged all the same. It is
// all that the fast path spends on the log. With neither key set it reads two numbers
// and draws none.
func (s *Server) watches(elapsed time.Duration) bool {
	return s.config.Slow > 0 && elapsed >= s.config.Slow ||
		s.config.AccessSample > 0 && rand.Float64() < s.config.AccessSample
}

// logIfWatched logs a request without fault if it is slow or sampled. It may write to a
// disk, so the caller holds no pin.
func (s *Server) logIfWatched(ctx *fasthttp.RequestCtx, tier cache.Tier, elapsed time.Duration) {
	if s.watches(elapsed) {
		s.logWatched(ctx, tier, ctx.Response.StatusCode(), elapsed)
	}
}

// logWatched logs a slow or sampled request. It is kept apart from watches so that
// the fast path pays for a comparison and no more.
func (s *Server) logWatched(ctx *fasthttp.RequestCtx, tier cache.Tier, status int, elapsed time.Duration) {
	s.logEvent(eventOf(ctx, tier, status, elapsed))
}

// logEvent writes the line of a request that is slow, or else was sampled.
func (s *Server) logEvent(e event) {
	level, message := slog.LevelInfo, "request"
	if s.config.Slow > 0 && e.elapsed >= s.config.Slow {
		level, message = slog.LevelWarn, "slow request"
	}
	s.deps.Log.LogAttrs(context.Background(), level, message, s.attrs(e)...)
}

// event is what every line about a request tells of it.
type event struct {
	header  *fasthttp.RequestHeader
	peer    net.Addr
	path    []byte
	tier    cache.Tier
	status  int
	elapsed time.Duration
	sent    int    // bytes behind the header of the answer
	id      string // that the answer carries
}

// eventOf is the event of a request in fasthttp's hands. Its answer gets an id here, if it
// has none.
func eventOf(ctx *fasthttp.RequestCtx, tier cache.Tier, status int, elapsed time.Duration) event {
	return event{
		header: &ctx.Request.Header, peer: ctx.RemoteAddr(), path: ctx.URI().PathOriginal(), tier: tier,
		status: status, elapsed: elapsed, sent: sentBytes(ctx), id: answerID(ctx),
	}
}

// attrs are an event as the log has it. They never include the query: it may carry what
// belongs in no log.
func (s *Server) attrs(e event) []slog.Attr {
	const longest = 512
	client, _ := s.proxies.clientOf(e.peer, e.header)
	attrs := append(make([]slog.Attr, 0, 12), // with room for what callers add
		slog.String("method", string(e.header.Method())),
		slog.String("path", string(e.path[:min(len(e.path), longest)])),
		slog.Int("status", e.status),
		slog.Duration("duration", e.elapsed),
		slog.String("tier", e.tier.String()),
		slog.Int("bytes", e.sent),
		slog.String("client", clientText(client)),
		slog.String("request_id", e.id),
	)
	if _, id, ok := traceparentOf(e.header); ok {
		attrs = append(attrs, slog.String("trace_id", string(id)))
	}
	return attrs
}

// clientText names a client as limits tell clients apart: an IPv6 client is a /64,
// and a peer on a unix socket has no address.
func clientText(client netip.Addr) string {
	switch {
	case !client.IsValid():
		return "unix"
	case client.Is6():
		return netip.PrefixFrom(client, 64).String()
	}
	return client.String()
}

// failuresLogged is how many requests that failed are logged in a second. In an
// outage, and under overload, they are many and alike, and writing a line for
// each costs more than refusing it; metrics count them all. The next line that is
// written says how many were not.
const failuresLogged = 20

// failureLog lets so many lines pass in each second and counts the others. It takes
// no lock: who turns the second may race with those who count in it, which lets a
// line pass too many or too few, and nothing worse.
type failureLog struct {
	second, passed, unlogged atomic.Int64
}

// allow tells whether a line may be written now, and how many were not since
// the last one.
func (f *failureLog) allow(now time.Time) (unlogged int64, ok bool) {
	second := now.Unix()
	if was := f.second.Load(); was != second && f.second.CompareAndSwap(was, second) {
		f.passed.Store(0)
	}
	if f.passed.Add(1) > failuresLogged {
		f.unlogged.Add(1)
		return 0, false
	}
	return f.unlogged.Swap(0), true
}
