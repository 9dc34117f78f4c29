// Package handlers is the public HTTP of Hearth: it finds the resource a path
// names, builds the record's key, asks the cache and shapes the answer.
//
// A request takes one of three ways that share nothing but the last step:
//
//	wirepath.go ── wirehead.go
//	    │
//	 fasthttp  ┌─ fastpath.go ───────────────────────────────┐
//	    │      │                                             ├── answer.go
//	serve.go ──┴─ framing.go ─ limits.go ─ routes.go ─┬─ read.go
//	              (the slow path)                     ├─ demand.go, many.go, write.go
//	                                                  ├─ batch.go, counter.go
//	                                                  └─ fixed.go ── finish.go
//
// The wire path answers memory hits from the bytes of a connection, before fasthttp sees
// them. The fast path answers those that need fasthttp's reading: it matches bytes of the
// request line. Both allocate nothing, and give up on whatever is unusual. The slow path knows
// every rule and may be slow. So the first two stay small enough to be read at a glance, and
// the last needs no tricks. What they must agree on (which record a path names, what limits
// cover it, when a request ends) is decided by the same functions, or held together by tests.
//
// early.go answers what never gets to a handler, problem.go turns every error into
// what the client is told, and reload.go exchanges a Server under live connections.
package handlers

import (
	"math"
	"sync/atomic"

	"github.com/valyala/fasthttp"

	"hearth/internal/auth"
	"hearth/internal/budget"
)

// New returns a Server. It panics on a Config that contradicts itself, which
// a validated configuration file cannot bring about.
func New(config Config, deps Deps) *Server {
	if len(config.Limits) > maxLimits {
		panic("BUG: more limits than one request may be covered by")
	}
	if deps.Bodies == nil {
		deps.Bodies = budget.New(math.MaxInt64 / 2)
	}
	s := &Server{
		config: config, deps: deps,
		memory: deps.Cache, reads: deps.Cache, writes: deps.Cache, counters: deps.Cache,
		proxies: newProxies(config.TrustedProxies), untrusted: newUntrustedLog(deps.Log),
		cors: newCORSPolicy(config.CORS), hosts: auth.NewHosts(config.Hosts),
		fresh:      newFreshness(config, deps),
		fastRoutes: map[string]*fastRoute{},
		other:      newColdMetrics(deps.Metrics, ""),
	}
	s.scratch.New = func() any {
		return &scratch{buf: make([]byte, 0, 1024), stripe: deps.Metrics.Stripe()}
	}
	for _, l := range config.Limits {
		s.limits = append(s.limits, newLimitRule(l))
	}
	s.buildRoutes()
	return s
}

// writeBuffer holds the answers to 16 small pipelined requests, so that they
// leave in one write.
const writeBuffer = 8 << 10

// Configure sets the limits, timeouts and the error handler that Handler
// relies on. Call it before srv serves; it leaves Handler itself to the
// caller, who may swap Servers at a reload.
func (s *Server) Configure(srv *fasthttp.Server) {
	srv.ErrorHandler = s.refuseUnreadable
	srv.ExpectHandler = s.expect
	srv.HeaderReceived = hideContent
	srv.ReadBufferSize = s.config.MaxHeader
	srv.MaxRequestBodySize = s.config.MaxBody
	srv.StreamRequestBody = true // see readBody
	srv.ReadTimeout = s.config.ReadTimeout
	srv.WriteTimeout = s.config.WriteTimeout
	srv.IdleTimeout = s.config.IdleTimeout
	srv.Concurrency = s.config.MaxConnections
	srv.WriteBufferSize = writeBuffer
	srv.NoDefaultServerHeader = true
	srv.NoDefaultContentType = true
	srv.DisablePreParseMultipartForm = true
	srv.SecureErrorLogMessage = true
	srv.CloseOnShutdown = true
	srv.Logger = wireLog{s.deps.Log}
}

// Handler answers every request of the public listener.
func (s *Server) Handler() fasthttp.RequestHandler { return s.serve }

// Reloadable is the handler of a listener whose configuration can change: each
// request goes to the Server that is current then. Connections, and fasthttp's
// server, outlive the Servers. It is safe for concurrent use.
type Reloadable struct{ current atomic.Pointer[Server] }

// NewReloadable returns a Reloadable that begins with s.
func NewReloadable(s *Server) *Reloadable {
	w := &Reloadable{}
	w.current.Store(s)
	return w
}

// Current is the Server that takes requests now.
func (w *Reloadable) Current() *Server { return w.current.Load() }

// Swap makes next take the requests from now on. The Server before it answers
// what it has begun; see Server.Busy. A request that has loaded the old Server, but
// not entered it yet, is passed on by it: see Server.enter.
func (w *Reloadable) Swap(next *Server) {
	w.current.Swap(next).successor.Store(next)
}

// Configure sets up srv once, before it serves. MaxHeader, MaxBody and
// MaxConnections are the first Server's for good, because fasthttp reads them
// without a lock.
func (w *Reloadable) Configure(srv *fasthttp.Server) {
	w.Current().Configure(srv)
	srv.Handler = func(ctx *fasthttp.RequestCtx) { w.current.Load().serve(ctx) }
	srv.ErrorHandler = func(ctx *fasthttp.RequestCtx, err error) { w.current.Load().refuseUnreadable(ctx, err) }
	srv.ExpectHandler = func(ctx *fasthttp.RequestCtx) int { return w.current.Load().expect(ctx) }
}
