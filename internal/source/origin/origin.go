// Package origin reads records of a resource from an HTTP server. It stands apart
// from the databases because it only reads, and because all of it is about what
// another program's server may make of a URL.
package origin

import (
	"bytes"
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/url"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/valyala/fasthttp"

	"hearth/internal/jsonvalue"
	"hearth/internal/param"
	"hearth/internal/source"
)

const (
	// maxBody is how many bytes an origin may answer with when Config leaves that
	// open, maxConns how many connections are made to its host.
	//
	// A body is read whole before it is judged, so its limit bounds the memory of
	// one load. A kept connection is closed after idleTime without a request.
	maxBody  = 8 << 20
	maxConns = 16

	maxRedirects = 3
	idleTime     = 10 * time.Second // of a kept connection
	userAgent    = "hearth"
)

// Config describes a resource whose records an HTTP server has. URL and Params
// come from one configuration; New holds them against each other.
type Config struct {
	Name     string
	Params   []param.Param
	URL      param.URL
	Timeout  time.Duration // of one load, redirects included
	MaxBody  int           // bytes; 0: 8 MiB
	MaxConns int           // to the origin's host; 0: 16
}

// Origin is a resource behind HTTP (RFC 9110). It only reads: of a client's
// request nothing but the path parameters, and the names of the request in
// source.Caller, ever reaches the origin, so what comes back is fit to be shared
// between clients. It implements source.Called, source.Choosy and source.Refusing,
// and is safe for concurrent use.
type Origin struct {
	cfg    Config
	url    template
	client *fasthttp.HostClient

	forbidden atomic.Int32 // answers in a row that allow nothing
	refusals  source.Refusals
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
	return &Origin{cfg: cfg, url: t, client: &fasthttp.HostClient{
		Addr:                      fasthttp.AddMissingPort(t.host, t.secure),
		IsTLS:                     t.secure,
		NoDefaultUserAgentHeader:  true,
		DisablePathNormalizing:    true, // %2F in a parameter has to stay what it is
		MaxConns:                  cfg.MaxConns,
		MaxConnWaitTimeout:        cfg.Timeout,
		MaxIdemponentCallAttempts: 2, // a kept connection may have been closed meanwhile
		MaxIdleConnDuration:       idleTime,
		ReadTimeout:               cfg.Timeout,
		WriteTimeout:              cfg.Timeout,
		MaxResponseBodySize:       cfg.MaxBody,
		DialTimeout: func(addr string, left time.Duration) (net.Conn, error) {
			if left <= 0 || left > cfg.Timeout {
				left = cfg.Timeout
			}
			return net.DialTimeout("tcp", addr, left)
		},
	}}, nil
}

// Reach connects to the origin's host, with TLS where the URL says so, and asks
// for nothing: there is no record that is known to be there. A certificate that
// does not fit its host is an error here, too.
func (o *Origin) Reach(ctx context.Context) error {
	ctx, cancel := source.WithTimeout(ctx, o.cfg.Timeout)
	defer cancel()
	var conn net.Conn
	var err error
	if o.client.IsTLS {
		conn, err = new(tls.Dialer).DialContext(ctx, "tcp", o.client.Addr)
	} else {
		conn, err = new(net.Dialer).DialContext(ctx, "tcp", o.client.Addr)
	}
	if err != nil {
		return err
	}
	return conn.Close()
}

// TellsCaller implements Called.
func (o *Origin) TellsCaller() {}

// Close closes idle connections. The client's own goroutine that looks for them
// ends by itself when it next wakes, at most idleTime later. It does not end
// loads that run.
func (o *Origin) Close() error {
	o.client.CloseIdleConnections()
	return nil
}

// Refuses implements source.Choosy.
func (o *Origin) Refuses(args source.Args) string { return o.url.refuses(args) }

// Refusals implements source.Refusing.
func (o *Origin) Refusals() []source.Refusal { return o.refusals.List(o.cfg.Name) }

// Put implements Records: an origin is never written to.
func (o *Origin) Put(context.Context, source.Args, jsonvalue.Node) (source.Change, error) {
	return nil, source.ErrReadOnly
}

// Delete implements Records: an origin is never written to.
func (o *Origin) Delete(context.Context, source.Args) (source.Change, error) {
	return nil, source.ErrReadOnly
}

// Load implements Records. A context that ends without a deadline is noticed
// before each request, not during one. An answer with a status of 5xx or 429 is
// source.ErrDown, another of 4xx that says that the request is wrong is
// source.ErrFault, and one that is no JSON, or no HTTP, is source.ErrNotJSON. The
// record is a copy in compact JSON, without white space. A value that could lead
// to another record's URL is ErrNoRecord, without a request.
func (o *Origin) Load(ctx context.Context, args source.Args) ([]byte, error) {
	if len(args) != len(o.cfg.Params) {
		panic(fmt.Sprintf("BUG: resource %q has %d path parameters and got %d", o.cfg.Name, len(o.cfg.Params), len(args)))
	}
	target, ok := o.url.of(args)
	if !ok {
		return nil, source.ErrNoRecord
	}
	ctx, cancel := source.WithTimeout(ctx, o.cfg.Timeout)
	defer cancel()
	record, err := o.get(ctx, target)
	switch {
	case err == nil, errors.Is(err, source.ErrNoRecord):
		o.forbidden.Store(0)
		// A 404 is an answer about this record; it shows that the origin takes
		// such requests.
		o.refusals.Cleared(source.KeyOrigin)
	case errors.Is(err, errForbidden):
		// One record may be closed while others are open.
		if o.forbidden.Add(1) >= forbids {
			o.refusals.Met(source.KeyOrigin, err)
		}
	}
	if err != nil && !errors.Is(err, source.ErrNoRecord) {
		return nil, fmt.Errorf("loading a record of resource %q: %w", o.cfg.Name, err)
	}
	return record, err
}

// get asks for target and follows redirects that stay on its host. Request and
// response come out of fasthttp's pools and go back when it returns, so what it
// returns must not point into them.
func (o *Origin) get(ctx context.Context, target string) ([]byte, error) {
	req, resp := fasthttp.AcquireRequest(), fasthttp.AcquireResponse()
	defer fasthttp.ReleaseRequest(req)
	defer fasthttp.ReleaseResponse(resp)
	caller := source.CallerOf(ctx)
	// One deadline covers all requests of a load. It is there in any case, from
	// WithTimeout.
	for range 1 + maxRedirects {
		if err := ctx.Err(); err != nil {
			return nil, source.MarkDown(ctx, err, true)
		}
		req.Reset()
		resp.Reset()
		req.SetRequestURI(target)
		req.URI().DisablePathNormalizing = true
		req.Header.SetUserAgent(userAgent)
		req.Header.Set(fasthttp.HeaderAccept, "application/json")
		tell(&req.Header, caller)
		deadline, _ := ctx.Deadline()
		if err := o.client.DoDeadline(req, resp, deadline); err != nil {
			lost := lost(err)
			if !lost && ctx.Err() == nil {
				err = source.Mark(err, source.ErrNotJSON)
			}
			return nil, source.MarkDown(ctx, fmt.Errorf("asking the origin: %w", err), lost)
		}
		if !fasthttp.StatusCodeIsRedirect(resp.StatusCode()) {
			return recordOf(resp)
		}
		next, err := redirect(target, string(resp.Header.Peek(fasthttp.HeaderLocation)))
		if err != nil {
			return nil, err
		}
		target = next
	}
	return nil, fmt.Errorf("the origin redirects more than %d times", maxRedirects)
}

// tell adds what the origin is told of the request. The names of W3C headers are
// in lower case on the wire, as the recommendation asks for. SetCanonical writes
// the names as they stand here.
func tell(h *fasthttp.RequestHeader, c source.Caller) {
	for _, field := range []struct {
		name  []byte
		value string
	}{{nameRequestID, c.RequestID}, {nameTraceparent, c.Traceparent}, {nameTracestate, c.Tracestate}} {
		if field.value != "" {
			h.SetCanonical(field.name, []byte(field.value))
		}
	}
}

var nameRequestID, nameTraceparent, nameTracestate = []byte("X-Request-Id"), []byte("traceparent"), []byte("tracestate")

// lost tells an origin that is away, or has no time, from one that answers too
// much or no HTTP. What is not lost was answered: the origin is there, and its
// answer is not one that can be used.
func lost(err error) bool {
	var network net.Error
	var certificate *tls.CertificateVerificationError
	var alert tls.AlertError
	var record tls.RecordHeaderError
	if errors.As(err, &network) || errors.As(err, &certificate) || errors.As(err, &alert) || errors.As(err, &record) {
		return true
	}
	for _, lost := range []error{
		io.EOF, io.ErrUnexpectedEOF, fasthttp.ErrConnectionClosed, fasthttp.ErrTimeout, fasthttp.ErrTLSHandshakeTimeout, fasthttp.ErrNoFreeConns,
	} {
		if errors.Is(err, lost) {
			return true
		}
	}
	return false
}

// redirect resolves location against from. Another host or scheme is refused: an
// origin must not be able to send this server anywhere else. The path of location
// is taken as it is: the origin chooses it, not a client.
func redirect(from, location string) (string, error) {
	base, err := url.Parse(from)
	if err != nil {
		return "", errors.New("the URL of the origin does not parse")
	}
	to, err := base.Parse(location)
	if err != nil || location == "" {
		return "", errors.New("the origin redirects to nowhere")
	}
	if to.Scheme != base.Scheme || to.Host != base.Host || to.User != nil {
		return "", fmt.Errorf("the origin redirects to another server, %q", to.Scheme+"://"+to.Host)
	}
	to.Fragment = ""
	return to.String(), nil
}

// recordOf judges an answer and copies its body. A JSON null is no record, since
// that is what null means in every tier above.
func recordOf(resp *fasthttp.Response) ([]byte, error) {
	switch code := resp.StatusCode(); code {
	case fasthttp.StatusOK:
	case fasthttp.StatusNotFound, fasthttp.StatusGone:
		return nil, source.ErrNoRecord
	default:
		return nil, refusalOf(code)
	}
	// No Accept-Encoding is sent, so a coding is the origin's fault. It is not
	// undone here.
	if coding := resp.Header.ContentEncoding(); len(coding) > 0 && !bytes.EqualFold(coding, []byte("identity")) {
		return nil, fmt.Errorf("%w: it has the coding %q, which was not asked for", source.ErrNotJSON, coding)
	}
	record, err := jsonvalue.Compact(resp.Body())
	if err != nil {
		return nil, source.Mark(fmt.Errorf("reading the origin's answer as JSON: %w", err), source.ErrNotJSON)
	}
	if string(record) == "null" {
		return nil, source.ErrNoRecord
	}
	return record, nil
}

// refusalOf is the error for a status that brings no record. The marks decide
// what follows: ErrDown counts for the circuit breaker, ErrFault is for the
// operator, and ErrNotJSON is about the answer. An error without a mark may be
// gone with the next request.
func refusalOf(code int) error {
	err := errors.New("the origin answers with status " + strconv.Itoa(code))
	switch {
	case code >= 500, code == fasthttp.StatusTooManyRequests:
		return source.Mark(err, source.ErrDown)
	// 408 and 425 (Too Early) ask for the same request once more.
	case code == fasthttp.StatusRequestTimeout, code == 425:
		return err // to be sent again
	case code == fasthttp.StatusUnauthorized, code == fasthttp.StatusForbidden, code == fasthttp.StatusMethodNotAllowed:
		return source.Mark(source.Mark(err, errForbidden), source.ErrFault)
	case code >= 400: // which may be for this one record
		return source.Mark(err, source.ErrFault)
	case code < 300: // success, and no record with it
		return source.Mark(err, source.ErrNotJSON)
	}
	return err
}

// errForbidden marks refusals that are not for one record alone.
var errForbidden = errors.New("the origin takes no such request")
