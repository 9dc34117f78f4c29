package origin_test

import (
	"bytes"
	"compress/gzip"
	"crypto/tls"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"hearth/internal/param"
	"hearth/internal/source"
	"hearth/internal/source/origin"
	"hearth/internal/testkit"
)

// openAt opens the records that lie under /r/ of a server.
func openAt(t *testing.T, base string, change ...func(*origin.Config)) *origin.Origin {
	t.Helper()
	cfg := origin.Config{URL: urlOf(t, base+"/r/{id}"), Params: []param.Param{{Name: "id", Type: "string"}}, MaxBody: 4096}
	for _, f := range change {
		f(&cfg)
	}
	return open(t, cfg)
}

func ok(body string, fields ...string) string {
	return fmt.Sprintf("HTTP/1.1 200 OK\r\n%sContent-Length: %d\r\n\r\n%s", strings.Join(append(fields, ""), "\r\n"), len(body), body)
}

func packed(text string) string {
	var b bytes.Buffer
	w := gzip.NewWriter(&b)
	_, _ = w.Write([]byte(text))
	_ = w.Close()
	return b.String()
}

// blame names what an error says of the source.
func blame(err error) string {
	for _, one := range []struct {
		err  error
		name string
	}{{nil, "ok"}, {source.ErrNoRecord, "none"}, {source.ErrDown, "down"}, {source.ErrFault, "fault"}, {source.ErrNotJSON, "not json"}} {
		if errors.Is(err, one.err) {
			return one.name
		}
	}
	return "other"
}

// TestWhatOriginsAnswer plays answers that no library sends, and each is judged as
// what it is. After each one the next record is read as it should be: nothing of one
// answer is taken for the next.
func TestWhatOriginsAnswer(t *testing.T) {
	t.Parallel()
	server := testkit.StartOrigin(t)
	server.Answer("/r/well", ok(`{"well":1}`))
	n := 0
	f := func(want, raw string) {
		t.Helper()
		n++
		server.Play("/r/x", func(x *testkit.Exchange) { x.Send(raw); x.End() })
		o := openAt(t, server.URL())
		record, err := o.Load(t.Context(), source.Args{"x"})
		got := blame(err)
		if err == nil {
			got = string(record)
		}
		if got != want {
			t.Errorf("%d. %.70q: got %s, %v, want %s", n, raw, got, err, want)
		}
		if record, err := o.Load(t.Context(), source.Args{"well"}); string(record) != `{"well":1}` {
			t.Errorf("%d. behind %.70q: got %s, %v", n, raw, record, err)
		}
	}
	const chunked = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n"
	f(`{"a":1}`, ok(`{"a":1}`))
	f(`{"a":1}`, chunked+"\r\n4\r\n{\"a\"\r\n3\r\n:1}\r\n0\r\n\r\n")
	f(`{"a":1}`, chunked+"Trailer: X\r\n\r\n7\r\n{\"a\":1}\r\n0\r\nX: y\r\n\r\n")
	f(`{"a":1}`, "HTTP/1.0 200 OK\r\n\r\n{\"a\":1}")
	f(`{"a":1}`, "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n"+ok(`{"a":1}`))
	f(`{"a":1}`, ok(packed(`{"a":1}`), "Content-Encoding: gzip"))
	f(`{"a":1}`, ok(packed(`{"a":1}`), "Content-Encoding: X-GZIP"))
	f(`{"a":1}`, strings.Replace(ok(`{"a":1}`), "200 OK", "203 Changed", 1))
	f(`{"a":1}`, ok(`{"a":1}`, "X: "+strings.Repeat("h", 20000)))
	f(`{"a":"é"}`, ok(`{"a":"é"}`, "Content-Type: application/json; charset=UTF-8"))
	f(`{"a":1}`, ok(`{"a":1}`, "Content-Type: text/plain; charset=iso-8859-1"))
	f("not json", ok(`{"a":"Ã©"}`, "Content-Type: application/json; charset=iso-8859-1"))
	f("not json", ok("{\"a\":\"\xe9\"}"))
	f("not json", ok("\ufeff{}"))
	f("not json", ok(`{"a":1}`, "Content-Encoding: gzip"))
	f("not json", ok(packed(`{"a":1}`), "Content-Encoding: br"))
	f("not json", ok(packed(packed(`{"a":1}`)), "Content-Encoding: gzip, gzip"))
	f("not json", ok(packed(`{"a":1}`)[:20], "Content-Encoding: gzip"))
	f("not json", ok(packed(`"`+strings.Repeat("a", 1<<20)+`"`), "Content-Encoding: gzip")) // a bomb
	f("not json", ok(`{"a":1}`, "X: "+strings.Repeat("h", 100000)))
	f("not json", strings.Replace(ok(`{"a":1}`), "Content-Length: 7", "Content-Length: 4", 1))
	f("not json", "HTTP/1.1 204 No Content\r\n\r\n")
	f("not json", "HTTP/1.1 304 Not Modified\r\n\r\n")
	f("not json", strings.Replace(ok(`{"a":1}`), "200 OK", "206 Partial Content", 1))
	f("not json", "HTTP/1.1 200 OK\r\nContent-Length: 7\r\nContent-Length: 8\r\n\r\n{\"a\":1}")
	f("not json", "220 smtp\r\n\r\n")
	f("down", strings.Replace(ok(`{"a":1}`), "Content-Length: 7", "Content-Length: 70", 1))
	f("down", chunked+"\r\n7\r\n{\"a\":1}\r\n")
	f("down", "HTTP/1.1 200 O")
	f("down", "")
	f("none", "HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n")
	f("none", "HTTP/1.1 410 Gone\r\nContent-Length: 0\r\n\r\n")
	f("other", "HTTP/1.1 302 Found\r\nLocation: http://elsewhere.test/\r\nContent-Length: 0\r\n\r\n")
	for status, want := range map[int]string{400: "fault", 401: "fault", 407: "fault", 408: "other", 425: "other", 429: "down", 500: "down", 503: "down"} {
		f(want, fmt.Sprintf("HTTP/1.1 %d X\r\nContent-Length: 0\r\n\r\n", status))
	}
}

// TestAnOriginAsksForAPause: it is told for how long.
func TestAnOriginAsksForAPause(t *testing.T) {
	t.Parallel()
	server := testkit.StartOrigin(t)
	o := openAt(t, server.URL())
	for status, want := range map[int]time.Duration{429: 7 * time.Second, 503: 7 * time.Second, 500: 0} {
		server.Answer("/r/x", fmt.Sprintf("HTTP/1.1 %d X\r\nRetry-After: 7\r\nContent-Length: 0\r\n\r\n", status))
		_, err := o.Load(t.Context(), source.Args{"x"})
		var spare *source.SpareError
		if got := errors.As(err, &spare); got != (want > 0) || got && spare.After != want || !errors.Is(err, source.ErrDown) {
			t.Errorf("%d: got %v", status, err)
		}
	}
}

// TestRevalidation: a record that the caller still has is confirmed; what another
// caller has is sent.
func TestRevalidation(t *testing.T) {
	t.Parallel()
	server := testkit.StartOrigin(t)
	server.Answer("/r/moved", "HTTP/1.1 307 X\r\nLocation: /r/x\r\nContent-Length: 0\r\n\r\n")
	server.Play("/r/x", func(x *testkit.Exchange) {
		if x.Header.Get("If-None-Match") == `W/"1"` {
			x.Send("HTTP/1.1 304 Not Modified\r\nETag: W/\"1\"\r\n\r\n")
			return
		}
		x.Send(ok(`{"a":1}`, `ETag: W/"1"`, "Cache-Control: max-age=60"))
	})
	o := openAt(t, server.URL(), func(c *origin.Config) { c.ObeyMaxAge = true })
	for _, id := range []string{"x", "moved"} {
		load := func(known []byte) ([]byte, source.Term) {
			t.Helper()
			record, term, err := o.LoadTermed(t.Context(), source.Args{id}, known)
			if err != nil || string(record) != `{"a":1}` || term.Most != time.Minute {
				t.Fatalf("%s: got %s, %+v, %v", id, record, term, err)
			}
			return record, term
		}
		first, _ := load(nil)
		before := o.Unchanged()
		if again, _ := load(first); &again[0] != &first[0] || o.Unchanged() != before+1 {
			t.Errorf("%s: the record was sent again", id)
		}
		load([]byte(`{"a":2}`)) // of another instance, before a change
		if o.Unchanged() != before+1 {
			t.Errorf("%s: a record that the origin does not know was confirmed", id)
		}
	}
}

// TestKeptConnections: one that the origin has closed is not taken for an origin that
// is away, and one that has bytes left over is not used again.
func TestKeptConnections(t *testing.T) {
	t.Parallel()
	server := testkit.StartOrigin(t)
	server.Answer("/r/x", ok(`1`))
	server.Answer("/r/more", ok(`2`)+ok(`"of nobody"`))
	server.Play("/r/last", func(x *testkit.Exchange) { x.Send(ok(`3`)); x.End() })
	o := openAt(t, server.URL())
	load := func(id, want string) {
		t.Helper()
		if got, err := o.Load(t.Context(), source.Args{id}); string(got) != want || err != nil {
			t.Errorf("%s: got %s, %v, want %s", id, got, err, want)
		}
	}
	load("x", "1")
	load("x", "1")
	if n := server.Conns(); n != 1 {
		t.Errorf("two loads took %d connections, want one", n)
	}
	for range 20 {
		load("last", "3") // its connection is closed without a word
		load("x", "1")
		load("more", "2")
		load("x", "1")
	}
	server.Cut()
	load("x", "1")
}

// TestAnOriginMoves: after a failure no connection of before is used.
func TestAnOriginMoves(t *testing.T) {
	t.Parallel()
	server := testkit.StartOrigin(t)
	server.Answer("/r/x", ok(`1`))
	server.Answer("/r/gateway", "HTTP/1.1 502 X\r\nContent-Length: 0\r\n\r\n")
	o := openAt(t, server.URL())
	for i, id := range []string{"x", "gateway", "x"} {
		_, err := o.Load(t.Context(), source.Args{id})
		if (err != nil) != (id == "gateway") {
			t.Errorf("%d: %v", i, err)
		}
	}
	if n := server.Conns(); n != 2 {
		t.Errorf("%d connections were made, want another one after the gateway's failure", n)
	}
}

// TestOriginCertificates: an authority of one's own, a certificate whose time is over,
// and one that is asked of this server.
func TestOriginCertificates(t *testing.T) {
	t.Parallel()
	authority := testkit.NewAuthority(t, "own")
	file := filepath.Join(t.TempDir(), "ca.crt")
	if err := os.WriteFile(file, []byte(authority.PEM()), 0o600); err != nil {
		t.Fatal(err)
	}
	f := func(want string, life time.Duration, ca string) {
		t.Helper()
		cert, key := authority.Issue("localhost", life)
		pair, err := tls.X509KeyPair([]byte(cert), []byte(key))
		if err != nil {
			t.Fatal(err)
		}
		server := testkit.StartOrigin(t, pair)
		server.Answer("/r/x", ok(`1`))
		_, port, _ := strings.Cut(server.Address(), ":")
		o := openAt(t, "https://localhost:"+port, func(c *origin.Config) { c.CA = ca })
		_, err = o.Load(t.Context(), source.Args{"x"})
		if got := blame(err); got != want {
			t.Errorf("life %v, authority %q: got %v, want %s", life, ca, err, want)
		}
		if err := o.Reach(t.Context()); (err == nil) != (want == "ok") {
			t.Errorf("life %v, authority %q: reaching it: %v", life, ca, err)
		}
	}
	f("ok", time.Hour, file)
	f("down", time.Hour, "")
	f("down", -time.Minute, file)
	_, err := origin.New(origin.Config{Name: "r", URL: urlOf(t, "https://h/{id}"), Params: []param.Param{{Name: "id", Type: "int"}}, CA: file + ".missing"})
	var spec *source.SpecError
	if !errors.As(err, &spec) || spec.Key != "origin_tls" {
		t.Errorf("a file that is not there: got %v", err)
	}
}
