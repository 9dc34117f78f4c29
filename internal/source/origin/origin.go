// Package origin reads records of a resource from an HTTP server, and writes them
// there. It stands apart from the databases because there is no transaction around a
// request, and because much of it is about what another program's server may make of
// a URL. It asks with net/http: that client knows when a kept connection was closed
// before it was used again, and when the same request may be sent once more.
package origin

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net"
	"sync/atomic"
	"time"

	"hearth/internal/param"
	"hearth/internal/source"
)

const (
	// maxBody is how many bytes an origin may answer with when Config leaves that
	// open, maxConns how many connections are made to its host.
	//
	// A body is read whole before it is judged, so its limit bounds the memory of
	// one load.
	maxBody  = 8 << 20
	maxConns = 16

	maxRedirects = 3
	userAgent    = "hearth"
)

// Config describes a resource whose records an HTTP server has. URL and Params
// come from one configuration; New holds them against each other.
type Config struct {
	Name     string
	Params   []param.Param
	URL      param.URL
	Timeout  time.Duration // of one load, redirects included, and of one request of a write
	MaxBody  int           // bytes of an answer; 0: 8 MiB
	MaxConns int           // to the origin's host; 0: 16

	// ObeyMaxAge bounds lifetimes by what the origin says of them.
	ObeyMaxAge bool
	// CanPut and CanDelete say which writes go on to the origin.
	CanPut, CanDelete bool
	// Token returns what is sent with every request (Authorization: Bearer), "" for
	// nothing; nil: nothing. It is asked each time, as the token may be rotated.
	Token func() string
	// CA is a file of certificates, one of which has to have signed the origin's;
	// "": the system's. Cert and Key are files of this server's own.
	CA, Cert, Key string
}

// Origin is a resource behind HTTP (RFC 9110). Of a client's request nothing but the
// path parameters, a body that is written, and the names of the request in
// source.Caller, ever reaches the origin. It implements source.Termed, source.Called,
// source.Choosy, source.Conditional and source.Refusing, and is safe for concurrent use.
type Origin struct {
	cfg        Config
	url        template
	address    string // host and port
	pool       *pool
	validators validators

	forbidden, forbiddenWrites atomic.Int32 // answers in a row that allow nothing
	refusals                   source.Refusals
	unchanged                  atomic.Int64
}

// forbids is after how many answers in a row that allow nothing an origin is said
// to refuse what is asked of it. A few records may be closed one after another; a
// record that comes clears the count.
const forbids = 5

// New prepares an Origin. It connects to nothing; an error is about the
// configuration. What the configuration leaves open is filled in here.
func New(cfg Config) (*Origin, error) {
	cfg.MaxBody, cfg.MaxConns = cmp.Or(cfg.MaxBody, maxBody), cmp.Or(cfg.MaxConns, maxConns)
	t, err := newTemplate(cfg.URL, cfg.Params)
	if err != nil {
		return nil, &source.SpecError{Resource: cfg.Name, Key: source.KeyOrigin, Text: err.Error()}
	}
	name, address := hostOf(t)
	p, err := newPool(cfg, name, address)
	if err != nil {
		return nil, &source.SpecError{Resource: cfg.Name, Key: "origin_tls", Text: err.Error()}
	}
	return &Origin{cfg: cfg, url: t, address: address, pool: p}, nil
}

// hostOf is the name that a certificate has to be for, and where to connect to.
func hostOf(t template) (name, address string) {
	name, port, err := net.SplitHostPort(t.host)
	if err != nil { // no port is written
		name, port = t.host, "80"
		if t.secure {
			port = "443"
		}
		if len(name) > 1 && name[0] == '[' {
			name = name[1 : len(name)-1]
		}
	}
	return name, net.JoinHostPort(name, port)
}

// Reach connects to the origin's host, with TLS where the URL says so, and asks
// for nothing: there is no record that is known to be there. A certificate that
// does not fit its host is an error here, too.
func (o *Origin) Reach(ctx context.Context) error {
	ctx, cancel := source.WithTimeout(ctx, o.cfg.Timeout)
	defer cancel()
	conn, err := o.pool.dial(ctx, o.address)
	if err != nil {
		return err
	}
	return conn.Close()
}

// TellsCaller implements Called.
func (o *Origin) TellsCaller() {}

// TakesConditions implements Conditional.
func (o *Origin) TakesConditions() {}

// Close closes idle connections. It does not end loads that run; their connections
// are closed behind them.
func (o *Origin) Close() error {
	o.pool.close()
	return nil
}

// Refuses implements source.Choosy.
func (o *Origin) Refuses(args source.Args) string { return o.url.refuses(args) }

// Refusals implements source.Refusing.
func (o *Origin) Refusals() []source.Refusal { return o.refusals.List(o.cfg.Name) }

// Unchanged is how often the origin has confirmed a record instead of sending it.
func (o *Origin) Unchanged() int64 { return o.unchanged.Load() }

// Load implements Records.
func (o *Origin) Load(ctx context.Context, args source.Args) ([]byte, error) {
	record, _, err := o.LoadTermed(ctx, args, nil)
	return record, err
}

// LoadTermed implements source.Termed. An answer with a status of 5xx or 429 is
// source.ErrDown, another of 4xx that says that the request is wrong is
// source.ErrFault, and one that is no JSON, or no HTTP, is source.ErrNotJSON. The
// record is a copy in compact JSON, without white space. A value that could lead
// to another record's URL is ErrNoRecord, without a request.
func (o *Origin) LoadTermed(ctx context.Context, args source.Args, known []byte) ([]byte, source.Term, error) {
	target, ok := o.target(args)
	if !ok {
		return nil, source.Term{}, source.ErrNoRecord
	}
	ctx, cancel := source.WithTimeout(ctx, o.cfg.Timeout)
	defer cancel()
	transport := o.pool.transport()
	found, err := o.get(ctx, transport, target, known)
	if errors.Is(err, errStranded) {
		o.pool.renew(transport)
	}
	o.learn(source.KeyOrigin, &o.forbidden, err)
	if err != nil && !errors.Is(err, source.ErrNoRecord) {
		return nil, source.Term{}, fmt.Errorf("loading a record of resource %q: %w", o.cfg.Name, err)
	}
	return found.record, found.term, err
}

// target is the URL of a record, or false when no URL surely names it.
func (o *Origin) target(args source.Args) (string, bool) {
	if len(args) != len(o.cfg.Params) {
		panic(fmt.Sprintf("BUG: resource %q has %d path parameters and got %d", o.cfg.Name, len(o.cfg.Params), len(args)))
	}
	return o.url.of(args)
}

// learn notes whether the origin takes such requests. A 404 is an answer about one
// record and shows that it does.
func (o *Origin) learn(key string, forbidden *atomic.Int32, err error) {
	switch {
	case err == nil, errors.Is(err, source.ErrNoRecord):
		forbidden.Store(0)
		o.refusals.Cleared(key)
	case errors.Is(err, errForbidden):
		// One record may be closed while others are open.
		if forbidden.Add(1) >= forbids {
			o.refusals.Met(key, err)
		}
	}
}
