package handlers

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/valyala/fasthttp"

	"hearth/cache"
	"hearth/internal/budget"
	"hearth/internal/testkit"
)

// big is a record of so many KiB: memory keeps 160 at most in these tests.
func big(id string, kib int) string {
	return `{"id":"` + id + `","text":"` + strings.Repeat("0123456789abcdef", kib<<6) + `"}`
}

// roomy returns a change of newFixture: a cache that takes large answers from r.
func roomy(tb testing.TB, r *budget.Budget) func(*Config, *Deps) {
	return func(c *Config, d *Deps) {
		c.MaxBody = 1 << 20
		d.Cache = openCache(tb, func(c *cache.Config) { c.Answers = r })
	}
}

// pipes is a listener whose connections hold nothing: what their peer does not
// read is not written.
type pipes struct {
	conns chan net.Conn
	done  chan struct{}
}

func (p *pipes) Accept() (net.Conn, error) {
	select {
	case c := <-p.conns:
		return c, nil
	case <-p.done:
		return nil, net.ErrClosed
	}
}

func (p *pipes) Close() error   { return nil }
func (p *pipes) Addr() net.Addr { return pipeAddr{} }

type pipeAddr struct{}

func (pipeAddr) Network() string { return "pipe" }
func (pipeAddr) String() string  { return "pipe" }

// peer is one that reads slowly.
type peer struct {
	net.Conn
	from *bufio.Reader
}

// begin reads the first bytes of an answer, so that it is on its way.
func (r peer) begin(t *testing.T) {
	t.Helper()
	if _, err := r.from.Peek(1); err != nil {
		t.Fatal(err)
	}
}

// overPipes serves f on another listener, and returns how to send a request
// there.
func overPipes(t *testing.T, f *fixture) (ask func(request string) peer) {
	l := &pipes{make(chan net.Conn), make(chan struct{})}
	srv := &fasthttp.Server{Handler: f.Handler(), MaxIdleWorkerDuration: 10 * time.Millisecond}
	f.Configure(srv)
	served := make(chan struct{})
	go func() {
		defer close(served)
		_ = srv.Serve(l)
	}()
	t.Cleanup(func() {
		close(l.done)
		<-served
		if err := srv.Shutdown(); err != nil {
			t.Error(err)
		}
	})
	return func(request string) peer {
		t.Helper()
		ours, theirs := net.Pipe()
		t.Cleanup(func() { _ = ours.Close() })
		l.conns <- theirs
		if _, err := io.WriteString(ours, request); err != nil {
			t.Fatal(err)
		}
		return peer{ours, bufio.NewReader(ours)}
	}
}

func get(target string) string { return "GET " + target + " HTTP/1.1\r\nHost: h\r\n\r\n" }

// finish reads the answer to its end.
func (r peer) finish(t *testing.T) (status int, body string) {
	t.Helper()
	resp, err := http.ReadResponse(r.from, nil)
	if err != nil {
		t.Fatal(err)
	}
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	_ = r.Close()
	return resp.StatusCode, string(text)
}

// TestLargeAnswersOnTheirWayAreBounded: whoever does not read holds one copy
// however many do not, and no more than there is room for.
func TestLargeAnswersOnTheirWayAreBounded(t *testing.T) {
	r := budget.New(700 << 10)
	f := newFixture(t, roomy(t, r))
	items := []cache.Item{{Key: "item:small", Value: []byte(`{"id":"small"}`)}}
	for _, id := range []string{"a", "b", "c"} {
		items = append(items, cache.Item{Key: "item:" + id, Value: []byte(big(id, 300))})
	}
	if errs := f.deps.Cache.Store(t.Context(), items, 0); errs != nil {
		t.Fatal(errs)
	}
	warm(t, f, "/item/small")
	ask := overPipes(t, f)
	holds := func(what string, copies int64) {
		t.Helper()
		testkit.Eventually(t, 5*time.Second, what, func() bool { return r.Taken()>>10/300 == copies })
	}
	var readers []peer
	for range 5 {
		readers = append(readers, ask(get("/item/a")))
		readers[len(readers)-1].begin(t)
		holds("one copy of a is held", 1)
	}
	readers = append(readers, ask(get("/item/b")))
	readers[5].begin(t)
	holds("and one of b", 2)
	for _, target := range []string{"/item/c", "/item?item_id=c&item_id=small", "/item/%63"} {
		refused := f.send(t, "GET", target, "")
		refused.wantProblem(t, 503, "answers on their way")
		if after := refused.Header.Get("Retry-After"); after < "1" || after > "3" {
			t.Errorf("%s: Retry-After %q", target, after)
		}
	}
	f.send(t, "GET", "/item/small", "").want(t, 200, `{"item":{"id":"small"},"source":"cache"}`)
	f.send(t, "GET", "/user/1", "").want(t, 200, `{"user":{"id":1,"name":"张三"},"source":"db"}`)
	_ = readers[0].Close() // a peer that goes
	for i, c := range readers[1:] {
		want := `{"item":` + big("a", 300) + `,"source":"cache"}`
		if i == 4 {
			want = strings.Replace(want, `"a"`, `"b"`, 1)
		}
		if status, body := c.finish(t); status != 200 || body != want {
			t.Errorf("reader %d: got %d and %d bytes, want 200 and %d", i, status, len(body), len(want))
		}
	}
	holds("nothing is held", 0)
	if a := f.send(t, "GET", "/item/c", ""); a.StatusCode != 200 || len(a.body) < 300<<10 {
		t.Errorf("with room again: got %d", a.StatusCode)
	}
	holds("nothing is held", 0)
	f.send(t, "GET", "/item?item_id=a&item_id=b&item_id=c", "").wantProblem(t, 422, "ask for fewer")
	if a := f.send(t, "GET", "/item?item_id=a&item_id=a&item_id=a", ""); a.StatusCode != 200 || len(a.body) < 900<<10 {
		t.Errorf("one record three times: got %d with %d bytes", a.StatusCode, len(a.body))
	}
	holds("nothing is held", 0)
	r.Resize(100 << 10)
	if a := f.send(t, "GET", "/item/c", ""); a.StatusCode != 200 {
		t.Errorf("a record that is larger than the room, alone: got %d", a.StatusCode)
	}
	testkit.Eventually(t, 5*time.Second, "nothing is held by nobody", func() bool { return r.Taken() == 0 })
}

// TestALargeAnswerIsTheSameOnEveryWay: as a stream, and from whichever tier.
func TestALargeAnswerIsTheSameOnEveryWay(t *testing.T) {
	r := budget.New(16 << 20)
	f := newFixture(t, roomy(t, r))
	for id, kib := range map[string]int{"3": 300, "4": 100} { // kept and not
		row := big(id, kib)
		f.people.mu.Lock()
		f.people.rows[id] = row
		f.people.mu.Unlock()
		loaded, stored := `{"user":`+row+`,"source":"db"}`, `{"user":`+row+`,"source":"cache"}`
		target, list := "/user/"+id, "/user?user_id="+id+"&user_id=404&user_id="+id
		null := `{"user":null,"source":"cache"}`
		first := f.send(t, "GET", target, "")
		first.want(t, 200, loaded)
		etag := first.Header.Get("ETag")
		f.send(t, "GET", "/user/404", "")
		for range 3 { // from the shared tier, then from memory what it keeps
			a := f.send(t, "GET", target, "")
			a.want(t, 200, stored)
			a.wantHeader(t, "ETag", etag)
			f.send(t, "GET", list, "").want(t, 200, "["+stored+","+null+","+stored+"]")
			for what, head := range map[string]answer{"": f.send(t, "HEAD", target, ""), "list": f.send(t, "HEAD", list, "")} {
				want := len(stored)
				if what == "list" {
					want = 2*len(stored) + len(null) + 4
				}
				head.wantHeader(t, "Content-Length", fmt.Sprint(want))
			}
			f.send(t, "GET", target, "", "If-None-Match: "+etag).want(t, 304, "")
		}
		body := `{"name":"x",` + row[1:]
		f.send(t, "PUT", target, body).want(t, 200, `{"user":`+body+`,"source":"db"}`)
		f.send(t, "DELETE", target, "").want(t, 204, "")
	}
	testkit.Eventually(t, 5*time.Second, "nothing is held", func() bool { return r.Taken() == 0 })
}

// TestBodiesAreBoundedTogether: those that are read slowly leave no room for
// further large ones, and small ones need none.
func TestBodiesAreBoundedTogether(t *testing.T) {
	r := budget.New(64 << 10)
	f := newFixture(t, func(c *Config, d *Deps) { c.MaxBody, d.Bodies = 1<<20, r })
	ask := overPipes(t, f)
	item := `[{"id":1,"text":"` + strings.Repeat("x", 60<<10) + `"}]`
	slow := ask(fmt.Sprintf("POST /batch_process HTTP/1.1\r\nHost: h\r\nContent-Length: %d\r\n\r\n%s", len(item), item[:40<<10]))
	testkit.Eventually(t, 5*time.Second, "half a body is held", func() bool { return r.Taken() >= 24<<10 })
	refused := f.send(t, "POST", "/batch_process", item)
	refused.wantProblem(t, 503, "bodies of other requests")
	if after := refused.Header.Get("Retry-After"); after < "1" || after > "3" {
		t.Errorf("Retry-After: %q", after)
	}
	f.send(t, "POST", "/batch_process", `[{"id":2}]`).want(t, 200, `{"status":"success","count":1}`)
	if _, err := io.WriteString(slow, item[40<<10:]); err != nil {
		t.Fatal(err)
	}
	if status, body := slow.finish(t); status != 200 {
		t.Errorf("the slow one: got %d %s", status, body)
	}
	testkit.Eventually(t, 5*time.Second, "nothing is held", func() bool { return r.Taken() == 0 })
	f.send(t, "POST", "/batch_process", item).want(t, 200, `{"status":"success","count":1}`)
	if n := r.Taken(); n != 0 {
		t.Errorf("%d bytes are held by nobody", n)
	}
}
