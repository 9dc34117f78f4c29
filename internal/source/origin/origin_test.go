package origin_test

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"hearth/internal/jsonvalue"
	"hearth/internal/param"
	"hearth/internal/source"
	"hearth/internal/source/origin"
)

func urlOf(t *testing.T, text string) param.URL {
	t.Helper()
	u, wrong := param.ParseURL(text)
	if wrong != "" {
		t.Fatalf("%s %s", text, wrong)
	}
	return u
}

func open(t *testing.T, cfg origin.Config) *origin.Origin {
	t.Helper()
	cfg.Name, cfg.Timeout = "thing", cmp.Or(cfg.Timeout, 5*time.Second)
	o, err := origin.New(cfg)
	if err != nil {
		t.Fatalf("New: %v", err)
	}
	t.Cleanup(func() {
		if err := o.Close(); err != nil {
			t.Errorf("Close: %v", err)
		}
	})
	return o
}

func TestOriginLoad(t *testing.T) {
	elsewhere := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		t.Error("a redirect to another host was followed")
	}))
	defer elsewhere.Close()
	mux := http.NewServeMux()
	answer := func(path string, status int, body string, headers ...string) {
		mux.HandleFunc("GET "+path, func(w http.ResponseWriter, _ *http.Request) {
			for i := 0; i < len(headers); i += 2 {
				w.Header().Set(headers[i], headers[i+1])
			}
			w.WriteHeader(status)
			_, _ = w.Write([]byte(body))
		})
	}
	answer("/t/good", 200, " {\"b\": 1.50,\n \"a\": \"<\"} ")
	answer("/t/null", 200, "null")
	answer("/t/gone", 410, "{}")
	answer("/t/nojson", 200, "<html>")
	answer("/t/two", 200, "{} {}")
	answer("/t/latin", 200, "{\"name\":\"Andr\xe9\"}")
	answer("/t/half", 200, `{"name":"\ud800"}`)
	answer("/t/bom", 200, "\ufeff{}")
	answer("/t/blank", 200, "")
	answer("/t/failing", 500, "{}")
	answer("/t/empty", 204, "")
	answer("/t/coded", 200, "{}", "Content-Encoding", "gzip")
	answer("/t/large", 200, `"`+strings.Repeat("x", 5000)+`"`)
	answer("/t/moved", 302, "", "Location", "good")
	answer("/t/away", 302, "", "Location", elsewhere.URL+"/t/good")
	answer("/t/loop", 307, "", "Location", "/t/loop")
	answer("/t/nowhere", 301, "")
	server := httptest.NewServer(mux)
	defer server.Close()
	o := open(t, origin.Config{URL: urlOf(t, server.URL+"/t/{id}"), Params: []param.Param{{Name: "id", Type: "string"}}, MaxBody: 4096})
	f := func(id, want string) {
		t.Helper()
		got, err := o.Load(t.Context(), source.Args{id})
		switch {
		case errors.Is(err, source.ErrNoRecord):
			got = []byte("none")
		case err != nil:
			got = []byte("error")
		}
		if string(got) != want {
			t.Errorf("Load(%q): got %s, %v, want %s", id, got, err, want)
		}
	}
	f("good", `{"b":1.50,"a":"<"}`)
	f("moved", `{"b":1.50,"a":"<"}`)
	f("null", "none")
	f("gone", "none")
	f("unknown", "none")
	f("..", "none")
	f(".", "none")
	for _, id := range []string{"nojson", "two", "latin", "half", "bom", "blank"} {
		if got, err := o.Load(t.Context(), source.Args{id}); !errors.Is(err, source.ErrNotJSON) || errors.Is(err, source.ErrDown) {
			t.Errorf("Load(%q): got %s, %v, want ErrNotJSON", id, got, err)
		}
	}
	for _, id := range []string{"failing", "empty", "coded", "large", "away", "loop", "nowhere"} {
		f(id, "error")
	}
	if _, err := o.Put(t.Context(), source.Args{"good"}, jsonvalue.Node{}); !errors.Is(err, source.ErrReadOnly) {
		t.Errorf("Put: got %v", err)
	}
	if _, err := o.Delete(t.Context(), source.Args{"good"}); !errors.Is(err, source.ErrReadOnly) {
		t.Errorf("Delete: got %v", err)
	}
}

func TestOriginRequest(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var names []string
		for name := range r.Header {
			names = append(names, name)
		}
		fmt.Fprintf(w, `[%q,%q,%d]`, r.Method, r.RequestURI, len(names))
	}))
	defer server.Close()
	o := open(t, origin.Config{
		URL:    urlOf(t, server.URL+"/a%20b/x-{name}/{id}?n={name}&fixed=1"),
		Params: []param.Param{{Name: "id", Type: "int"}, {Name: "name", Type: "string"}},
	})
	got, err := o.Load(t.Context(), source.Args{int64(-7), "..é?#&=%zF+ "})
	name := "..%C3%A9%3F%23%26%3D%25zF%2B%20"
	want := fmt.Sprintf(`["GET","/a%%20b/x-%s/-7?n=%s&fixed=1",2]`, name, name)
	if err != nil || string(got) != want {
		t.Errorf("got %s, %v, want %s", got, err, want)
	}
}

// An origin hears the caller's names as they are, on every step of the way, and
// those of no other load.
func TestOriginHearsTheCaller(t *testing.T) {
	const parent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
	heard := make(chan string, 8)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := r.Header
		heard <- fmt.Sprintf("%s %q %q %q", r.URL.Path, h["X-Request-Id"], h["Traceparent"], h["Tracestate"])
		if r.URL.Path == "/moved" {
			http.Redirect(w, r, "/here", http.StatusFound)
			return
		}
		_, _ = w.Write([]byte("{}"))
	}))
	defer server.Close()
	o := open(t, origin.Config{URL: urlOf(t, server.URL+"/{p}"), Params: []param.Param{{Name: "p", Type: "string"}}})
	f := func(c source.Caller, path string, want ...string) {
		t.Helper()
		ctx := c.In(t.Context())
		if got := source.CallerOf(ctx); got != c {
			t.Errorf("the context holds %+v, want %+v", got, c)
		}
		if _, err := o.Load(ctx, source.Args{path}); err != nil {
			t.Errorf("loading %s: %v", path, err)
		}
		for _, w := range want {
			if got := <-heard; got != w {
				t.Errorf("the origin heard %s, want %s", got, w)
			}
		}
	}
	all := source.Caller{RequestID: "a.b", Traceparent: parent, Tracestate: "a=1,b=2"}
	f(all, "moved", `/moved ["a.b"] ["`+parent+`"] ["a=1,b=2"]`, `/here ["a.b"] ["`+parent+`"] ["a=1,b=2"]`)
	f(source.Caller{}, "x", `/x [] [] []`)
	f(source.Caller{RequestID: "only"}, "y", `/y ["only"] [] []`)
	f(source.Caller{Traceparent: parent}, "z", `/z [] ["`+parent+`"] []`)
}

// The recommendation wants the names of its headers in lower case.
func TestOriginHearsLowerCase(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	heard := make(chan string, 1)
	go func() {
		conn, err := listener.Accept()
		if err != nil {
			heard <- err.Error()
			return
		}
		defer conn.Close()
		raw := make([]byte, 4096)
		n, _ := conn.Read(raw)
		heard <- string(raw[:n])
		_, _ = io.WriteString(conn, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\n{}")
	}()
	o := open(t, origin.Config{URL: urlOf(t, "http://"+listener.Addr().String()+"/")})
	c := source.Caller{RequestID: "a.b", Traceparent: "00-x", Tracestate: "a=1"}
	if _, err := o.Load(c.In(t.Context()), source.Args{}); err != nil {
		t.Fatal(err)
	}
	got := <-heard
	for _, want := range []string{"\r\nX-Request-Id: a.b\r\n", "\r\ntraceparent: 00-x\r\n", "\r\ntracestate: a=1\r\n"} {
		if !strings.Contains(got, want) {
			t.Errorf("the origin heard %q, which lacks %q", got, want)
		}
	}
}

func TestOriginTime(t *testing.T) {
	release := make(chan struct{})
	server := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		select {
		case <-release:
		case <-r.Context().Done():
		}
	}))
	defer server.Close()
	defer close(release)
	load := func(o *origin.Origin, callers time.Duration) error {
		_, err := o.Load(within(t, callers), source.Args{int64(1)})
		return err
	}
	for _, w := range waits {
		cfg := origin.Config{URL: urlOf(t, server.URL+"/{id}"), Params: []param.Param{{Name: "id", Type: "int"}}, Timeout: w.own}
		if err := load(open(t, cfg), w.callers); whose(err) != w.want {
			t.Errorf("own timeout %v, caller's %v: got %v, which blames the %s, want the %s", w.own, w.callers, err, whose(err), w.want)
		}
		cfg.MaxConns = 1
		o := open(t, cfg)
		var wg sync.WaitGroup
		for range 3 { // two have no connection
			wg.Go(func() {
				if err := load(o, w.callers); whose(err) != w.want {
					t.Errorf("own timeout %v, caller's %v, one connection for three: got %v, want to blame the %s", w.own, w.callers, err, w.want)
				}
			})
		}
		wg.Wait()
	}
}

func TestOriginDown(t *testing.T) {
	mux := http.NewServeMux()
	for path, status := range map[string]int{"/500": 500, "/503": 503, "/429": 429, "/400": 400, "/401": 401, "/403": 403, "/408": 408, "/404": 404, "/204": 204} {
		mux.HandleFunc(path, func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(status) })
	}
	mux.HandleFunc("/text", func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("<html>")) })
	mux.HandleFunc("/large", func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(bytes.Repeat([]byte("1"), 5000)) })
	mux.HandleFunc("/loop", func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, "/loop", http.StatusFound) })
	mux.HandleFunc("/cut", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Length", "100")
		_, _ = w.Write([]byte(`{"a":`))
		panic(http.ErrAbortHandler)
	})
	mux.HandleFunc("/gone", func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) })
	mux.HandleFunc("/garbage", func(w http.ResponseWriter, _ *http.Request) {
		conn, _, err := http.NewResponseController(w).Hijack()
		if err == nil {
			_, _ = conn.Write([]byte("220 mail.example.org ESMTP\r\n\r\n"))
			_ = conn.Close()
		}
	})
	server := httptest.NewServer(mux)
	defer server.Close()
	secure := httptest.NewUnstartedServer(mux)
	secure.Config.ErrorLog = log.New(io.Discard, "", 0)
	secure.StartTLS()
	defer secure.Close()
	closed := httptest.NewServer(mux)
	closed.Close()
	f := func(address, path string, down bool) {
		t.Helper()
		o := open(t, origin.Config{URL: urlOf(t, address+"/{p}"), Params: []param.Param{{Name: "p", Type: "string"}}, MaxBody: 4096})
		_, err := o.Load(t.Context(), source.Args{path})
		if err == nil || errors.Is(err, source.ErrDown) != down {
			t.Errorf("%s/%s: got %v, want ErrDown %t", address, path, err, down)
		}
		if down && !strings.HasPrefix(err.Error(), `loading a record of resource "thing": `) {
			t.Errorf("%s/%s: got the text %q", address, path, err)
		}
	}
	for _, path := range []string{"500", "503", "429", "cut", "gone"} {
		f(server.URL, path, true)
	}
	for _, path := range []string{"400", "401", "403", "404", "408", "204", "text", "large", "loop", "garbage"} {
		f(server.URL, path, false)
	}
	whose := func(path string, want error) {
		t.Helper()
		o := open(t, origin.Config{URL: urlOf(t, server.URL+"/{p}"), Params: []param.Param{{Name: "p", Type: "string"}}, MaxBody: 4096})
		if _, err := o.Load(t.Context(), source.Args{path}); !errors.Is(err, want) {
			t.Errorf("%s: got %v, want %v", path, err, want)
		}
	}
	for _, path := range []string{"400", "401", "403"} {
		whose(path, source.ErrFault)
	}
	for _, path := range []string{"204", "large", "garbage"} {
		whose(path, source.ErrNotJSON)
	}
	f(closed.URL, "text", true)
	f(secure.URL, "text", true) // nobody vouches for its certificate
	f(strings.Replace(server.URL, "http:", "https:", 1), "text", true)
	f("http://nowhere.invalid", "text", true)
}

func TestNewRefuses(t *testing.T) {
	for url, want := range map[string]string{
		"http://u:hush@h/{id}":    "host",
		"http://h/{other}":        "unknown placeholder {other}; the path has {id}",
		"http://h/{id?}":          "unknown placeholder {id?}",
		"http://h/{ id }":         "unknown placeholder { id }",
		"http://h?{body}":         "unknown placeholder {body}",
		"http://h/{id}/{id.name}": "unknown placeholder {id.name}",
		"http://h/{id}/a%":        "is no URL",
		"http://h/x":              "has no place",
	} {
		parsed, wrong := param.ParseURL(url)
		if wrong != "" {
			if !strings.Contains(wrong, want) {
				t.Errorf("ParseURL(%q): got %q, want %q", url, wrong, want)
			}
			continue
		}
		_, err := origin.New(origin.Config{Name: "thing", URL: parsed, Params: []param.Param{{Name: "id", Type: "int"}}})
		if err == nil || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), `resource "thing": origin: `) || strings.Contains(err.Error(), "hush") {
			t.Errorf("New(%q): got %v, want %q", url, err, want)
		}
	}
}
