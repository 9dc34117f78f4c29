package handlers

import (
	"fmt"
	"strings"
	"testing"

	"hearth/internal/testkit"
)

// streams are what peers may send: what the wire path answers, what it has to leave, and
// both behind each other.
func streams(etag string) []string {
	plain := wireGet("/user/1")
	all := []string{
		plain, wireHEAD("/user/1"), wireGet("/user/2?x=1&y=/user/3"), wireGet("/user/404"), wireHEAD("/user/404"), wireGet("/user/777"),
		wireGet("/item/a_b.c"), wireGet("/bare/" + bareID), wireGet("/item/none"), wireGet("/item/count"), wireGet("/pair/a/of/1"),
		wireGet("/user/9"), wireHEAD("/user/9"), wireGet("/user/9", "Accept-Encoding: br, gzip"), wireHEAD("/user/9", "accept-encoding:gzip;q=1"),
		wireGet("/user/9", "Accept-Encoding: gzip;q=0"), wireGet("/user/1", "Accept-Encoding: gzip"),
		wireGet("/user/1", "If-None-Match: "+etag), wireHEAD("/user/1", "IF-NONE-MATCH:  \t"+etag+" "), wireGet("/user/1", `If-None-Match: "x", *`),
		wireGet("/user/1", "If-None-Match: *"), wireGet("/user/9", "If-None-Match: *", "Accept-Encoding: gzip"), wireGet("/user/404", "If-None-Match: *"),
		wireGet("/user/1", "If-None-Match:"), wireGet("/user/1", `If-None-Match: "x"`, "If-None-Match: "+etag),
		wireGet("/user/1", "If-Match: "+etag), wireGet("/user/1", "If-Match: *"), wireGet("/user/1", "If-Modified-Since: x", "Range: bytes=0-1"),
		wireGet("/user/1", "X-Request-Id: abc-1"), wireGet("/user/1", "X-Request-Id: a b"), wireGet("/user/1", "X-Request-Id:"),
		wireGet("/user/404", "x-request-id: abc", "Origin: https://app.test"), wireGet("/user/1", "X-Request-Id: a", "X-Request-Id: b"),
		wireGet("/user/1", "Origin: https://app.test"), wireGet("/user/1", "Origin: https://other.test", "X-Request-Id: 1"), wireGet("/user/1", "Origin:"),
		wireGet("/user/1", "Traceparent: 00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01", "X-Forwarded-For: 192.0.2.1, 192.0.2.2"),
		wireGet("/user/1", "Connection: keep-alive"), wireGet("/user/1", "Connection: Keep-Alive, x"), wireGet("/user/1", "Connection: close"),
		wireGet("/user/1", "Connection: close") + plain, wireGet("/user/1", "Connection: upgrade", "Upgrade: h2c", "HTTP2-Settings: x"),
		wireGet("/user/1", "Content-Length: 0"), wireGet("/user/1", "Content-Length: 3") + "abc" + plain, wireGet("/user/1", "Expect: 100-continue"),
		wireGet("/user/1", "Expect: x"), wireGet("/user/1", "Transfer-Encoding: chunked") + "0\r\n\r\n" + plain, wireGet("/user/1", "Trailer: X"),
		wireGet("/user/1", "Host: other"), wireGet("/user/1", "X:"), wireGet("/user/1", "X: a\tb", "Y:\t"), wireGet("/user/1", "X: \xc3\xa9"), wireGet("/user/1", "X: \x01"),
		wireGet("/user/1", "X: a", " folded"), wireGet("/user/1", "X : a"), wireGet("/user/1", "X Y: a"), wireGet("/user/1", ": a"), wireGet("/user/1", "nothing"),
		wireGet("/user/1", "X: a\rb"), wireGet("/user/1", "X: a\n"), wireGet("/user/1", "\n"), wireGet("/user/1", "Cookie: a=b; c=d", "TE: trailers"),
		"GET /user/1 HTTP/1.1\r\n\r\n", "GET /user/1 HTTP/1.1\r\nHost:\r\n\r\n", "GET /user/1 HTTP/1.1\r\nHost: [::1]:80\r\n\r\n",
		"GET /user/1 HTTP/1.1\r\nHost: a:b\r\n\r\n", "GET /user/1 HTTP/1.1\r\nHost: a b\r\n\r\n", "GET /user/1 HTTP/1.1\r\nHost: a:1:2\r\n\r\n",
		"GET /user/1 HTTP/1.1\r\nHost: a@b\r\n\r\n", "GET /user/1 HTTP/1.1\r\nhOST:a\r\n\r\n", "GET /user/1 HTTP/1.1\nHost: a\n\n",
		"GET /user/1 HTTP/1.0\r\nHost: a\r\n\r\n", "GET /user/1 HTTP/1.0\r\nHost: a\r\nConnection: keep-alive\r\n\r\n" + plain,
		"GET /user/1 HTTP/2.0\r\nHost: a\r\n\r\n", "GET /user/1\r\n\r\n", "get /user/1 HTTP/1.1\r\nHost: a\r\n\r\n", "GET  /user/1 HTTP/1.1\r\nHost: a\r\n\r\n",
		"GET /user/1  HTTP/1.1\r\nHost: a\r\n\r\n", "GET /user/1 HTTP/1.1 \r\nHost: a\r\n\r\n", "\r\n" + plain, plain + "\r\n" + plain, plain + "\r\n",
		"GET http://a/user/1 HTTP/1.1\r\nHost: a\r\n\r\n", wireGet("//user/1"), wireGet("/user/1#x"), wireGet("/user/1?#x"), wireGet("/user/%31"), wireGet("/user/01"), wireGet("/user/"),
		wireGet("/user"), wireGet("/user/1/"), wireGet("/user/1/2"), wireGet("/user/./1"), wireGet("/user/x"), wireGet("/user/1?\x7f"), wireGet("/user/1?\xff"), wireGet("/user/1?a b"),
		wireGet("/"), wireGet("/healthz"), wireGet("/docs"), wireGet("/user?user_id=1&user_id=2"), wireGet("/concurrent_test"), "OPTIONS /user/1 HTTP/1.1\r\nHost: a\r\n\r\n",
		"DELETE /user/5 HTTP/1.1\r\nHost: a\r\n\r\n" + plain, wirePOST("/batch_process", `[{"id":"z"}]`) + plain, wirePOST("/user/1", "x") + plain,
		strings.Replace(wirePOST("/user/2", `{"name":"new"}`), "POST", "PUT", 1) + wireGet("/user/2") + wireGet("/user/2") + wireGet("/user/2"),
		plain + wireHEAD("/user/9") + wireGet("/user/404") + wireGet("/user/1", "If-None-Match: *") + wireGet("/bare/"+bareID),
		plain + wireGet("/user/888") + plain, plain + wireGet("/user/1", "Connection: close") + plain, plain + "GET /user/1 HTT", plain + plain[:len(plain)-1],
		plain + "nonsense\r\n\r\n" + plain, plain + wireGet("/user/1", "X: "+strings.Repeat("x", 3000)),
	}
	return append(all, strings.Repeat(plain, 16), strings.Repeat(plain+wireHEAD("/user/404"), 50))
}

// TestWirePathIsTheFastPath: whatever peers send, and in whatever pieces it comes, they get the
// same bytes on either way, the connection goes on or ends at the same place, and the same
// is counted.
func TestWirePathIsTheFastPath(t *testing.T) {
	p := newWirePair(t)
	etag := etagOf(t, p)
	stride, bytewise := 29, 8
	if testkit.Long() {
		stride, bytewise = 1, 1
	}
	for n, stream := range streams(etag) {
		whole := []byte(stream)
		on, off := p.same(t, whole)
		if on.writes > off.writes+1 { // one for what stands before the first request that is left to fasthttp
			t.Errorf("%.80q: answered with %d writes, want %d at most", stream, on.writes, off.writes+1)
		}
		// A different start for each stream, so that all kinds of places come up.
		for i := n % stride; i < min(len(whole), 400); i += stride {
			p.same(t, whole[:i], whole[i:])
		}
		if n%bytewise == 0 && len(whole) < 400 {
			pieces := make([][]byte, len(whole))
			for i := range whole {
				pieces[i] = whole[i : i+1]
			}
			p.same(t, pieces...)
		}
		if testkit.Long() {
			p.sameCounts(t, stream)
		}
	}
	p.sameCounts(t, "all streams")
}

// TestWirePathUnderOtherConfigurations: origins that are listed, answers that caches may keep, and
// limits.
func TestWirePathUnderOtherConfigurations(t *testing.T) {
	changes := map[string][]func(*Config, *Deps){
		"listed origins": {func(c *Config, _ *Deps) { c.CORS.Origins = []string{"https://app.test"} }},
		"no origins":     {func(c *Config, _ *Deps) { c.CORS.Origins = nil }},
		"storable": {func(c *Config, _ *Deps) {
			for i := range c.Resources {
				c.Resources[i].CacheControl = "max-age=60"
			}
		}},
		"limits": {limited(t, "a", 1<<30, ByGlobal, "", users)},
		"slow":   {func(c *Config, _ *Deps) { c.Slow = 1 }},
		"all":    {func(c *Config, _ *Deps) { c.AccessSample = 1 }},
	}
	for name, change := range changes {
		t.Run(name, func(t *testing.T) {
			p := newWirePair(t, change...)
			for _, stream := range streams(`"x"`) {
				p.same(t, []byte(stream))
			}
			p.sameCounts(t, "all streams")
		})
	}
}

// TestWirePathEndsWithTheDrain: from its beginning on, answers end their connections.
func TestWirePathEndsWithTheDrain(t *testing.T) {
	state := Serving
	p := newWirePair(t, func(_ *Config, d *Deps) { d.State = func() State { return state } })
	state = Draining
	got, _ := p.on.serve(t, []byte(wireGet("/user/1")+wireGet("/user/1")))
	if strings.Count(got.sent, "\r\nConnection: close\r\n") != 1 || strings.Count(got.sent, "HTTP/1.1 200 OK\r\n") != 1 || got.ended {
		t.Errorf("while draining: answered %q", got.sent)
	}
}

// TestWirePathAnswersInBoundedWrites: a peer that sends thousands of requests at once gets
// all answers, and each write is bounded.
func TestWirePathAnswersInBoundedWrites(t *testing.T) {
	p := newWirePair(t)
	var all strings.Builder
	for i := range 3000 {
		all.WriteString(wireGet(fmt.Sprint("/user/", 1+i%2)))
	}
	all.WriteString(strings.Repeat(wireGet("/user/9"), 100))
	on, _ := p.same(t, []byte(all.String()))
	if limit := maxBatch + 8<<10; on.largest > limit {
		t.Errorf("one write of %d bytes, want %d at most", on.largest, limit)
	}
}

// TestWirePathPanics: what panics is left to the way on which that is answered.
func TestWirePathPanics(t *testing.T) {
	w := newWireServer(t, true)
	p := wirePair{w, newWireServer(t, false)}
	for range 3 {
		p.same(t, []byte(wireGet("/user/1")))
	}
	w.memory = nil
	got, _ := w.serve(t, []byte(wireGet("/user/1")))
	if !strings.HasPrefix(got.sent, "HTTP/1.1 500 ") || !strings.Contains(got.log, "a batch of requests panicked") {
		t.Errorf("answered %q, logged %q", got.sent, got.log)
	}
}

// etagOf is the validator of /user/1.
func etagOf(t *testing.T, p *wirePair) string {
	t.Helper()
	got, _ := p.off.serve(t, []byte(wireGet("/user/1")))
	p.on.serve(t, []byte(wireGet("/user/1")))
	_, after, _ := strings.Cut(got.sent, "\r\nETag: ")
	etag, _, found := strings.Cut(after, "\r\n")
	if !found {
		t.Fatalf("no validator in %q", got.sent)
	}
	return etag
}

// FuzzWirePath is TestWirePathIsTheFastPath with what a fuzzer thinks of: a stream, cut at two
// places.
func FuzzWirePath(f *testing.F) {
	p := newWirePair(f)
	for _, stream := range streams(`W/"x"`) {
		f.Add([]byte(stream), uint16(0), uint16(len(stream)/2))
	}
	f.Fuzz(func(t *testing.T, stream []byte, first, second uint16) {
		if len(stream) > 4<<10 {
			return
		}
		a, b := int(first)%(len(stream)+1), int(second)%(len(stream)+1)
		a, b = min(a, b), max(a, b)
		p.same(t, stream[:a], stream[a:b], stream[b:])
	})
}
