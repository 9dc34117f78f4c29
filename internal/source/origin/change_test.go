package origin_test

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"testing"
	"time"

	"hearth/internal/jsonvalue"
	"hearth/internal/source"
	"hearth/internal/source/origin"
	"hearth/internal/testkit"
)

func writable(c *origin.Config) { c.CanPut, c.CanDelete = true, true }

func body(text string) jsonvalue.Node { return jsonvalue.Node{Value: []byte(text)} }

// put writes and commits, as the cache does.
func put(ctx context.Context, o *origin.Origin, id, text string) (source.Forwarded, error) {
	change, err := o.Put(ctx, source.Args{id}, body(text))
	if err != nil {
		return nil, err
	}
	return change.(source.Forwarded), change.Commit(ctx)
}

// verdict names what an error of a write says.
func verdict(err error) string {
	var status *source.StatusError
	var bad *source.BodyError
	var unmet *source.ConditionError
	switch {
	case errors.Is(err, source.ErrUnknownOutcome):
		return "unknown"
	case errors.As(err, &status):
		return fmt.Sprint(status.Status)
	case errors.As(err, &bad):
		return "body"
	case errors.As(err, &unmet):
		return "condition"
	}
	return blame(err)
}

// TestWhatAStatusMeansForAWrite, and that nothing is sent twice.
func TestWhatAStatusMeansForAWrite(t *testing.T) {
	t.Parallel()
	server := testkit.StartOrigin(t)
	server.Answer("GET /r/x", ok(`{"now":1}`))
	o := openAt(t, server.URL(), writable)
	sent := 0
	f := func(want, raw string) {
		t.Helper()
		sent++
		for _, method := range []string{"PUT", "DELETE"} {
			server.Play(method+" /r/x", func(x *testkit.Exchange) { x.Send(raw); x.End() })
			var change source.Change
			var err error
			if method == "PUT" {
				change, err = o.Put(t.Context(), source.Args{"x"}, body(`{"a":1}`))
			} else {
				change, err = o.Delete(t.Context(), source.Args{"x"})
			}
			if err != nil {
				t.Fatal(err)
			}
			if server.Asked(method, "/r/x") != sent-1 {
				t.Errorf("%s was sent before its commit", method)
			}
			err = change.Commit(t.Context())
			if got := verdict(err); got != want {
				t.Errorf("%s, %.60q: got %s, %v, want %s", method, raw, got, err, want)
			}
			if n := server.Asked(method, "/r/x"); n != sent {
				t.Errorf("%s, %.60q: %d requests, want %d", method, raw, n, sent)
			}
			over, why := change.Over(t.Context())
			if unknown := want == "unknown"; over == unknown || errors.Is(why, source.ErrNoOutcome) != unknown {
				t.Errorf("%s, %.60q: over %t, %v", method, raw, over, why)
			}
		}
	}
	for want, codes := range map[string][]int{
		"ok": {200, 201, 203, 204, 205}, "none": {404, 410}, "409": {409, 423}, "condition": {412}, "428": {428}, "413": {413}, "body": {400, 422},
		"fault": {401, 403, 405, 407, 415, 451, 501, 301, 307, 308}, "other": {408, 425}, "down": {429},
		"unknown": {202, 302, 303, 304, 500, 502, 503, 504, 507},
	} {
		for _, code := range codes {
			length := "Content-Length: 0\r\n"
			if code == 204 || code == 304 {
				length = ""
			}
			f(want, fmt.Sprintf("HTTP/1.1 %d X\r\nLocation: /r/y\r\n%s\r\n", code, length))
		}
	}
	f("down", "HTTP/1.1 503 X\r\nRetry-After: 3\r\nContent-Length: 0\r\n\r\n")
	f("ok", "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\ncut") // its status has said it
	f("unknown", "")
	f("unknown", "HTTP/1.1 20")
	f("unknown", "220 smtp\r\n\r\n")
	f("unknown", "HTTP/1.1 101 X\r\n\r\n")
	f("unknown", strings.Repeat("HTTP/1.1 103 X\r\n\r\n", 20))
	f("unknown", "HTTP/1.1 200 OK\r\nX: "+strings.Repeat("h", 100<<10))
	if n := server.Asked("GET", "/r/y") + server.Asked("PUT", "/r/y"); n != 0 {
		t.Errorf("a redirect of a write was followed")
	}
}

// TestWhatAWriteSends: the body, the token and nothing of the client's, and after it
// the record is read, past every cache on the way.
func TestWhatAWriteSends(t *testing.T) {
	t.Parallel()
	server := testkit.StartOrigin(t)
	server.Answer("PUT /r/a b", "HTTP/1.1 200 OK\r\nContent-Length: 15\r\n\r\n{\"status\":\"ok\"}")
	server.Answer("GET /r/a b", ok(` {"now": 2}`, "Cache-Control: private"))
	o := openAt(t, server.URL(), writable, func(c *origin.Config) { c.Token = func() string { return "t0ken" } })
	ctx := source.Caller{RequestID: "id.1"}.In(t.Context())
	change, err := put(ctx, o, "a b", `{"a":1}`)
	if err != nil {
		t.Fatal(err)
	}
	term, known := change.Left()
	if string(change.Record()) != `{"now":2}` || !known || term.Unshared == "" {
		t.Errorf("it has left %s, %+v, %t", change.Record(), term, known)
	}
	requests := server.Requests()
	if len(requests) != 2 {
		t.Fatalf("%d requests", len(requests))
	}
	write, read := requests[0], requests[1]
	if write.Method != "PUT" || write.RequestURI != "/r/a%20b" || write.Content != `{"a":1}` || write.Header.Get("Content-Type") != "application/json" {
		t.Errorf("sent %s %s %s %v", write.Method, write.RequestURI, write.Content, write.Header)
	}
	for _, x := range requests {
		if x.Header.Get("Authorization") != "Bearer t0ken" || x.Header.Get("X-Request-Id") != "id.1" || x.Header.Get("Cookie") != "" {
			t.Errorf("%s: header %v", x.Method, x.Header)
		}
	}
	if read.Method != "GET" || read.Header.Get("Cache-Control") != "no-cache" {
		t.Errorf("read back by %s, %v", read.Method, read.Header)
	}
	server.Answer("GET /r/a b", "HTTP/1.1 500 X\r\nContent-Length: 0\r\n\r\n")
	change, err = put(ctx, o, "a b", `{"a":2}`)
	if _, known := change.Left(); err != nil || known || change.Record() != nil {
		t.Errorf("what cannot be read: %v, known %t, %s", err, known, change.Record())
	}
}

// TestAWriteThatIsNotSentWhole has not happened; one that was sent whole may have.
func TestAWriteThatIsNotSentWhole(t *testing.T) {
	t.Parallel()
	server := testkit.StartOrigin(t)
	release := make(chan struct{})
	server.Play("PUT /r/slow", func(*testkit.Exchange) { <-release })
	o := openAt(t, server.URL(), writable, func(c *origin.Config) { c.Timeout = 200 * time.Millisecond })
	if _, err := put(t.Context(), o, "slow", `{}`); verdict(err) != "unknown" || !errors.Is(err, source.ErrDown) {
		t.Errorf("no answer in time: got %v", err)
	}
	// The handshake is done and nobody reads: the buffers of the kernel do not take it all.
	silent, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer silent.Close()
	o = openAt(t, "http://"+silent.Addr().String(), writable, func(c *origin.Config) { c.Timeout = 200 * time.Millisecond })
	if _, err := put(t.Context(), o, "x", `{"a":"`+strings.Repeat("x", 16<<20)+`"}`); verdict(err) != "down" {
		t.Errorf("nobody reads the request: got %v", err)
	}
	close(release)
	server.Close()
	o = openAt(t, server.URL(), writable)
	if _, err := put(t.Context(), o, "x", `{}`); verdict(err) != "down" {
		t.Errorf("nobody is there: got %v", err)
	}
	if _, err := openAt(t, server.URL()).Put(t.Context(), source.Args{"x"}, body(`{}`)); !errors.Is(err, source.ErrReadOnly) {
		t.Errorf("without origin_writes: got %v", err)
	}
}

// TestConditionsOfWrites: judged by the record, kept by the origin's own tag.
func TestConditionsOfWrites(t *testing.T) {
	t.Parallel()
	server := testkit.StartOrigin(t)
	server.Answer("PUT /r/x", "HTTP/1.1 204 X\r\n\r\n")
	server.Answer("DELETE /r/x", "HTTP/1.1 204 X\r\n\r\n")
	o := openAt(t, server.URL(), writable)
	f := func(get, want, sent, reason string) {
		t.Helper()
		server.Answer("GET /r/x", get)
		before := server.Asked("PUT", "/r/x")
		ctx := source.Condition(func([]byte) string { return reason }).In(t.Context())
		_, err := put(ctx, o, "x", `{}`)
		if got := verdict(err); got != want {
			t.Errorf("%.60q: got %v, want %s", get, err, want)
		}
		got := ""
		for _, x := range server.Requests() {
			if x.Method == "PUT" {
				got = cmp.Or(x.Header.Get("If-Match"), x.Header.Get("If-None-Match"))
			}
		}
		if n := server.Asked("PUT", "/r/x") - before; want == "ok" && got != sent || want != "ok" && n != 0 {
			t.Errorf("%.60q: sent %d requests, under %q, want %q", get, n, got, sent)
		}
	}
	f(ok(`1`, `ETag: "v1"`), "ok", `"v1"`, "")
	f(ok(`1`, `ETag: "v1"`), "condition", "", "no")
	f(ok(`1`, `ETag: W/"v1"`), "condition", "", "")
	f(ok(`1`), "condition", "", "")
	f("HTTP/1.1 404 X\r\nContent-Length: 0\r\n\r\n", "ok", "*", "")
	f("HTTP/1.1 500 X\r\nContent-Length: 0\r\n\r\n", "down", "", "")
}

// TestReadersFollowAWrite: the address leads to another server by now, and readers are
// still connected to the one before, which answers.
func TestReadersFollowAWrite(t *testing.T) {
	t.Parallel()
	before, after := testkit.StartOrigin(t), testkit.StartOrigin(t)
	before.Answer("GET /r/x", ok(`"before"`))
	after.Answer("GET /r/x", ok(`"after"`))
	after.Answer("PUT /r/x", "HTTP/1.1 204 X\r\n\r\n")
	address := testkit.NewRelay(t, before.Address())
	o := openAt(t, "http://"+address.Addr(), writable)
	read := func(want string) {
		t.Helper()
		if got, err := o.Load(t.Context(), source.Args{"x"}); string(got) != want || err != nil {
			t.Errorf("got %s, %v, want %s", got, err, want)
		}
	}
	read(`"before"`)
	address.Retarget(after.Address())
	read(`"before"`) // nothing has told of the move
	change, err := put(t.Context(), o, "x", `{}`)
	if err != nil || string(change.Record()) != `"after"` {
		t.Errorf("the write: %v, %s", err, change.Record())
	}
	read(`"after"`)
}
