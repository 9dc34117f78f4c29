package handlers

import (
	"context"
	"sync"
	"sync/atomic"
	"time"

	"github.com/valyala/fasthttp"

	"hearth/cache"
	"hearth/internal/auth"
	"hearth/internal/jsonvalue"
	"hearth/internal/metrics"
	"hearth/internal/source"
)

// reader, writer and counts are what the slow path asks of the cache: small
// enough that a test can make one fail or wait. The fast path calls the cache
// itself, since a call through an interface would let its arguments escape to the
// heap.
type reader interface {
	Read(ctx context.Context, r *cache.Resource, key string, args source.Args) (cache.Answer, error)
	ReadFresh(ctx context.Context, r *cache.Resource, key string, args source.Args, d cache.Demand) (cache.Answer, error)
	ReadMany(ctx context.Context, r *cache.Resource, keys []string, args []source.Args) ([]cache.Answer, error)
}

type writer interface {
	Put(ctx context.Context, r *cache.Resource, key string, args source.Args, body jsonvalue.Node) (cache.Answer, error)
	Delete(ctx context.Context, r *cache.Resource, key string, args source.Args) error
	Store(ctx context.Context, items []cache.Item, ttl time.Duration) (errs []error)
}

type counts interface {
	Increment(ctx context.Context, key string) (int64, error)
	Count(ctx context.Context, key string) (int64, error)
}

// Server answers the public requests of one configuration. It is immutable
// but for its counts and safe for concurrent use; a reload builds a new one.
// It starts no goroutine. Its fields stand in groups: what it was built from and the
// tiers; who may ask, and how often; what is served; what happens at a reload; what
// requests share while they are answered.
type Server struct {
	config   Config
	deps     Deps
	memory   *cache.Cache // the fast path's way to it: a concrete type, so that nothing escapes
	reads    reader
	writes   writer
	counters counts

	limits    []*limitRule
	proxies   *proxies
	untrusted *untrustedLog
	cors      corsPolicy
	hosts     auth.Hosts // under which web pages may write to this machine
	fresh     freshness

	resources  []*resource
	fastRoutes map[string]*fastRoute // by the path up to its last slash, that included
	routes     []route               // all of them, with who may call each
	literals   map[string]struct{}   // paths with a GET that name no record
	router     fasthttp.RequestHandler
	finder     fasthttp.RequestHandler // see Find
	other      *requestMetrics         // of requests that concern no resource

	active    atomic.Int64           // requests on the slow path; see enter
	successor atomic.Pointer[Server] // what a reload has put in its place

	scratch   sync.Pool    // of *scratch
	inFlight  atomic.Int64 // requests at work beyond memory
	failures  failureLog
	deadlines deadlines
}

// route is what is served under a path, and the scope of the token that it takes
// where tokens are configured. A test goes through all routes and holds their scopes
// against a list of its own.
type route struct {
	method, path string
	scope        auth.Scope
}

// scratch is what one hit needs besides the request: buffers that grow once and
// are used again. A pool keeps one per processor, and so the metrics' stripe that is
// kept in it belongs to one processor, too. What is built in a scratch must be
// copied before the scratch is given back.
type scratch struct {
	buf     []byte
	subject []byte // what a limit counts
	rates   rateHeaders
	stripe  metrics.Stripe
	date    dateLine
	tallies []tally
}

// Busy tells whether requests are at work on a Server that was swapped for
// another: what it works with must not be closed before. Once false it stays
// so, since a request that comes late goes on to the successor.
//
// A request counts itself before it looks for a successor, and the successor is
// set before anybody asks for the count. So either the request sees the successor,
// or Busy sees the request. Memory hits are not counted: they touch nothing that
// is ever closed.
func (s *Server) Busy() bool { return s.active.Load() != 0 }

// enter counts a request on the slow path, unless a successor is to have it.
func (s *Server) enter() (successor *Server) {
	s.active.Add(1)
	if next := s.successor.Load(); next != nil {
		s.active.Add(-1)
		return next
	}
	return nil
}

// leave ends what enter has begun.
func (s *Server) leave() { s.active.Add(-1) }
