package origin

import (
	"bytes"
	"compress/gzip"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"mime"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"hearth/internal/jsonvalue"
	"hearth/internal/source"
)

// found is what an origin has for a URL.
type found struct {
	record []byte // nil: none
	term   source.Term
	header http.Header // of the last answer
}

// get asks for target and follows redirects that stay on its host. One deadline, that
// of ctx, covers all requests. found tells the term also with ErrNoRecord.
func (o *Origin) get(ctx context.Context, with http.RoundTripper, target string, known []byte) (found, error) {
	was, tagged := o.validators.of(target, known)
	at, term := target, source.Term{}
	for range 1 + maxRedirects {
		req, err := o.request(ctx, http.MethodGet, at, nil)
		if err != nil {
			return found{}, err
		}
		asked := tagged && was.at == at
		if asked {
			req.Header.Set("If-None-Match", was.tag)
		}
		resp, body, err := o.do(req, with)
		if err != nil {
			return found{}, err
		}
		t := termOf(resp.Header, o.cfg.ObeyMaxAge, time.Now())
		if t.Unshared == "" {
			t.Unshared = term.Unshared // of the redirects before
		}
		switch status := resp.StatusCode; {
		case status == http.StatusNotModified && asked:
			if !saysLifetime(resp.Header) && t.Unshared == "" {
				t = was.term
			}
			o.unchanged.Add(1)
			return found{known, t, resp.Header}, nil
		case isRedirect(status):
			if at, err = redirect(at, resp.Header.Get("Location")); err != nil {
				return found{}, err
			}
			term = t
			continue
		case status == http.StatusNotFound, status == http.StatusGone:
			return found{nil, t, resp.Header}, source.ErrNoRecord
		case status != http.StatusOK && status != http.StatusNonAuthoritativeInfo:
			return found{}, refusalOf(resp)
		}
		record, err := o.recordOf(resp, body)
		if err != nil {
			return found{}, err
		}
		o.validators.note(target, at, resp.Header, record, t)
		if record == nil {
			return found{nil, t, resp.Header}, source.ErrNoRecord
		}
		return found{record, t, resp.Header}, nil
	}
	return found{}, fmt.Errorf("the origin redirects more than %d times", maxRedirects)
}

// saysLifetime tells whether a 304 has fields of its own in place of those that came
// with the record (RFC 9111, 4.3.4).
func saysLifetime(h http.Header) bool {
	return len(h.Values("Cache-Control")) > 0 || len(h.Values("Expires")) > 0
}

func isRedirect(status int) bool {
	switch status {
	case http.StatusMovedPermanently, http.StatusFound, http.StatusSeeOther, http.StatusTemporaryRedirect, http.StatusPermanentRedirect:
		return true
	}
	return false
}

// request is a request of this server. The names of W3C headers are in lower case on
// the wire, as the recommendation asks for.
func (o *Origin) request(ctx context.Context, method, target string, body []byte) (*http.Request, error) {
	var content io.Reader
	if body != nil {
		content = bytes.NewReader(body)
	}
	req, err := http.NewRequestWithContext(ctx, method, target, content)
	if err != nil {
		return nil, source.Mark(errors.New("the URL of the origin does not parse"), source.ErrFault)
	}
	req.Header.Set("User-Agent", userAgent)
	req.Header.Set("Accept", "application/json")
	if o.cfg.Token != nil {
		if token := o.cfg.Token(); token != "" {
			req.Header.Set("Authorization", "Bearer "+token)
		}
	}
	c := source.CallerOf(ctx)
	for name, value := range map[string]string{"X-Request-Id": c.RequestID, "traceparent": c.Traceparent, "tracestate": c.Tracestate} {
		if value != "" {
			req.Header[name] = []string{value}
		}
	}
	return req, nil
}

// do sends a request and reads the answer to its end.
func (o *Origin) do(req *http.Request, with http.RoundTripper) (*http.Response, []byte, error) {
	resp, err := with.RoundTrip(req)
	if err != nil {
		return nil, nil, failed(req.Context(), err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, int64(o.cfg.MaxBody)+1))
	switch {
	case err != nil:
		return nil, nil, failed(req.Context(), err)
	case len(body) > o.cfg.MaxBody:
		return nil, nil, source.Mark(fmt.Errorf("the origin answers with more than %d bytes", o.cfg.MaxBody), source.ErrNotJSON)
	}
	return resp, body, nil
}

// errStranded marks errors after which other connections may lead somewhere better.
var errStranded = errors.New("the connection leads nowhere")

// failed sorts what a request without an answer met: an origin that is away, or has no
// time, and one that answers something which is no HTTP.
func failed(ctx context.Context, err error) error {
	lost := lost(err) || ctx.Err() != nil
	switch {
	case lost:
		err = source.Mark(err, errStranded)
	default:
		err = source.Mark(err, source.ErrNotJSON)
	}
	return source.MarkDown(ctx, fmt.Errorf("asking the origin: %w", err), lost)
}

// lost tells an origin that is away from one that answers too much or no HTTP. What
// is not lost was answered: the origin is there, and its answer is not one that can
// be used.
func lost(err error) bool {
	var network net.Error
	var certificate *tls.CertificateVerificationError
	var alert tls.AlertError
	var record tls.RecordHeaderError
	return errors.As(err, &network) || errors.As(err, &certificate) || errors.As(err, &alert) || errors.As(err, &record) ||
		errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, net.ErrClosed)
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

// recordOf judges the content of an answer and copies it; nil is no record, since
// that is what null means in every tier above.
func (o *Origin) recordOf(resp *http.Response, body []byte) ([]byte, error) {
	body, err := o.decoded(resp.Header, body)
	if err != nil {
		return nil, source.Mark(err, source.ErrNotJSON)
	}
	// JSON is UTF-8 (RFC 8259, 8.1). Bytes of another charset may happen to be valid
	// UTF-8 and mean other characters.
	if charset := charsetOf(resp.Header); charset != "" && !isASCII(body) {
		return nil, source.Mark(fmt.Errorf("the origin answers in the charset %q, and JSON is UTF-8", printable(charset)), source.ErrNotJSON)
	}
	record, err := jsonvalue.Compact(body)
	if err != nil {
		return nil, source.Mark(fmt.Errorf("reading the origin's answer as JSON: %w", err), source.ErrNotJSON)
	}
	if string(record) == "null" {
		return nil, nil
	}
	return record, nil
}

// decoded undoes gzip. No Accept-Encoding is sent, so codings are not asked for, but
// servers that send one all the same nearly always mean this one. Few bytes may become
// very many, so the content is bounded like one without a coding.
func (o *Origin) decoded(h http.Header, body []byte) ([]byte, error) {
	coding := strings.ToLower(strings.Trim(strings.Join(h.Values("Content-Encoding"), ","), " \t"))
	switch coding {
	case "", "identity":
		return body, nil
	case "gzip", "x-gzip":
	default:
		return nil, fmt.Errorf("the origin's answer has the coding %q; none was asked for, and gzip alone is undone", printable(coding))
	}
	unzip, err := gzip.NewReader(bytes.NewReader(body))
	if err != nil {
		return nil, fmt.Errorf("undoing gzip: %w", err)
	}
	plain, err := io.ReadAll(io.LimitReader(unzip, int64(o.cfg.MaxBody)+1))
	switch {
	case err != nil:
		return nil, fmt.Errorf("undoing gzip: %w", err)
	case len(plain) > o.cfg.MaxBody:
		return nil, fmt.Errorf("the origin answers with more than %d bytes, compressed", o.cfg.MaxBody)
	}
	return plain, nil
}

// charsetOf is the charset that an answer claims, "" if it claims none or UTF-8.
func charsetOf(h http.Header) string {
	_, params, err := mime.ParseMediaType(h.Get("Content-Type"))
	if err != nil {
		return ""
	}
	switch charset := strings.ToLower(params["charset"]); charset {
	case "utf-8", "utf8", "us-ascii":
		return ""
	default:
		return charset
	}
}

func isASCII(text []byte) bool {
	for _, b := range text {
		if b >= 0x80 {
			return false
		}
	}
	return true
}

// refusalOf is the error for an answer that brings no record. The marks decide
// what follows: ErrDown counts for the circuit breaker, ErrFault is for the
// operator, and ErrNotJSON is about the answer. An error without a mark may be
// gone with the next request.
func refusalOf(resp *http.Response) error {
	code := resp.StatusCode
	err := errors.New("the origin answers with status " + strconv.Itoa(code))
	switch {
	case code >= 500, code == http.StatusTooManyRequests:
		if code > http.StatusNotImplemented {
			err = source.Mark(err, errStranded) // a gateway's, as a rule
		}
		return spared(resp, source.Mark(err, source.ErrDown))
	case code == http.StatusRequestTimeout, code == http.StatusTooEarly:
		return err // to be sent again
	case code == http.StatusUnauthorized, code == http.StatusForbidden, code == http.StatusMethodNotAllowed, code == http.StatusProxyAuthRequired:
		return source.Mark(source.Mark(err, errForbidden), source.ErrFault)
	case code >= 400: // which may be for this one record
		return source.Mark(err, source.ErrFault)
	case code < 300, code == http.StatusNotModified: // and no record with it
		return source.Mark(err, source.ErrNotJSON)
	}
	return err
}

// spared has an origin left alone for as long as it asks to be.
func spared(resp *http.Response, err error) error {
	code := resp.StatusCode
	if after := retryAfter(resp.Header, time.Now()); after > 0 && (code == http.StatusTooManyRequests || code == http.StatusServiceUnavailable) {
		return &source.SpareError{Err: err, After: after}
	}
	return err
}

// errForbidden marks refusals that are not for one record alone.
var errForbidden = errors.New("the origin takes no such request")
