package handlers

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net/netip"
	"runtime/debug"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/valyala/fasthttp"

	"hearth/cache"
)

// finish completes an answer of the slow path: the headers of every answer,
// the counts, and a log line where something went wrong.
func (c *call) finish() {
	s, status := c.server, c.Response.StatusCode()
	if !c.counted {
		s.finishHeaders(c, status)
		took := time.Since(c.Time())
		c.meter.count(c.tier, status, took)
		if status < fasthttp.StatusInternalServerError && s.watches(took) {
			s.logWatched(c.RequestCtx, c.tier, status, took)
		}
	}
	if status < fasthttp.StatusInternalServerError || c.expected {
		return
	}
	if unlogged, ok := s.failures.allow(c.Time()); !ok {
		return
	} else if unlogged > 0 {
		c.log(slog.LevelError, "request failed", status, slog.Int64("unlogged", unlogged))
	} else {
		c.log(slog.LevelError, "request failed", status)
	}
}

// failuresLogged is how many requests that failed are logged in a second. In an
// outage, and under overload, they are many and alike, and writing a line for
// each costs more than refusing it; metrics count them all.
const failuresLogged = 20

// failureLog lets so many lines pass in each second and counts the others.
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

func (s *Server) finishHeaders(c *call, status int) {
	h := &c.Response.Header
	if s.origins.varies() && len(h.PeekCanonical(headerVary)) == 0 {
		h.SetCanonical(headerVary, valueVaryOrigin)
	}
	s.origins.mark(c.RequestCtx)
	s.markRequest(c.RequestCtx)
	if c.id != "" { // the source was told of it
		h.SetCanonical(headerRequestID, []byte(c.id))
	}
	c.rates.write(h)
	if status < fasthttp.StatusInternalServerError || c.expected {
		return
	}
	c.id = answerID(c.RequestCtx)
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

// log writes the one line of a request that went wrong.
func (c *call) log(level slog.Level, message string, status int, more ...slog.Attr) {
	attrs := append(c.server.requestAttrs(c.RequestCtx, c.tier, status, time.Since(c.Time())), more...)
	if c.cause != nil {
		attrs = append(attrs, slog.String("error", c.cause.Error()))
	}
	c.server.deps.Log.LogAttrs(context.Background(), level, message, attrs...)
}

// requestAttrs are what every line about a request says. They never include the
// query: it may carry what belongs in no log.
func (s *Server) requestAttrs(ctx *fasthttp.RequestCtx, tier cache.Tier, status int, took time.Duration) []slog.Attr {
	path := ctx.URI().PathOriginal()
	const longest = 512
	if len(path) > longest {
		path = path[:longest]
	}
	client, _ := s.proxies.clientOf(ctx)
	attrs := append(make([]slog.Attr, 0, 12), // room for what else is to be said
		slog.String("method", string(ctx.Method())),
		slog.String("path", string(path)),
		slog.Int("status", status),
		slog.Duration("duration", took),
		slog.String("tier", tier.String()),
		slog.Int("bytes", bodyBytes(ctx, status)),
		slog.String("client", clientText(client)),
		slog.String("request_id", answerID(ctx)),
	)
	if _, id, ok := traceparentOf(&ctx.Request.Header); ok {
		attrs = append(attrs, slog.String("trace_id", string(id)))
	}
	return attrs
}

// bodyBytes is how many bytes follow the header of the answer.
func bodyBytes(ctx *fasthttp.RequestCtx, status int) int {
	if ctx.IsHead() || status == fasthttp.StatusNoContent || status == fasthttp.StatusNotModified {
		return 0
	}
	if p, ok := ctx.Response.BodyStream().(*parcel); ok {
		return p.size
	}
	return len(ctx.Response.Body())
}

// clientText names a client as limits tell clients apart.
func clientText(client netip.Addr) string {
	switch {
	case !client.IsValid():
		return "unix"
	case client.Is6():
		return netip.PrefixFrom(client, 64).String()
	}
	return client.String()
}

// watches tells whether a request without fault is logged all the same. It is
// all that the fast path spends on the log.
func (s *Server) watches(took time.Duration) bool {
	return s.config.Slow > 0 && took >= s.config.Slow ||
		s.config.AccessSample > 0 && rand.Float64() < s.config.AccessSample
}

// watch logs a slow or sampled hit of memory.
func (s *Server) watch(ctx *fasthttp.RequestCtx, status int, took time.Duration) {
	s.logWatched(ctx, cache.TierMemory, status, took)
}

func (s *Server) logWatched(ctx *fasthttp.RequestCtx, tier cache.Tier, status int, took time.Duration) {
	level, message := slog.LevelInfo, "request"
	if s.config.Slow > 0 && took >= s.config.Slow {
		level, message = slog.LevelWarn, "slow request"
	}
	s.deps.Log.LogAttrs(context.Background(), level, message, s.requestAttrs(ctx, tier, status, took)...)
}

// rescue turns a panic into a 500. What the handler had written so far is
// dropped: half of an answer is worse than none.
func (s *Server) rescue(ctx *fasthttp.RequestCtx) {
	fault := recover()
	if fault == nil {
		return
	}
	c, ok := ctx.UserValue(callKey{}).(*call)
	if !ok {
		c = &call{RequestCtx: ctx, server: s, meter: s.other}
	}
	c.counted, c.tier = false, cache.TierNone
	c.fail(fmt.Errorf("panic: %v", fault))
	status := c.Response.StatusCode()
	s.finishHeaders(c, status)
	c.meter.count(c.tier, status, time.Since(c.Time()))
	c.log(slog.LevelError, "request panicked", status, slog.String("stack", string(debug.Stack())))
}

// refuseUnread answers what fasthttp could not read as a request. Its own
// texts are plain and some of them quote the request.
func (s *Server) refuseUnread(ctx *fasthttp.RequestCtx, err error) {
	p := refuse(fasthttp.StatusBadRequest, "the request is not valid HTTP/1.1")
	var wait interface {
		error
		Timeout() bool
	}
	if _, small := errors.AsType[*fasthttp.ErrSmallBuffer](err); small {
		p = refuse(fasthttp.StatusRequestHeaderFieldsTooLarge,
			"request line and headers must not exceed "+strconv.Itoa(s.config.MaxHeader)+" bytes together (server.max_header)")
	} else if errors.Is(err, fasthttp.ErrBodyTooLarge) {
		p = refuse(fasthttp.StatusRequestEntityTooLarge,
			"the body must not exceed "+strconv.Itoa(s.config.MaxBody)+" bytes (server.max_body); send it in parts")
	} else if errors.As(err, &wait) && wait.Timeout() {
		p = refuse(fasthttp.StatusRequestTimeout, "the request did not arrive in time; send it again")
	}
	s.refuseEarly(ctx, p)
}

// wireLog takes what fasthttp has to say about connections. None of it is
// about a fault of this server, hence the level.
type wireLog struct{ *slog.Logger }

// Printf implements fasthttp.Logger. An error about what is no HTTP quotes the
// target, or the value of a header, that it is about; neither may be logged.
func (l wireLog) Printf(format string, args ...any) {
	said := make([]any, len(args))
	for i, arg := range args {
		if err, ok := arg.(error); ok {
			text, _, quotes := strings.Cut(err.Error(), `"`)
			if quotes {
				text += "…"
			}
			arg = text
		}
		said[i] = arg
	}
	l.Debug("connection", slog.String("event", fmt.Sprintf(format, said...)))
}
