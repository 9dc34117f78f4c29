// Package handlers is the public HTTP of Hearth: it finds the resource a path
// names, builds the record's key, asks the cache and shapes the answer.
//
// A read that memory can answer and any other request take two ways that
// share nothing but the last step. The first, in hot.go, matches bytes of the
// request line and allocates nothing; it gives up on whatever is unusual. The
// second goes through a router, knows every rule, and may be slow. So the one
// stays small enough to be read at a glance, and the other needs no tricks.
package handlers

import (
	"bytes"
	"context"
	"math"
	"sync"
	"sync/atomic"

	"github.com/valyala/fasthttp"

	"hearth/cache"
	"hearth/internal/auth"
	"hearth/internal/metrics"
	"hearth/internal/room"
	"hearth/internal/source"
)

// reader, writer and tally are what the slow path asks of the cache. The fast
// path calls the cache itself.
type reader interface {
	Read(ctx context.Context, r *cache.Resource, key string, args source.Args) (cache.Answer, error)
	ReadMany(ctx context.Context, r *cache.Resource, keys []string, args []source.Args) ([]cache.Answer, error)
}

type writer interface {
	Put(ctx context.Context, r *cache.Resource, key string, args source.Args, body []byte) (cache.Answer, error)
	Delete(ctx context.Context, r *cache.Resource, key string, args source.Args) error
	Store(ctx context.Context, items []cache.Item) (errs []error)
}

type tally interface {
	Increment(ctx context.Context, key string) (int64, error)
	Count(ctx context.Context, key string) (int64, error)
}

// Server answers the public requests of one configuration. It is immutable
// but for its counts and safe for concurrent use; a reload builds a new one.
// It starts no goroutine.
type Server struct {
	config  Config
	deps    Deps
	memory  *cache.Cache // the fast path's way to it: a concrete type, so that nothing escapes
	reads   reader
	writes  writer
	tallies tally

	quotas  []*quota
	proxies *proxies
	foreign *foreignLog
	hots    map[string]*hotRoute // by the path up to its last slash, that included
	route   fasthttp.RequestHandler
	table   []row    // every route, with who may call it
	targets []target // every record, for operators
	origins origins
	hosts   auth.Hosts // under which web pages may write to this machine
	other   *meter     // requests that concern no resource

	users atomic.Int64           // requests on the slow path; see Switch
	next  atomic.Pointer[Server] // the one that a reload has put in this one's place

	scratch   sync.Pool    // of *scratch
	inFlight  atomic.Int64 // requests at work beyond memory
	failures  failureLog
	deadlines deadlines
}

// scratch is what one hit needs besides the request. As the pool keeps one
// per processor, so does the stripe kept in it.
type scratch struct {
	buf     []byte
	subject []byte // what a limit counts
	rates   rates
	stripe  metrics.Stripe
}

// New returns a Server. It panics on a Config that contradicts itself, which
// a validated configuration file cannot bring about.
func New(config Config, deps Deps) *Server {
	s := &Server{
		config: config.withDefaults(), deps: deps,
		memory: deps.Cache, reads: deps.Cache, writes: deps.Cache, tallies: deps.Cache,
		origins: newOrigins(config.CORS), hosts: auth.NewHosts(config.Hosts),
		other:   newBareMeter(deps.Metrics, ""),
		proxies: newProxies(config.TrustedProxies), foreign: newForeignLog(deps.Log),
	}
	if s.deps.Bodies == nil {
		s.deps.Bodies = room.New(math.MaxInt64 / 2)
	}
	s.scratch.New = func() any {
		return &scratch{buf: make([]byte, 0, 1024), stripe: deps.Metrics.Stripe()}
	}
	if len(config.Limits) > maxQuotas {
		panic("BUG: more limits than one request may be covered by")
	}
	for _, l := range config.Limits {
		s.quotas = append(s.quotas, newQuota(l))
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
	srv.ErrorHandler = s.refuseUnread
	srv.ExpectHandler = s.expect
	srv.HeaderReceived = withhold
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

func (s *Server) serve(ctx *fasthttp.RequestCtx) {
	// fasthttp recovers nothing: without this one bad request ends the process.
	defer s.rescue(ctx)
	conn, watched := ctx.Conn().(watchedConn)
	m, done := s.hot(ctx)
	if !done {
		if watched {
			conn.Handling()
		}
		s.slow(ctx, m)
	}
	if watched {
		conn.Writing()
		if done && ctx.Request.Header.ConnectionClose() {
			conn.Last()
		}
	}
}

// watchedConn is a connection on which somebody looks out for slow peers and
// wants to know when it is not the peer that is slow.
type watchedConn interface {
	Reading()
	Handling()
	Writing()
	Last()      // the peer has sent its last request, all of it
	Skip(n int) // bytes of content that are still to come, and that nobody wants
}

// slow answers what memory cannot, or not cheaply. A record that the fast path
// has found already need not go through the router again.
func (s *Server) slow(ctx *fasthttp.RequestCtx, m miss) {
	if next := s.begin(); next != nil {
		next.slow(ctx, miss{})
		return
	}
	defer s.end()
	c := s.newCall(ctx, m)
	if m.hotRoute == nil { // else the fast path has looked already
		var err error
		if c.content, err = inspect(&ctx.Request.Header); err != nil {
			c.expected = true // 501 and 505 are no fault of this server
			c.fail(err)
			c.finish()
			return
		}
	}
	defer c.settle()
	defer c.giveRoom()
	if !c.admitted && len(s.quotas) > 0 {
		if err := s.admit(c); err != nil {
			if m.hotRoute != nil {
				c.meter = m.meter
			}
			c.fail(err)
			c.finish()
			return
		}
		c.admitted = true
	}
	if m.hotRoute != nil {
		if err := s.readMiss(c, m); err != nil {
			c.fail(err)
		}
	} else if isPath(ctx) {
		s.route(ctx)
	} else {
		c.fail(notFound())
	}
	if c.wanted && c.asking {
		c.Response.Reset() // it said that nothing is decided yet
		return
	}
	c.finish()
}

// newCall makes the call of a request, or takes the one that expect has made.
func (s *Server) newCall(ctx *fasthttp.RequestCtx, m miss) *call {
	c, ok := ctx.UserValue(callKey{}).(*call)
	if !ok || !c.asking {
		c = &call{RequestCtx: ctx, admitted: m.admitted, rates: m.rates}
		ctx.SetUserValue(callKey{}, c)
	}
	if c.wanted { // so it was asked for, and this is the request with its content
		c.asking, c.wanted = false, false
	}
	c.server, c.meter, c.cause = s, s.other, nil
	return c
}

// isPath keeps paths from the router that it would read otherwise than the
// client meant them: "//host/…" names a host to fasthttp, and an empty
// segment, trailing slashes included, is an empty parameter.
func isPath(ctx *fasthttp.RequestCtx) bool {
	if bytes.HasPrefix(ctx.Request.Header.RequestURI(), twoSlashes) {
		return false
	}
	path := ctx.URI().PathOriginal()
	return len(path) <= 1 || path[len(path)-1] != '/' && !bytes.Contains(path, twoSlashes)
}

var twoSlashes = []byte("//")
