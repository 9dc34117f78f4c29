// Package handlers is the public HTTP of Hearth: it finds the resource a path
// names, builds the record's key, asks the cache and shapes the answer.
//
// A request takes one of two ways that share nothing but the last step:
//
//	           ┌─ fastpath.go ───────────────────────────────┐
//	serve.go ──┤                                             ├── answer.go
//	           └─ framing.go ─ limits.go ─ routes.go ─┬─ read.go
//	              (the slow path)                     ├─ many.go, write.go
//	                                                  ├─ batch.go, counter.go
//	                                                  └─ fixed.go ── finish.go
//
// The fast path answers memory hits: it matches bytes of the request line, allocates
// nothing, and gives up on whatever is unusual. The slow path knows every rule and
// may be slow. So the one stays small enough to be read at a glance, and the other
// needs no tricks. What both must agree on (which record a path names, what limits
// cover it, when a request ends) is decided by the same functions.
//
// early.go answers what never gets to a handler, problem.go turns every error into
// what the client is told, and reload.go exchanges a Server under live connections.
package handlers

import (
	"math"

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
