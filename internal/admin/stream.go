package admin

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"runtime/debug"
	"strconv"
	"time"

	"github.com/valyala/fasthttp"

	"hearth/internal/auth"
)

// tick answers with the newest tick.
func (a *Admin) tick(ctx *fasthttp.RequestCtx) {
	latest := a.config.Watch.Latest()
	if latest == nil {
		problem(ctx, fasthttp.StatusServiceUnavailable, "there is no tick yet; there is one each second", fasthttp.HeaderRetryAfter, "1")
		return
	}
	ctx.SetContentType("application/json")
	ctx.SetBody(latest)
}

// history answers with the numbers of a span. It costs some work, so pages of other sites may
// not ask for it, though they could not read the answer.
func (a *Admin) history(ctx *fasthttp.RequestCtx) {
	if !refuseForeign(ctx) {
		return
	}
	span, fault := a.only(ctx, "span", "hour")
	history, ok := a.config.Watch.History(span)
	switch {
	case fault != "":
		problem(ctx, fasthttp.StatusUnprocessableEntity, fault)
		return
	case !ok:
		problem(ctx, fasthttp.StatusUnprocessableEntity, `span must be "hour" or "day"`)
		return
	}
	ctx.SetContentType("application/json")
	respondPacked(ctx, history)
}

// respondPacked answers with content, in gzip where that is accepted.
func respondPacked(ctx *fasthttp.RequestCtx, content []byte) {
	ctx.Response.Header.Set(fasthttp.HeaderVary, fasthttp.HeaderAcceptEncoding)
	if ctx.Request.Header.HasAcceptEncoding("gzip") {
		ctx.Response.Header.Set(fasthttp.HeaderContentEncoding, "gzip")
		content = compressed(content)
	}
	ctx.SetBody(content)
}

// compressed is content in gzip, made quickly rather than small.
func compressed(content []byte) []byte {
	var out bytes.Buffer
	w, err := gzip.NewWriterLevel(&out, gzip.BestSpeed)
	if err == nil {
		_, err = w.Write(content)
	}
	if err = errors.Join(err, w.Close()); err != nil {
		panic("BUG: a buffer refused bytes: " + err.Error())
	}
	return out.Bytes()
}

// only is the value of the one parameter that a query may have, or otherwise without it. fault
// says what is wrong with the query.
func (a *Admin) only(ctx *fasthttp.RequestCtx, name, otherwise string) (value, fault string) {
	value = otherwise
	seen := 0
	for key, v := range ctx.QueryArgs().All() {
		if string(key) != name {
			return "", "the query may have " + name + " and nothing else"
		}
		if seen++; seen > 1 {
			return "", name + " may be given once"
		}
		value = string(v)
	}
	return value, ""
}

// stream sends each tick as an event (Server-Sent Events, HTML standard, 9.2), until the peer
// leaves, the server ends, or the token is none any more. Places are few, and a page of another
// site could take them without reading a word.
func (a *Admin) stream(ctx *fasthttp.RequestCtx) {
	if !refuseForeign(ctx) {
		return
	}
	h := &ctx.Response.Header
	ctx.SetContentType("text/event-stream; charset=utf-8")
	h.Set("X-Accel-Buffering", "no") // nginx keeps answers back otherwise
	if ctx.IsHead() {
		return
	}
	ticks, stop, ok := a.config.Watch.Follow()
	if !ok {
		problem(ctx, fasthttp.StatusServiceUnavailable, "as many follow the stream as may; try again later, or ask /api/tick", fasthttp.HeaderRetryAfter, "5")
		return
	}
	s := &stream{admin: a, ticks: ticks, stop: stop, authorization: copied(credentials(ctx, true))}
	s.conn, _ = ctx.Conn().(watchedConn)
	s.had = string(ctx.Request.Header.Peek("Last-Event-ID"))
	if !ctx.Request.Header.IsHTTP11() {
		s.answerOld(ctx)
		return
	}
	// The connection's own goroutine reads it: there is no other that could be left behind.
	ctx.SetBodyStream(s, -1)
	ctx.Response.ImmediateHeaderFlush = true
	ctx.SetConnectionClose()
}

// silence is how long a stream may have nothing to say; there is a tick each second.
const silence = 5 * time.Second

// stream is the content of an answer without an end. Only the goroutine of the connection
// uses it.
type stream struct {
	admin         *Admin
	ticks         <-chan []byte
	stop          func()
	conn          watchedConn // nil: nobody keeps timeouts
	authorization [][]byte
	had           string // the event that the client had last; "": none
	begun         bool
	rest          []byte // of an event that did not fit
}

// Read waits for the next tick. Meanwhile no timeout runs: it is not the peer that is slow. What
// is returned is sent at once, within the time that an answer may take.
func (s *stream) Read(p []byte) (n int, err error) {
	defer func() {
		if fault := recover(); fault != nil { // fasthttp has no recover of its own
			s.admin.config.Log.Error("a stream panicked", "panic", fault, "stack", string(debug.Stack()))
			n, err = 0, io.EOF
		}
	}()
	if len(s.rest) == 0 {
		if s.conn != nil {
			s.conn.Handling()
			defer s.conn.Writing()
		}
		event, open := s.next()
		if !open || !s.admin.config.Valid(s.authorization, auth.Admin) {
			return 0, io.EOF
		}
		if !s.begun {
			s.begun, s.rest = true, append(s.rest, "retry: 1000\n\n"...)
		}
		s.rest = append(s.rest, event...)
	}
	n = copy(p, s.rest)
	s.rest = s.rest[n:]
	return n, nil
}

// next is the next event, or a comment when none comes for longer than that should take: what is
// written tells whether the peer is there still, and a proxy in between that it is to wait on.
// open is false when there will be none.
func (s *stream) next() (event []byte, open bool) {
	timer := time.NewTimer(s.admin.silence)
	defer timer.Stop()
	for {
		select {
		case tick, open := <-s.ticks:
			id := idOf(tick)
			if had := s.had; open && id != "" && had == id {
				s.had = "" // it comes back with the newest tick: the next one is news
				continue
			}
			s.had = ""
			return fmt.Appendf(nil, "event: tick\n%sdata: %s\n\n", lineOf(id), tick), open
		case <-timer.C:
			return []byte(": there is no tick yet\n\n"), true
		}
	}
}

// idOf is the number of a tick; "" for none.
func idOf(tick []byte) string {
	var t struct{ Seq uint64 }
	if err := json.Unmarshal(tick, &t); err != nil || t.Seq == 0 {
		return ""
	}
	return strconv.FormatUint(t.Seq, 10)
}

func lineOf(id string) string {
	if id == "" {
		return ""
	}
	return "id: " + id + "\n"
}

// answerOld answers a client of HTTP/1.0, as nginx is one towards the servers behind it unless told
// otherwise: the content has no length and no chunks, and ends with the connection (RFC 9112,
// section 6.3). fasthttp cannot write that, so it is written here, and fasthttp is left with a
// connection that it only closes.
func (s *stream) answerOld(ctx *fasthttp.RequestCtx) {
	defer func() { _ = s.Close() }()
	ctx.HijackSetNoResponse(true)
	ctx.Hijack(func(net.Conn) {})
	head := []byte("HTTP/1.1 200 OK\r\nConnection: close\r\n")
	for name, value := range ctx.Response.Header.All() {
		if n := string(name); n != fasthttp.HeaderContentLength && n != fasthttp.HeaderConnection && n != fasthttp.HeaderTransferEncoding {
			head = fmt.Appendf(head, "%s: %s\r\n", name, value)
		}
	}
	if s.conn != nil {
		s.conn.Writing()
	}
	buffer := make([]byte, 4096)
	_, err := ctx.Conn().Write(append(head, "\r\n"...))
	for err == nil {
		var n int
		if n, err = s.Read(buffer); err == nil {
			_, err = ctx.Conn().Write(buffer[:n])
		}
	}
}

// Close ends the stream: the answer is over, or its peer is gone.
func (s *stream) Close() error {
	s.stop()
	return nil
}

// copied are lines that outlive their request.
func copied(lines [][]byte) (all [][]byte) {
	for _, line := range lines {
		all = append(all, bytes.Clone(line))
	}
	return all
}
