package handlers

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/valyala/fasthttp"

	"hearth/cache"
	"hearth/internal/auth"
	"hearth/internal/listen"
	"hearth/internal/metrics"
)

// scripted is a connection whose peer sends given pieces, one for each read, and then its
// end. Nothing of it takes time, so what a server makes of it is the same every time.
type scripted struct {
	pieces  [][]byte
	sent    bytes.Buffer // by the server
	writes  int
	largest int  // of them
	ended   bool // the server has seen the peer's end
}

func (s *scripted) Read(p []byte) (int, error) {
	if len(s.pieces) == 0 {
		s.ended = true
		return 0, io.EOF
	}
	n := copy(p, s.pieces[0])
	if s.pieces[0] = s.pieces[0][n:]; len(s.pieces[0]) == 0 {
		s.pieces = s.pieces[1:]
	}
	return n, nil
}

func (s *scripted) Write(p []byte) (int, error) {
	s.writes++
	s.largest = max(s.largest, len(p))
	return s.sent.Write(p)
}

func (s *scripted) Close() error                     { return nil }
func (s *scripted) LocalAddr() net.Addr              { return &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 80} }
func (s *scripted) RemoteAddr() net.Addr             { return &net.TCPAddr{IP: net.IPv4(192, 0, 2, 7), Port: 4711} }
func (s *scripted) SetDeadline(time.Time) error      { return nil }
func (s *scripted) SetReadDeadline(time.Time) error  { return nil }
func (s *scripted) SetWriteDeadline(time.Time) error { return nil }

// Accept, with the others, makes a scripted connection its own listener, of itself.
func (s *scripted) Accept() (net.Conn, error) { return s, nil }
func (s *scripted) Addr() net.Addr            { return s.LocalAddr() }

// wireServer is a server as internal/app puts it together, without a network: answering from
// the bytes of connections, or leaving all to fasthttp.
type wireServer struct {
	*Server
	set  *metrics.Set
	log  *lockedBuffer
	http *fasthttp.Server
	wire bool
}

func newWireServer(tb testing.TB, wire bool, change ...func(*Config, *Deps)) *wireServer {
	tb.Helper()
	w := &wireServer{wire: wire, set: metrics.New("test"), log: &lockedBuffer{}, http: &fasthttp.Server{ConnState: listen.ConnState}}
	users := &people{rows: map[string]string{"1": `{"id":1,"name":"张三"}`, "2": `{"id":2}`}}
	users.rows["9"] = `{"id":9,"text":"` + strings.Repeat("warm hearth ", 500) + `"}`
	config := demoConfig(users)
	for _, r := range config.Resources {
		r.Cache.TTL = cache.Lifetimes{Cold: time.Hour, Hot: time.Hour, Missing: time.Hour, Stale: time.Minute} // longer than any test
	}
	deps := Deps{
		// As many missing records as a fuzzer can think of are written, so that answers
		// do not depend on how fast it thinks.
		Cache:   openCache(tb, func(c *cache.Config) { c.MissingRate = 1 << 30 }),
		Tokens:  auth.New(nil),
		Metrics: w.set,
		Log:     slog.New(slog.NewTextHandler(w.log, nil)),
		State:   func() State { return Serving }, Context: context.Background(),
	}
	for _, c := range change {
		c(&config, &deps)
	}
	w.Server = New(config, deps)
	w.fresh.versions = numbered{} // the same of both servers
	NewReloadable(w.Server).Configure(w.http)
	w.http.ReadTimeout = 0 // as in internal/app, where the listener has it
	return w
}

// outcome is what a peer and an operator see of a connection.
type outcome struct {
	sent  string // without what differs from second to second
	ended bool   // the server went on until its peer ended the connection
	left  int    // pieces that it has not read
	log   string
}

var (
	varying = regexp.MustCompile(`(\r\nDate: |; ttl=|;r=|;t=|\r\nX-Request-Id: |duration=|request_id=)([A-Z][a-z]{2}, [^\r]*|[0-9a-f]{32}|[0-9.]+[mµn]?s|-?\d+)`)
	series  = regexp.MustCompile(`(?m)^hearth_request(s_total|_seconds_count)\{.*$`)
	stamp   = regexp.MustCompile(`(?m)^time=\S+ `)
)

// serve gives the server a connection over which the pieces come.
func (w *wireServer) serve(tb testing.TB, pieces ...[]byte) (outcome, *scripted) {
	tb.Helper()
	conn := &scripted{pieces: slices.DeleteFunc(slices.Clone(pieces), func(p []byte) bool { return len(p) == 0 })}
	l := listen.New(conn, listen.Timeouts{})
	if w.wire {
		l.SetAnswerer(w.Server)
	}
	c, err := l.Accept()
	if err != nil {
		tb.Fatal(err)
	}
	_ = w.http.ServeConn(c) // what ended the connection shows in what was sent
	if err := l.Close(); err != nil {
		tb.Fatal(err)
	}
	said := stamp.ReplaceAllString(w.log.String(), "")
	*w.log = lockedBuffer{}
	return outcome{
		sent: varying.ReplaceAllString(conn.sent.String(), "$1…"), ended: conn.ended, left: len(conn.pieces),
		log: varying.ReplaceAllString(said, "$1…"),
	}, conn
}

// counted are the requests that the server has counted, series by series.
func (w *wireServer) counted(tb testing.TB) string {
	tb.Helper()
	var page bytes.Buffer
	if err := w.set.WritePrometheus(&page); err != nil {
		tb.Fatal(err)
	}
	lines := series.FindAllString(page.String(), -1)
	slices.Sort(lines)
	// A series without a count may be there or not.
	lines = slices.DeleteFunc(lines, func(l string) bool { return strings.HasSuffix(l, " 0") })
	return strings.Join(lines, "\n")
}

// sameCounts holds against each other what both have counted so far.
func (p *wirePair) sameCounts(tb testing.TB, of string) {
	tb.Helper()
	if got, want := p.on.counted(tb), p.off.counted(tb); got != want {
		tb.Fatalf("of %q\nthe one counts\n%s\nthe other counts\n%s", of, got, want)
	}
}

// wirePair are two servers that differ in nothing but the way of their hits.
type wirePair struct{ on, off *wireServer }

func newWirePair(tb testing.TB, change ...func(*Config, *Deps)) *wirePair {
	tb.Helper()
	p := &wirePair{newWireServer(tb, true, change...), newWireServer(tb, false, change...)}
	for range 3 { // from the source, from the shared tier, and from memory
		p.same(tb, []byte(wireGet("/user/1")+wireGet("/user/2")+wireGet("/user/9")+wireGet("/user/404")))
		p.same(tb, []byte(wirePOST("/batch_process", `[{"id":"a_b.c","n":1}]`)+wireGet("/item/a_b.c")))
		p.same(tb, []byte(wirePOST("/bares", `[{"id":"`+bareID+`","n":1}]`)+wireGet("/bare/"+bareID)))
	}
	return p
}

// same gives both servers the same pieces, and holds what comes of it against each other.
func (p *wirePair) same(tb testing.TB, pieces ...[]byte) (on, off *scripted) {
	tb.Helper()
	want, off := p.off.serve(tb, pieces...)
	got, on := p.on.serve(tb, pieces...)
	if got != want {
		at := 0
		for at < min(len(got.sent), len(want.sent)) && got.sent[at] == want.sent[at] {
			at++
		}
		tb.Fatalf("of %.400q\nthe one makes   %.400q, %v, %d, %q\nthe other makes %.400q, %v, %d, %q", pieces,
			got.sent[at:], got.ended, got.left, got.log, want.sent[at:], want.ended, want.left, want.log)
	}
	return on, off
}

// bareID names the record of a resource without an envelope.
const bareID = "123e4567-e89b-12d3-a456-426614174000"

// wireGet is a request as clients send it; fields are "Name: value".
func wireGet(target string, fields ...string) string {
	return "GET " + target + " HTTP/1.1\r\nHost: hearth.test:8080\r\n" + strings.Join(append(fields, ""), "\r\n") + "\r\n"
}

func wireHEAD(target string, fields ...string) string { return "HEAD" + wireGet(target, fields...)[3:] }

func wirePOST(target, body string) string {
	return fmt.Sprintf("POST %s HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n%s", target, len(body), body)
}
