package handlers

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/valyala/fasthttp"
	"github.com/valyala/fasthttp/fasthttputil"
	"go.uber.org/goleak"

	"hearth/cache"
	"hearth/cache/embedded"
	"hearth/cache/memory"
	"hearth/internal/auth"
	"hearth/internal/jsonvalue"
	"hearth/internal/metrics"
	"hearth/internal/param"
	"hearth/internal/source"
)

var update = flag.Bool("update", false, "write the golden files anew")

func TestMain(m *testing.M) {
	// One goroutine per process keeps the Date header; it never ends.
	goleak.VerifyTestMain(m, goleak.IgnoreAnyFunction("github.com/valyala/fasthttp.updateServerDate.func1"))
}

// people is a source in memory: the records by id, as JSON.
type people struct {
	mu   sync.Mutex
	rows map[string]string
}

func (p *people) Load(_ context.Context, args source.Args) ([]byte, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	row, ok := p.rows[fmt.Sprint(args...)]
	if !ok {
		return nil, source.ErrNoRecord
	}
	return []byte(row), nil
}

func (p *people) TakesConditions() {}

// judge is the condition of a write.
func (p *people) judge(ctx context.Context, args source.Args) error {
	judge := source.ConditionOf(ctx)
	if judge == nil {
		return nil
	}
	record, err := p.Load(ctx, args)
	if err != nil {
		record = nil
	}
	if reason := judge(record); reason != "" {
		return &source.ConditionError{Reason: reason}
	}
	return nil
}

func (p *people) Put(ctx context.Context, args source.Args, body jsonvalue.Node) (source.Change, error) {
	if err := p.judge(ctx, args); err != nil {
		return nil, err
	}
	var members map[string]any
	if err := json.Unmarshal(body.Value, &members); err != nil {
		return nil, err
	}
	if _, ok := members["name"]; !ok {
		return nil, &source.BodyError{Member: "name", Reason: "is missing"}
	}
	return &change{p: p, id: fmt.Sprint(args...), row: body.Value}, nil
}

func (p *people) Delete(ctx context.Context, args source.Args) (source.Change, error) {
	if err := p.judge(ctx, args); err != nil {
		return nil, err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	id := fmt.Sprint(args...)
	if _, ok := p.rows[id]; !ok {
		return nil, source.ErrNoRecord
	}
	return &change{p: p, id: id}, nil
}

type change struct {
	p   *people
	id  string
	row []byte // nil: delete
}

func (c *change) Record() []byte { return c.row }
func (c *change) Rollback()      {}

func (c *change) Over(context.Context) (bool, error) { return true, nil }

func (c *change) Commit(context.Context) error {
	c.p.mu.Lock()
	defer c.p.mu.Unlock()
	if c.row == nil {
		delete(c.p.rows, c.id)
	} else {
		c.p.rows[c.id] = string(c.row)
	}
	return nil
}

// fixture is a Server on the real cache with its embedded tier, behind a real
// fasthttp server on a listener in memory.
type fixture struct {
	*Server
	people  *people
	set     *metrics.Set
	log     *lockedBuffer
	state   atomic.Uint32
	stop    context.CancelFunc
	network *fasthttputil.InmemoryListener
}

type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lockedBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lockedBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

func openCache(tb testing.TB, change ...func(*cache.Config)) *cache.Cache {
	tb.Helper()
	config := cache.Config{
		Shared: func(m *memory.Store, f *cache.Flights) (cache.SharedTier, error) {
			return embedded.New(filepath.Join(tb.TempDir(), "hearth.db"), 5*time.Second, slog.New(slog.DiscardHandler), m, f), nil
		},
		Revalidate: time.Minute, LinkTimeout: 2 * time.Second, Lease: 5 * time.Second,
		Settings: cache.Settings{
			Budget: 16 << 20, MissingShare: 0.1, MissingRate: 1000, UntrackedTTL: time.Second,
			MaxLoads: 8, MaxWaiting: 100, Wait: 2 * time.Second,
		},
		Log: slog.New(slog.DiscardHandler),
	}
	for _, to := range change {
		to(&config)
	}
	c, err := cache.New(config)
	if err != nil {
		tb.Fatalf("opening the cache: %v", err)
	}
	tb.Cleanup(c.Close)
	if err := c.Open(); err != nil {
		tb.Fatalf("opening the cache: %v", err)
	}
	return c
}

// demoConfig is what config.toml describes, and one resource of each kind
// that it lacks.
func demoConfig(users *people) Config {
	ttl := cache.Lifetimes{Cold: time.Hour, Hot: 5 * time.Minute, Missing: 30 * time.Second, Stale: 10 * time.Minute}
	resource := func(name, envelope string, records source.Records, kind param.Kind) Resource {
		return Resource{
			Cache:        cache.NewResource(name, envelope, ttl, records),
			Path:         []param.Segment{{Literal: name}, {Param: name + "_id", Type: kind}},
			Key:          []param.Part{{Literal: name + ":"}, {Param: name + "_id"}},
			CacheControl: "no-cache",
		}
	}
	user := resource("user", "user", users, param.Int)
	user.CanPut, user.CanDelete, user.ManyRead = true, true, true
	item := resource("item", "item", nil, param.String)
	item.ManyRead = true
	bare := resource("bare", "", nil, param.UUID)
	bare.ManyRead, bare.CacheControl = true, "public, max-age=60"
	pair := Resource{
		Cache: cache.NewResource("pair", "pair", ttl, nil),
		Path:  []param.Segment{{Literal: "pair"}, {Param: "a", Type: param.String}, {Literal: "of"}, {Param: "b", Type: param.Int}},
		Key:   []param.Part{{Literal: "pair:"}, {Param: "a"}, {Literal: ":"}, {Param: "b"}},
	}
	return Config{
		Resources: []Resource{user, item, bare, pair},
		Counters:  []Counter{{Path: "/concurrent_test", Key: "request_count"}, {Path: "/item/count", Key: "shadow"}},
		Batches:   []Batch{{Path: "/batch_process", Resource: "item"}, {Path: "/bares", Resource: "bare"}},
		CORS:      CORS{Origins: []string{"*"}},
		Docs:      Docs{Page: []byte("<p>docs"), CSP: "default-src 'self'", OpenAPI: []byte(`{"openapi":"3.1.0"}`)},
		MaxHeader: 2048, MaxBody: 64 << 10, MaxItems: 100, MaxMany: 3, MaxInFlight: 10_000,
		ReadTimeout: 5 * time.Second, RequestTimeout: 5 * time.Second,
	}
}

// newFixture starts a server; change may alter its configuration and parts.
func newFixture(tb testing.TB, change ...func(*Config, *Deps)) *fixture {
	tb.Helper()
	f := &fixture{
		people:  &people{rows: map[string]string{"1": `{"id":1,"name":"张三"}`, "2": `{"id":2,"name":"李四"}`, "-5": `{"id":-5}`}},
		set:     metrics.New("test"),
		log:     &lockedBuffer{},
		network: fasthttputil.NewInmemoryListener(),
	}
	f.people.rows["9"] = `{"id":9,"text":"` + strings.Repeat("warm hearth ", 500) + `"}`
	ctx, stop := context.WithCancel(context.Background())
	f.stop = stop
	config := demoConfig(f.people)
	deps := Deps{
		Cache: openCache(tb), Tokens: auth.New(nil), Metrics: f.set,
		Log:     slog.New(slog.NewTextHandler(f.log, &slog.HandlerOptions{Level: slog.LevelDebug})),
		State:   func() State { return State(f.state.Load()) },
		Context: ctx,
	}
	for _, c := range change {
		c(&config, &deps)
	}
	f.Server = New(config, deps)
	srv := &fasthttp.Server{Handler: f.Handler(), MaxIdleWorkerDuration: 10 * time.Millisecond}
	f.Configure(srv)
	served := make(chan error, 1)
	go func() { served <- srv.Serve(f.network) }()
	tb.Cleanup(func() {
		stop()
		if err := srv.Shutdown(); err != nil {
			tb.Errorf("shutting the server down: %v", err)
		}
		_ = f.network.Close() // Shutdown overlooks a Serve that has not begun yet
		if err := <-served; err != nil {
			tb.Errorf("serving: %v", err)
		}
	})
	return f
}

// answer is a response with its body read.
type answer struct {
	*http.Response
	body string
}

// send makes one request on a connection of its own. Fields are "Name: value".
func (f *fixture) send(tb testing.TB, method, target, body string, fields ...string) answer {
	tb.Helper()
	var b strings.Builder
	fmt.Fprintf(&b, "%s %s HTTP/1.1\r\nHost: hearth.test\r\n", method, target)
	for _, field := range fields {
		b.WriteString(field + "\r\n")
	}
	if body != "" {
		fmt.Fprintf(&b, "Content-Length: %d\r\n", len(body))
	}
	return f.raw(tb, method, b.String()+"\r\n"+body)
}

// raw sends bytes as they are and reads one response.
func (f *fixture) raw(tb testing.TB, method, bytes string) answer {
	tb.Helper()
	conn, err := f.network.Dial()
	if err != nil {
		tb.Fatalf("connecting: %v", err)
	}
	defer conn.Close()
	if _, err := io.WriteString(conn, bytes); err != nil {
		tb.Fatalf("sending: %v", err)
	}
	resp, err := http.ReadResponse(bufio.NewReader(conn), &http.Request{Method: method})
	if err != nil {
		tb.Fatalf("reading the answer to %.80q: %v", bytes, err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		tb.Fatalf("reading the body of the answer to %.80q: %v", bytes, err)
	}
	return answer{resp, string(text)}
}

// want compares status and body.
func (a answer) want(tb testing.TB, status int, body string) {
	tb.Helper()
	if a.StatusCode != status || a.body != body {
		tb.Errorf("got %d %s\nwant %d %s", a.StatusCode, a.body, status, body)
	}
}

// wantProblem compares the status and checks that the body is a problem
// document of that status whose detail contains words.
func (a answer) wantProblem(tb testing.TB, status int, words string) {
	tb.Helper()
	var p struct {
		Type, Title, Detail string
		Status              int
	}
	if err := json.Unmarshal([]byte(a.body), &p); err != nil {
		tb.Errorf("got %d %q, want a problem: %v", a.StatusCode, a.body, err)
		return
	}
	if a.StatusCode != status || p.Status != status || p.Type == "" || p.Title == "" || !strings.Contains(p.Detail, words) {
		tb.Errorf("got %d %+v\nwant %d with %q in the detail", a.StatusCode, p, status, words)
	}
	if got := a.Header.Get("Content-Type"); got != mediaProblem {
		tb.Errorf("media type of a problem: got %q", got)
	}
	if got := a.Header.Get("Cache-Control"); got != "no-store" {
		tb.Errorf("Cache-Control of a problem: got %q", got)
	}
}

func (a answer) wantHeader(tb testing.TB, name, value string) {
	tb.Helper()
	if got := strings.Join(a.Header.Values(name), " | "); got != value {
		tb.Errorf("%s: got %q, want %q", name, got, value)
	}
}

// warm reads until memory answers, which the second reader's fill makes it do.
func warm(tb testing.TB, f *fixture, target string) (etag string) {
	tb.Helper()
	for deadline := time.Now().Add(5 * time.Second); time.Now().Before(deadline); {
		a := f.send(tb, "GET", target, "")
		if s := a.Header.Get("Cache-Status"); len(s) > 19 && s[:19] == "Hearth-Memory; hit;" {
			return a.Header.Get("ETag")
		}
	}
	tb.Fatalf("%s never came from memory", target)
	return ""
}
