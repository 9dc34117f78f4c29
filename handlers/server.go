package handlers

import (
	"context"
	"sync"
	"sync/atomic"

	"github.com/valyala/fasthttp"

	"hearth/cache"
	"hearth/internal/auth"
	"hearth/internal/metrics"
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

type counts interface {
	Increment(ctx context.Context, key string) (int64, error)
	Count(ctx context.Context, key string) (int64, error)
}

// Server answers the public requests of one configuration. It is immutable
// but for its counts and safe for concurrent use; a reload builds a new one.
// It starts no goroutine.
type Server struct {
	config   Config
	deps     Deps
	memory   *cache.Cache // the fast path's way to it: a concrete type, so that nothing escapes
	reads    reader
	writes   writer
	counters counts

	limits     []*limitRule
	proxies    *proxies
	untrusted  *untrustedLog
	fastRoutes map[string]*fastRoute // by the path up to its last slash, that included
	router     fasthttp.RequestHandler
	routes     []route  // every route, with who may call it
	targets    []target // every record, for operators
	cors       corsPolicy
	hosts      auth.Hosts      // under which web pages may write to this machine
	other      *requestMetrics // requests that concern no resource

	active    atomic.Int64           // requests on the slow path; see Switch
	successor atomic.Pointer[Server] // the one that a reload has put in this one's place

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
	rates   rateHeaders
	stripe  metrics.Stripe
}
