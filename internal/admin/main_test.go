package admin_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"

	"hearth/internal/admin"
	"hearth/internal/auth"
)

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m,
		// fasthttp keeps one goroutine per process that renders the Date
		// header, and one per server that ends up to ten seconds after it.
		goleak.IgnoreAnyFunction("github.com/valyala/fasthttp.updateServerDate.func1"),
		goleak.IgnoreAnyFunction("github.com/valyala/fasthttp.(*workerPool).Start.func2"),
	)
}

// rig is an Admin served on a real socket, with dependencies that record.
type rig struct {
	admin  *admin.Admin
	base   string
	client *http.Client
	log    bytes.Buffer

	ready    map[string]error
	draining bool
	pages    func(io.Writer) error
	stats    func() any
	paths    []string // of the last invalidation
	resource string
	delete   bool
	keys     []string
	outcome  error
	reloaded error
	watch    watch
	revoked  atomic.Bool
}

// watch is a timeline whose ticks a test sends.
type watch struct {
	ticks   chan []byte
	stopped atomic.Int64
	full    bool
}

func (w *watch) Latest() []byte { return []byte(`{"at":1}`) }

func (w *watch) Follow() (<-chan []byte, func(), bool) {
	if w.ticks == nil { // one tick, and the server ends
		c := make(chan []byte, 1)
		c <- w.Latest()
		close(c)
		return c, func() {}, true
	}
	return w.ticks, func() { w.stopped.Add(1) }, !w.full
}

func (w *watch) History(span string) ([]byte, bool) { return []byte(`{"step":1000}`), span == "hour" }

func tokens() []auth.Token {
	return []auth.Token{
		{Name: "app", Scopes: auth.Write, Secret: "w"},
		{Name: "ops", Scopes: auth.Admin, Secret: "a"},
		{Name: "prom", Scopes: auth.Metrics, Secret: "m"},
	}
}

func start(t *testing.T, hosts []string, tokens ...auth.Token) *rig {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	return startOn(t, l, hosts, tokens...)
}

func startOn(t *testing.T, l net.Listener, hosts []string, tokens ...auth.Token) *rig {
	t.Helper()
	r := &rig{
		ready: map[string]error{"redis": nil, "source": nil},
		pages: func(w io.Writer) error { _, err := io.WriteString(w, "hearth_redis_up 1\n"); return err },
		stats: func() any { return map[string]int{"entries": 3} },
	}
	r.admin = admin.New(admin.Config{
		Hosts:    hosts,
		Tokens:   auth.New(tokens),
		Ready:    func() map[string]error { return r.ready },
		Draining: func() bool { return r.draining },
		Metrics:  func(w io.Writer) error { return r.pages(w) },
		Stats:    func() any { return r.stats() },
		Invalidate: func(ctx context.Context, all admin.Targets) (int, error) {
			if _, ok := ctx.Deadline(); !ok {
				return 0, errors.New("no deadline")
			}
			r.paths, r.keys, r.resource, r.delete = all.Paths, all.Keys, all.Resource, all.Delete
			return len(all.Paths) + len(all.Keys), r.outcome
		},
		Reload: func(ctx context.Context) error {
			if _, ok := ctx.Deadline(); !ok {
				return errors.New("no deadline")
			}
			return r.reloaded
		},
		Explain: func(_ context.Context, path string) (any, error) {
			if path == "user" {
				return nil, admin.ExplainError("begin with a slash")
			}
			return map[string]string{"path": path}, nil
		},
		Hot: func(by string, most int) (any, bool) {
			return []map[string]any{{"key": by, "most": most}}, by == "reads" || by == "loads"
		},
		HotOrders: []string{"reads", "loads"},
		Watch:     &r.watch,
		Valid:     func([][]byte, auth.Scope) bool { return !r.revoked.Load() },
		Log:       slog.New(slog.NewTextHandler(&r.log, nil)),
	})
	server := r.admin.Server()
	served := make(chan error, 1)
	go func() { served <- server.Serve(l) }()
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		err := server.ShutdownWithContext(ctx)
		// A Shutdown that comes before Serve has begun leaves the listener open.
		_ = l.Close()
		if err := errors.Join(err, <-served); err != nil {
			t.Errorf("stopping: %v", err)
		}
	})
	r.base = "http://" + l.Addr().String()
	r.client = &http.Client{Timeout: 20 * time.Second, Transport: &http.Transport{
		DisableKeepAlives: true,
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return (&net.Dialer{}).DialContext(ctx, l.Addr().Network(), l.Addr().String())
		},
	}}
	if l.Addr().Network() == "unix" {
		r.base = "http://unix"
	}
	return r
}

// answer is a response read to its end.
type answer struct {
	status int
	header http.Header
	body   string
}

// do sends one request; headers are name and value in turn, Host among them.
func (r *rig) do(t *testing.T, method, path, body string, headers ...string) answer {
	t.Helper()
	req, err := http.NewRequest(method, r.base+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; i < len(headers); i += 2 {
		if headers[i] == "Host" {
			req.Host = headers[i+1]
		} else {
			req.Header.Add(headers[i], headers[i+1])
		}
	}
	res, err := r.client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return answer{res.StatusCode, res.Header, string(text)}
}

// post sends an invalidation as the right kind of client would.
func (r *rig) post(t *testing.T, body string, headers ...string) answer {
	t.Helper()
	return r.do(t, "POST", "/api/invalidate", body, append([]string{"Content-Type", "application/json"}, headers...)...)
}

// wantProblem checks an error's form: RFC 9457, kept by no cache.
func wantProblem(t *testing.T, what string, got answer, status int) {
	t.Helper()
	if got.status != status {
		t.Errorf("%s: status = %d, want %d (%s)", what, got.status, status, got.body)
	}
	if ct := got.header.Get("Content-Type"); ct != "application/problem+json" {
		t.Errorf("%s: Content-Type = %q, want application/problem+json", what, ct)
	}
	if cc := got.header.Get("Cache-Control"); cc != "no-store" {
		t.Errorf("%s: Cache-Control = %q, want no-store", what, cc)
	}
	var p struct {
		Type, Title, Detail string
		Status              int
	}
	if err := json.Unmarshal([]byte(got.body), &p); err != nil {
		t.Errorf("%s: body %q: %v", what, got.body, err)
		return
	}
	if p.Type != "about:blank" || p.Status != status || p.Title != http.StatusText(status) && p.Title == "" || p.Detail == "" {
		t.Errorf("%s: problem = %+v, want type, title, status %d and detail", what, p, status)
	}
}
