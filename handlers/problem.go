package handlers

import (
	"context"
	"errors"
	"math/rand/v2"
	"strconv"

	"github.com/go-json-experiment/json/jsontext"
	"github.com/valyala/fasthttp"

	"hearth/cache"
	"hearth/internal/source"
)

// problem is an answer that is not the one asked for (RFC 9457). Detail is
// for the client: it says what to change, repeats nothing of the request but
// names, and never tells the cause, which goes to the log.
type problem struct {
	status int
	title  string // "": the phrase of the status
	detail string
	retry  bool   // add a jittered Retry-After
	header string // one field more, if any, …
	value  string // … and its value
	close  bool   // and nothing more is read from the connection
	cause  error
}

// Error implements error, so that an operation returns a problem like any other
// error. It is for the log, hence the cause.
func (p *problem) Error() string {
	if p.cause != nil {
		return p.cause.Error()
	}
	return p.detail
}

func (p *problem) Unwrap() error { return p.cause }

// refuse is a problem that is the client's to mend.
func refuse(status int, detail string) *problem { return &problem{status: status, detail: detail} }

// appendJSON appends the document. "about:blank" says that the status tells
// all there is to tell about the kind of problem.
func (p *problem) appendJSON(dst []byte) []byte {
	title := p.title
	if title == "" {
		title = fasthttp.StatusMessage(p.status)
	}
	dst = append(dst, `{"type":"about:blank","title":`...)
	dst = appendQuoted(dst, title)
	dst = append(dst, `,"status":`...)
	dst = strconv.AppendInt(dst, int64(p.status), 10)
	dst = append(dst, `,"detail":`...)
	dst = appendQuoted(dst, p.detail)
	return append(dst, '}')
}

// appendQuoted appends s as a JSON string. The text may hold names out of the
// configuration or the request. Bytes that are no UTF-8 become
// U+FFFD, which is why the error of AppendQuote does not matter.
func appendQuoted(dst []byte, s string) []byte {
	dst, _ = jsontext.AppendQuote(dst, s)
	return dst
}

// write puts the problem into resp, whatever was there before. Headers that
// hold for every answer (CORS, request id) are added by the caller. That the
// connection ends is kept: it was decided because what follows cannot be
// read. Retry-After is spread over three seconds, so that clients who were refused
// together do not come back together.
func (p *problem) write(resp *fasthttp.Response) {
	closing := p.close || resp.ConnectionClose()
	resp.Reset()
	resp.SetStatusCode(p.status)
	resp.Header.SetContentType(mediaProblem)
	resp.Header.SetCanonical(headerCacheControl, valueNoStore)
	if p.header != "" {
		resp.Header.Set(p.header, p.value)
	}
	if p.retry {
		resp.Header.Set(fasthttp.HeaderRetryAfter, strconv.Itoa(1+rand.IntN(3)))
	}
	if closing {
		resp.SetConnectionClose()
	}
	resp.SetBodyRaw(p.appendJSON(nil))
}

// failures maps what the tiers and sources report to what a client is told.
// The first match counts, and errors wrap each other, so the order matters where a
// line says so. A status tells who can do something: 4xx the client, 500 and 502 the
// operator, 503 and 504 time.
var failures = []struct {
	is    error
	reply problem
}{
	// Before ErrUnconfirmed, which wraps it.
	{source.ErrUnknownOutcome, problem{status: 504, title: "outcome unknown",
		detail: "the source did not say whether the change was made; read the record before sending the change again"}},
	{cache.ErrUnconfirmed, problem{status: 504, title: "stored, not confirmed",
		detail: "the change is committed, but the cache did not confirm that older copies are gone; it is being retried: read the record before sending the change again"}},
	// Before ErrUnavailable, which wraps whatever a source says.
	{source.ErrConflict, problem{status: 409,
		detail: "other records refer to this one; delete or change those first"}},
	{source.ErrReadOnly, problem{status: 403,
		detail: "this resource is read-only"}},
	// Before ErrFault: the record is at fault, and not the statement that found it.
	{source.ErrNotJSON, problem{status: 502,
		detail: "what the source behind this resource has for this record is not JSON; trying again does not help until that is mended"}},
	{source.ErrFault, problem{status: 500,
		detail: "this resource is not configured as its source needs it; trying again does not help until the operator has acted, and the server's log has the cause"}},
	{source.ErrSlow, problem{status: 504,
		detail: "the database ended the work on this request because it took too long; try again later"}},
	{cache.ErrRefused, problem{status: 500,
		detail: "the shared tier refuses what this request needs of it; trying again does not help until the operator has acted, and the server's log has the cause"}},
	{cache.ErrTimeout, problem{status: 504,
		detail: "the request could not be finished in time; try again later"}},
	{cache.ErrNotCached, problem{status: 504,
		detail: "no copy that cache-control asks for is here, and only-if-cached forbids to load one; leave that out to have the record loaded"}},
	{cache.ErrOverload, problem{status: 503, retry: true,
		detail: "the server is working on as many requests as it can; try again after the time in Retry-After"}},
	{cache.ErrUnavailable, problem{status: 503, retry: true,
		detail: "the data behind this resource cannot be reached at the moment; try again after the time in Retry-After"}},
	{cache.ErrNotJSON, problem{status: 502,
		detail: "the stored value of this record is not JSON; write the record again to repair it"}},
	{source.ErrNoRecord, problem{status: 404,
		detail: "no such record"}},
	{context.DeadlineExceeded, problem{status: 504,
		detail: "the request could not be finished in time; try again later"}},
	{context.Canceled, problem{status: 503, retry: true,
		detail: "the server is shutting down; try again after the time in Retry-After"}},
}

// problemOf turns any error into what is answered; err stays its cause, which is
// logged. An error that nobody has thought of is a 500 that says nothing of it.
func problemOf(err error) *problem {
	if p, ok := errors.AsType[*problem](err); ok {
		return p
	}
	// A deletion that others stand against is no fault of a body.
	if bad, ok := errors.AsType[*source.BodyError](err); ok && !errors.Is(err, source.ErrConflict) {
		return &problem{status: 422, detail: bad.Error(), cause: err}
	}
	if unmet, ok := errors.AsType[*source.ConditionError](err); ok {
		return &problem{status: 412, detail: unmet.Reason, cause: err}
	}
	if status, ok := errors.AsType[*source.StatusError](err); ok {
		return &problem{status: status.Status, detail: status.Detail, cause: err}
	}
	for i := range failures {
		if errors.Is(err, failures[i].is) {
			p := failures[i].reply
			p.cause = err
			return &p
		}
	}
	return &problem{status: 500, detail: "the server met a condition it was not prepared for; its log has the cause", cause: err}
}

// notFound is the answer to a path that leads nowhere.
func notFound() *problem {
	return refuse(404, "nothing is served under this path; GET /docs lists what is")
}
