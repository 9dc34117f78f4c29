package source

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/valyala/fasthttp"

	"hearth/internal/jsonvalue"
)

const (
	// DefaultMaxBody is how many bytes an origin may answer with when
	// OriginConfig leaves that open.
	DefaultMaxBody = 8 << 20

	maxRedirects = 3
	idleTime     = 10 * time.Second // of a kept connection
	userAgent    = "hearth"
)

// OriginConfig describes a resource whose records an HTTP server has.
type OriginConfig struct {
	Name     string
	Params   []Param
	URL      string        // http:// or https://, with {name} for path parameters after the host
	Timeout  time.Duration // of one load, redirects included; 0: DefaultTimeout
	MaxBody  int           // bytes; 0: DefaultMaxBody
	MaxConns int           // to the origin's host; 0: DefaultMaxConns
}

// Origin is a resource behind HTTP (RFC 9110). It only reads: of a client's
// request nothing but the path parameters, and the names of the request in
// Caller, ever reaches the origin, so what comes back is fit to be shared
// between clients. It implements Called and is safe for concurrent use.
type Origin struct {
	cfg    OriginConfig
	chunks []string // of the URL, around slots
	slots  []int    // indices of path parameters
	path   []step   // segments of the path that have slots
	client *fasthttp.HostClient

	forbidden atomic.Int32 // answers in a row that allow nothing
	refusals  refusals
}

// originForbids is after how many answers in a row that allow nothing an origin is
// said to refuse what is asked of it.
const originForbids = 5

// NewOrigin prepares an Origin. It connects to nothing; an error is about the
// configuration.
func NewOrigin(cfg OriginConfig) (*Origin, error) {
	if cfg.Timeout <= 0 {
		cfg.Timeout = DefaultTimeout
	}
	if cfg.MaxBody <= 0 {
		cfg.MaxBody = DefaultMaxBody
	}
	if cfg.MaxConns <= 0 {
		cfg.MaxConns = DefaultMaxConns
	}
	o := &Origin{cfg: cfg}
	if err := o.parse(); err != nil {
		return nil, &SpecError{Resource: cfg.Name, Key: keyOrigin, Text: err.Error()}
	}
	scheme, rest, _ := strings.Cut(cfg.URL, "://")
	o.client = &fasthttp.HostClient{
		Addr:                      fasthttp.AddMissingPort(hostOf(rest), scheme == "https"),
		IsTLS:                     scheme == "https",
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
	}
	return o, nil
}

// parse takes the URL template apart.
func (o *Origin) parse() error {
	text := o.cfg.URL
	scheme, rest, _ := strings.Cut(text, "://")
	if scheme != "http" && scheme != "https" {
		return errors.New("the URL has to begin with http:// or https://")
	}
	host := hostOf(rest)
	if host == "" || strings.ContainsAny(host, "{}@#") {
		return fmt.Errorf("the host %q has to be fixed, without user and placeholders", redactUser(host))
	}
	if strings.Contains(rest, "#") {
		return errors.New("a fragment never reaches a server; leave out the #")
	}
	start := 0
	for i := 0; i < len(text); i++ {
		h := hole(text[i:])
		if h == "" {
			if text[i] == '{' || text[i] == '}' {
				return fmt.Errorf("the brace at byte %d belongs to no placeholder; write %%7B or %%7D", i)
			}
			continue
		}
		names, optional := parts(h)
		param := paramIndex(o.cfg.Params, names[0])
		if param < 0 || len(names) > 1 || optional {
			return fmt.Errorf("unknown placeholder %s; the path has %s", h, paramNames(o.cfg.Params))
		}
		end := i + len(h)
		o.chunks = append(o.chunks, text[start:i])
		o.slots = append(o.slots, param)
		start, i = end, end-1
	}
	o.chunks = append(o.chunks, text[start:])
	if _, err := url.Parse(strings.Join(o.chunks, "0")); err != nil {
		return errors.New("the URL does not parse")
	}
	for i, p := range o.cfg.Params {
		if !slices.Contains(o.slots, i) { // one record would be served under all names
			return fmt.Errorf("the path parameter {%s} has no place in the URL", p.Name)
		}
	}
	var err error
	o.path, err = o.steps()
	return err
}

// hostOf returns the host, with its port, of a URL without its scheme.
func hostOf(rest string) string {
	if i := strings.IndexAny(rest, "/?"); i >= 0 {
		return rest[:i]
	}
	return rest
}

// redactUser keeps credentials out of error texts.
func redactUser(host string) string {
	if i := strings.LastIndexByte(host, '@'); i >= 0 {
		return "…" + host[i:]
	}
	return host
}

// target returns the URL for args, or false when no URL surely names the record;
// see Refuses.
func (o *Origin) target(args Args) (string, bool) {
	if o.Refuses(args) != "" {
		return "", false
	}
	var b strings.Builder
	for i, param := range o.slots {
		b.WriteString(o.chunks[i])
		escape(&b, fmt.Sprint(args[param]))
	}
	b.WriteString(o.chunks[len(o.chunks)-1])
	return b.String(), true
}

// escape writes value so that it is one piece of a path or a query: all but
// the unreserved characters of RFC 3986 is percent-encoded.
func escape(b *strings.Builder, value string) {
	for i := range len(value) {
		c := value[i]
		if isLetter(c) || isDigit(c) || strings.IndexByte("-._~", c) >= 0 {
			b.WriteByte(c)
			continue
		}
		b.WriteByte('%')
		b.WriteByte("0123456789ABCDEF"[c>>4])
		b.WriteByte("0123456789ABCDEF"[c&15])
	}
}

// Reach connects to the origin's host, with TLS where the URL says so, and asks
// for nothing: there is no record that is known to be there.
func (o *Origin) Reach(ctx context.Context) error {
	ctx, cancel := withTimeout(ctx, o.cfg.Timeout)
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

// Close closes idle connections. The client's own goroutine that looks for
// them ends by itself when it next wakes, at most idleTime later.
func (o *Origin) Close() error {
	o.client.CloseIdleConnections()
	return nil
}

// Put implements Records: an origin is never written to.
func (o *Origin) Put(context.Context, Args, []byte) (Change, error) { return nil, ErrReadOnly }

// Delete implements Records: an origin is never written to.
func (o *Origin) Delete(context.Context, Args) (Change, error) { return nil, ErrReadOnly }

// Load implements Records. A context that ends without a deadline is noticed
// before each request, not during one. An answer with a status of 5xx or 429 is
// ErrDown, another of 4xx that says that the request is wrong is ErrFault, and one
// that is no JSON, or no HTTP, is ErrBadAnswer.
func (o *Origin) Load(ctx context.Context, args Args) ([]byte, error) {
	if len(args) != len(o.cfg.Params) {
		panic(fmt.Sprintf("BUG: resource %q has %d path parameters and got %d", o.cfg.Name, len(o.cfg.Params), len(args)))
	}
	target, ok := o.target(args)
	if !ok {
		return nil, ErrNoRecord
	}
	ctx, cancel := withTimeout(ctx, o.cfg.Timeout)
	defer cancel()
	record, err := o.get(ctx, target)
	switch {
	case err == nil, errors.Is(err, ErrNoRecord):
		o.forbidden.Store(0)
		o.refusals.heard(keyOrigin)
	case errors.Is(err, errForbidden):
		// One record may be closed while others are open.
		if o.forbidden.Add(1) >= originForbids {
			o.refusals.met(keyOrigin, err)
		}
	}
	if err != nil && !errors.Is(err, ErrNoRecord) {
		return nil, fmt.Errorf("loading a record of resource %q: %w", o.cfg.Name, err)
	}
	return record, err
}

// get asks for target and follows redirects that stay on its host.
func (o *Origin) get(ctx context.Context, target string) ([]byte, error) {
	req, resp := fasthttp.AcquireRequest(), fasthttp.AcquireResponse()
	defer fasthttp.ReleaseRequest(req)
	defer fasthttp.ReleaseResponse(resp)
	caller := CallerOf(ctx)
	for range 1 + maxRedirects {
		if err := ctx.Err(); err != nil {
			return nil, blame(ctx, err, true)
		}
		req.Reset()
		resp.Reset()
		req.SetRequestURI(target)
		req.URI().DisablePathNormalizing = true
		req.Header.SetUserAgent(userAgent)
		req.Header.Set(fasthttp.HeaderAccept, "application/json")
		caller.write(&req.Header)
		deadline, _ := ctx.Deadline()
		if err := o.client.DoDeadline(req, resp, deadline); err != nil {
			lost := originLost(err)
			if !lost && ctx.Err() == nil {
				err = markedError{err, ErrBadAnswer}
			}
			return nil, blame(ctx, fmt.Errorf("asking the origin: %w", err), lost)
		}
		if !fasthttp.StatusCodeIsRedirect(resp.StatusCode()) {
			return originRecord(resp)
		}
		next, err := redirect(target, string(resp.Header.Peek(fasthttp.HeaderLocation)))
		if err != nil {
			return nil, err
		}
		target = next
	}
	return nil, fmt.Errorf("the origin redirects more than %d times", maxRedirects)
}

// write adds what the origin is told; the names of W3C headers are in lower
// case on the wire, as the recommendation asks for.
func (c Caller) write(h *fasthttp.RequestHeader) {
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

// originLost tells an origin that is away, or has no time, from one that
// answers too much or no HTTP.
func originLost(err error) bool {
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

// redirect resolves location against from. Another host or scheme is refused:
// an origin must not be able to send this server anywhere else.
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

// originRecord judges an answer and copies its body.
func originRecord(resp *fasthttp.Response) ([]byte, error) {
	switch code := resp.StatusCode(); code {
	case fasthttp.StatusOK:
	case fasthttp.StatusNotFound, fasthttp.StatusGone:
		return nil, ErrNoRecord
	default:
		return nil, originRefusal(code)
	}
	if coding := resp.Header.ContentEncoding(); len(coding) > 0 && !bytes.EqualFold(coding, []byte("identity")) {
		return nil, fmt.Errorf("%w: it has the coding %q, which was not asked for", ErrBadAnswer, coding)
	}
	record, err := jsonvalue.Compact(resp.Body())
	if err != nil {
		return nil, markedError{fmt.Errorf("reading the origin's answer as JSON: %w", err), ErrNotJSON}
	}
	if string(record) == "null" {
		return nil, ErrNoRecord
	}
	return record, nil
}

// originRefusal is the error for a status that brings no record.
func originRefusal(code int) error {
	err := errors.New("the origin answers with status " + strconv.Itoa(code))
	switch {
	case code >= 500, code == fasthttp.StatusTooManyRequests:
		return markedError{err, ErrDown}
	case code == fasthttp.StatusRequestTimeout, code == 425:
		return err // to be sent again
	case code == fasthttp.StatusUnauthorized, code == fasthttp.StatusForbidden, code == fasthttp.StatusMethodNotAllowed:
		return markedError{markedError{err, errForbidden}, ErrFault}
	case code >= 400: // which may be for this one record
		return markedError{err, ErrFault}
	case code < 300: // success, and no record with it
		return markedError{err, ErrBadAnswer}
	}
	return err
}

// errForbidden marks refusals that are not for one record alone.
var errForbidden = errors.New("the origin takes no such request")

func (o *Origin) known() *refusals { return &o.refusals }
func (o *Origin) label() string    { return o.cfg.Name }
