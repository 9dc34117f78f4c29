package handlers

import (
	"context"
	"log/slog"
	"net/netip"
	"time"

	"hearth/cache"
	"hearth/internal/auth"
	"hearth/internal/budget"
	"hearth/internal/limit"
	"hearth/internal/metrics"
	"hearth/internal/param"
)

// Config says what is served and what one request may cost. It is plain data
// which the caller maps from its configuration file and has validated: New
// treats a contradiction in it as a bug.
type Config struct {
	Resources []Resource
	Counters  []Counter
	Batches   []Batch
	CORS      CORS
	Docs      Docs
	Limits    []Limit // at most 64; all that cover a request have to admit it
	// TrustedProxies are the networks of load balancers whose X-Forwarded-For is
	// believed.
	TrustedProxies []netip.Prefix
	// Hosts are the names besides localhost and addresses under which web pages
	// may write to a server on their own machine while there is no token
	// (server.admin_hosts).
	Hosts []string

	// Honor says whose Cache-Control counts, and FreshRate how many loads a second that
	// may cause; 0: no bound.
	Honor     Honor
	FreshRate float64

	MaxHeader      int // bytes of request line and headers
	MaxBody        int // bytes of a request body
	MaxItems       int // items of one batch
	MaxMany        int // ids of one many-read
	MaxInFlight    int // requests at work beyond memory at one time
	MaxConnections int // open connections; 0: fasthttp's own default

	ReadTimeout    time.Duration // first byte to whole request
	WriteTimeout   time.Duration // of one answer
	IdleTimeout    time.Duration // between two requests of a connection
	RequestTimeout time.Duration // for the work of one request

	Slow         time.Duration // requests that take longer are logged; 0: none
	AccessSample float64       // share of all requests that is logged, 0 to 1
}

// Resource is a resource and the path its records live under.
type Resource struct {
	Cache        *cache.Resource
	Path         []param.Segment // between the slashes of /user/{user_id}
	Key          []param.Part
	CacheControl string // of its answers
	CanPut       bool
	CanDelete    bool
	ManyRead     bool // serve the path without its last segment; needs exactly one parameter, in that segment
}

// Counter is a path that counts its requests in the shared tier, so that its count is
// that of the fleet.
type Counter struct {
	Path string
	Key  string
	Work time.Duration // simulated work between counting and reading the count
}

// Batch is a path that takes many records of one resource at once. They are written
// to the shared tier as they are: no source is told of them.
type Batch struct {
	Path     string
	Resource string        // its cache.Resource.Name; it has exactly one path parameter
	TTL      time.Duration // how long an item lives; 0: until it is removed
}

// Limit is a rate limit and the requests it covers.
type Limit struct {
	Limiter *limit.Limiter
	Rate    limit.Rate // for the texts of refusals
	By      By
	Header  string // with ByHeader: whose value is counted apart
	Paths   []param.Area
}

// maxLimits bounds the limits that may cover one request.
const maxLimits = 64

// By says what a limit counts apart.
type By uint8

// What a limit may count by.
const (
	ByClient By = iota // the address of the client; see proxies
	ByGlobal           // nothing: one count for all
	ByHeader           // the value of a header; requests without it share a count
)

// CORS says which browsers' scripts may read the answers. It protects readers of
// other pages and not this server: a program that is no browser may send what it likes.
type CORS struct {
	Origins    []string // "*": all; empty: none, and no CORS headers at all
	Methods    []string // of preflights; "*" or empty: all
	Headers    []string // of preflights; "*" or empty: whatever is asked for
	OpenWrites bool     // writes from foreign origins are let through although no token is set
}

// Docs are the finished documents. An empty one is not served. The bytes must
// not change afterwards: they are sent as they lie.
type Docs struct {
	Page    []byte // GET /docs
	CSP     string // Content-Security-Policy of the page
	OpenAPI []byte // GET /openapi.json
}

// State is where a process stands between its start and its end. It is the caller's,
// because it outlives the Servers that reloads build.
type State uint8

// The states that GET /healthz tells apart.
const (
	Serving State = iota
	Starting
	Draining // answers carry Connection: close
)

// Deps are the parts a Server works with. All of them are required but Bodies.
type Deps struct {
	Cache   *cache.Cache
	Tokens  *auth.Tokens
	Metrics *metrics.Set
	Log     *slog.Logger
	// Bodies is the budget for what all requests together hold of their bodies,
	// beyond the first few KiB of each; nil: no bound.
	Bodies *budget.Budget
	// State is asked once per request; it must be cheap and safe for
	// concurrent use.
	State func() State
	// Context ends the waits of requests still at work when the process must
	// stop; its values go to the tiers.
	Context context.Context
}
