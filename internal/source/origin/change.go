package origin

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"time"

	"hearth/internal/jsonvalue"
	"hearth/internal/source"
)

// A write is one request, sent once, on a connection of its own. One that was used
// before may have been closed meanwhile, and then nobody could tell whether a request
// on it was carried out. What was written of the request is counted: an origin that did
// not get the whole of it has done nothing.
//
//	connect ─► judge the condition ─► guard still there? ─► send ─► answer ─► read back
//	   │ nothing has happened                     │          │
//	   └───────────────── 503                     └─ closed  └─ sent whole, no answer that
//	                                                            tells: outcome unknown

// Put implements Records: body goes on to the origin as it is.
func (o *Origin) Put(ctx context.Context, args source.Args, body jsonvalue.Node) (source.Change, error) {
	if !o.cfg.CanPut {
		return nil, source.ErrReadOnly
	}
	return o.begin(ctx, http.MethodPut, args, body.Value)
}

// Delete implements Records. That there is no record is told by Commit.
func (o *Origin) Delete(ctx context.Context, args source.Args) (source.Change, error) {
	if !o.cfg.CanDelete {
		return nil, source.ErrReadOnly
	}
	return o.begin(ctx, http.MethodDelete, args, nil)
}

// change is a request that is not sent yet. It implements source.Forwarded.
type change struct {
	o              *Origin
	method, target string
	body           []byte
	state          http.Header // the condition that it is sent under
	conn           net.Conn
	found          found // what was read back
	known          bool  // it was
	ended, unknown bool
}

// begin connects, and judges the condition of ctx.
func (o *Origin) begin(ctx context.Context, method string, args source.Args, body []byte) (source.Change, error) {
	target, ok := o.target(args)
	if !ok {
		return nil, source.ErrNoRecord
	}
	ctx, cancel := source.WithTimeout(ctx, o.cfg.Timeout)
	defer cancel()
	conn, err := o.pool.dial(ctx, o.address)
	if err != nil {
		return nil, fmt.Errorf("changing a record of resource %q: %w", o.cfg.Name, failed(ctx, err))
	}
	c := &change{o: o, method: method, target: target, body: body, conn: conn}
	if condition := source.ConditionOf(ctx); condition != nil {
		if err := c.judge(ctx, condition); err != nil {
			_ = conn.Close()
			return nil, err
		}
	}
	return c, nil
}

// judge reads the record and holds the condition against it. The request asks the
// origin to change this very state and no later one, so that no other write can come in
// between.
func (c *change) judge(ctx context.Context, condition source.Condition) error {
	now, err := c.read(ctx)
	if err != nil && !errors.Is(err, source.ErrNoRecord) {
		return fmt.Errorf("reading the record that a condition is about, of resource %q: %w", c.o.cfg.Name, err)
	}
	if reason := condition(now.record); reason != "" {
		return &source.ConditionError{Reason: reason}
	}
	tag := now.header.Get("Etag")
	switch {
	case now.record == nil && c.method == http.MethodDelete:
		return source.ErrNoRecord
	case now.record == nil:
		c.state = http.Header{"If-None-Match": {"*"}}
	case tag == "" || strings.HasPrefix(tag, "W/"):
		return &source.ConditionError{Reason: "the source of this record does not tell its states apart (it sends no strong entity tag), so no condition can be kept: send the change without one"}
	default:
		c.state = http.Header{"If-Match": {tag}}
	}
	return nil
}

// read asks for the record, from the server that the write goes to.
func (c *change) read(ctx context.Context) (found, error) {
	return c.o.get(ctx, afresh{c.o.pool.once(c.conn.RemoteAddr().String())}, c.target, nil)
}

// afresh asks for what the origin has now: a cache on the way is to ask the origin.
type afresh struct{ *http.Transport }

// RoundTrip implements http.RoundTripper.
func (a afresh) RoundTrip(req *http.Request) (*http.Response, error) {
	req.Header.Set("Cache-Control", "no-cache")
	return a.Transport.RoundTrip(req)
}

// Record implements source.Change. It is nil before Commit.
func (c *change) Record() []byte { return c.found.record }

// Left implements source.Forwarded.
func (c *change) Left() (source.Term, bool) { return c.found.term, c.known }

// Commit sends the request. After a PUT it reads the record; if that fails, the change
// stands all the same.
func (c *change) Commit(ctx context.Context) error {
	if c.ended {
		return errors.New("the change is over already")
	}
	c.ended = true
	err := c.send(ctx)
	c.unknown = errors.Is(err, source.ErrUnknownOutcome)
	c.o.pool.written()
	c.o.learn(source.KeyWrites, &c.o.forbiddenWrites, err)
	switch {
	case errors.Is(err, source.ErrNoRecord):
		return source.ErrNoRecord
	case err != nil:
		return fmt.Errorf("changing a record of resource %q: %w", c.o.cfg.Name, err)
	case c.method == http.MethodDelete:
		c.known = true
		return nil
	}
	ctx, cancel := source.WithTimeout(ctx, c.o.cfg.Timeout)
	defer cancel()
	now, err := c.read(ctx)
	if err == nil || errors.Is(err, source.ErrNoRecord) {
		c.found, c.known = now, true
	}
	return nil
}

// send sends the request and judges the answer by its status alone.
func (c *change) send(ctx context.Context) error {
	ctx, cancel := source.WithTimeout(ctx, c.o.cfg.Timeout)
	defer cancel()
	defer c.conn.Close()
	req, raw, err := c.request(ctx)
	if err != nil {
		return err
	}
	// The end of ctx ends reading and writing.
	defer context.AfterFunc(ctx, func() { _ = c.conn.SetDeadline(time.Unix(1, 0)) })()
	wrote := make(chan int, 1)
	go func() { // joined below: nothing is written to a connection that is closed
		n, _ := c.conn.Write(raw)
		wrote <- n
	}()
	resp, err := readAnswer(c.conn, req)
	if err == nil {
		// What is not read would make the system send a reset, which origins log.
		_ = c.conn.SetReadDeadline(time.Now().Add(100 * time.Millisecond))
		_, _ = io.CopyN(io.Discard, resp.Body, 64<<10)
	}
	_ = c.conn.Close()
	whole := <-wrote == len(raw)
	switch {
	case err == nil:
		return c.outcome(resp)
	case !whole: // so it cannot have been carried out
		return source.MarkDown(ctx, fmt.Errorf("sending the request to the origin: %w", err), true)
	}
	err = source.MarkDown(ctx, fmt.Errorf("waiting for the origin's answer: %w", err), lost(err))
	return source.Mark(err, source.ErrUnknownOutcome)
}

// request is the request and its bytes.
func (c *change) request(ctx context.Context) (*http.Request, []byte, error) {
	req, err := c.o.request(ctx, c.method, c.target, c.body)
	if err != nil {
		return nil, nil, err
	}
	req.Close = true
	if c.body != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	for name, values := range c.state {
		req.Header[name] = values
	}
	var raw bytes.Buffer
	err = req.Write(&raw)
	return req, raw.Bytes(), err
}

// maxInterim bounds the answers (1xx) before the one that counts.
const maxInterim = 5

// readAnswer reads the header of the answer that counts, and bounds what is read of it.
func readAnswer(conn net.Conn, req *http.Request) (*http.Response, error) {
	limited := &io.LimitedReader{R: conn}
	resp, err := nextAnswer(bufio.NewReader(limited), limited, req)
	limited.N = 128 << 10
	return resp, err
}

// nextAnswer reads headers until one comes that is not interim.
func nextAnswer(in *bufio.Reader, limited *io.LimitedReader, req *http.Request) (*http.Response, error) {
	for range 1 + maxInterim {
		limited.N = maxHeader
		resp, err := http.ReadResponse(in, req)
		switch {
		case err != nil:
			return nil, err
		case resp.StatusCode >= 200:
			return resp, nil
		case resp.StatusCode == http.StatusSwitchingProtocols:
			return nil, errors.New("the origin changes to another protocol")
		}
	}
	return nil, fmt.Errorf("the origin sends more than %d interim answers", maxInterim)
}

// outcome says what a status means for a change. 4xx is the origin's word that it has
// not made it. So is 503 with Retry-After; the other 5xx may come from a gateway that
// did not wait for the origin.
func (c *change) outcome(resp *http.Response) error {
	code := resp.StatusCode
	err := fmt.Errorf("the origin answers %s with status %d", c.method, code)
	fault := source.Mark(err, source.ErrFault)
	switch code {
	case http.StatusAccepted: // and will do it some time
		return source.Mark(err, source.ErrUnknownOutcome)
	case http.StatusNotFound, http.StatusGone:
		return source.ErrNoRecord
	case http.StatusConflict, http.StatusLocked:
		return &source.StatusError{Status: http.StatusConflict, Detail: "the source refuses the change because of the state that the record is in; read it again"}
	case http.StatusPreconditionFailed:
		return &source.ConditionError{Reason: "the record was changed at its source in between: read it again"}
	case http.StatusPreconditionRequired:
		return &source.StatusError{Status: code, Detail: "the source takes no change without a condition: send the tag of a read in If-Record-Match"}
	case http.StatusRequestEntityTooLarge:
		return &source.StatusError{Status: code, Detail: "the body has more bytes than the source takes"}
	case http.StatusBadRequest, http.StatusUnprocessableEntity:
		return source.Mark(err, &source.BodyError{Reason: "the source does not take this as a record of its kind"})
	case http.StatusUnauthorized, http.StatusForbidden, http.StatusMethodNotAllowed, http.StatusProxyAuthRequired, http.StatusNotImplemented,
		http.StatusMovedPermanently, http.StatusTemporaryRedirect, http.StatusPermanentRedirect: // a write is not redirected
		return source.Mark(fault, errForbidden)
	case http.StatusRequestTimeout, http.StatusTooEarly:
		return err
	case http.StatusTooManyRequests:
		return spared(resp, source.Mark(err, source.ErrDown))
	case http.StatusServiceUnavailable:
		if retryAfter(resp.Header, time.Now()) > 0 {
			return spared(resp, source.Mark(err, source.ErrDown))
		}
	}
	switch {
	case code < 300:
		return nil
	case code < 400: // as after a login that is missing, or after a form that was taken
		return source.Mark(err, source.ErrUnknownOutcome)
	case code < 500:
		return fault
	}
	return source.Mark(source.Mark(err, source.ErrDown), source.ErrUnknownOutcome)
}

// Over implements source.Change: HTTP has no way to ask.
func (c *change) Over(context.Context) (bool, error) {
	if c.unknown {
		return false, fmt.Errorf("a request to the origin of resource %q: %w", c.o.cfg.Name, source.ErrNoOutcome)
	}
	return c.ended, nil
}

// Rollback implements source.Change: nothing was sent.
func (c *change) Rollback() {
	c.ended = true
	_ = c.conn.Close()
}
