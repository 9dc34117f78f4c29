package main

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/valyala/fasthttp"

	"hearth/cache"
	"hearth/cache/embedded"
	"hearth/cache/memory"
	"hearth/cache/redis"
	"hearth/handlers"
	"hearth/internal/auth"
	"hearth/internal/metrics"
	"hearth/internal/param"
	"hearth/internal/testkit"
)

// benchServer is the server without its sockets, over an item that stands in
// every tier.
type benchServer struct {
	handler fasthttp.RequestHandler
	front   *handlers.Server
	cache   *cache.Cache
	item    *cache.Resource
}

// newBenchServer serves items from redisURL, or from the embedded tier.
func newBenchServer(b *testing.B, redisURL string, revalidate time.Duration) *benchServer {
	b.Helper()
	log := slog.New(slog.DiscardHandler)
	c, err := cache.New(cache.Config{
		Shared: func(m *memory.Store, f *cache.Flights) (cache.SharedTier, error) {
			if redisURL == "" {
				return embedded.New(filepath.Join(b.TempDir(), "bench.db"), 5*time.Second, log, m, f), nil
			}
			return redis.New(redis.Config{URL: redisURL, LinkTimeout: 2 * time.Second, Lease: 5 * time.Second, Revalidate: revalidate, Log: log}, m, f)
		},
		Revalidate: revalidate, LinkTimeout: 2 * time.Second, Lease: 5 * time.Second, Log: log,
		Settings: cache.Settings{
			Budget: 256 << 20, MissingShare: 0.05, MissingRate: 1000, UntrackedTTL: time.Second,
			MaxLoads: 64, Wait: 3 * time.Second,
		},
	})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(c.Close)
	if err := c.Open(); err != nil {
		b.Fatal(err)
	}
	testkit.Eventually(b, 10*time.Second, "the shared tier answers", func() bool { return c.Up() == nil })
	item := cache.NewResource("item", "item", cache.Lifetimes{Stale: time.Minute}, nil)
	front := handlers.New(handlers.Config{
		MaxHeader: 8 << 10, MaxBody: 1 << 20, MaxItems: 10_000, MaxMany: 100, MaxInFlight: 10_000, RequestTimeout: 10 * time.Second,
		Resources: []handlers.Resource{{
			Cache: item,
			Path:  []param.Segment{{Literal: "item"}, {Param: "id", Type: param.String}},
			Key:   []param.Part{{Literal: "item:"}, {Param: "id"}},

			CacheControl: "no-cache",
		}},
		Batches: []handlers.Batch{{Path: "/batch_process", Resource: "item"}},
		CORS:    handlers.CORS{Origins: []string{"*"}},
	}, handlers.Deps{
		Cache: c, Tokens: auth.New(nil), Metrics: metrics.New("bench"), Log: log, Context: context.Background(),
		State: func() handlers.State { return handlers.Serving },
	})
	s := &benchServer{handler: front.Handler(), front: front, cache: c, item: item}
	if errs := c.Store(b.Context(), []cache.Item{{Key: "item:1", Value: []byte(benchRecord)}}, 0); errs != nil {
		b.Fatal(errs)
	}
	for range 2 { // into memory
		if _, err := c.Read(b.Context(), item, "item:1", nil); err != nil {
			b.Fatal(err)
		}
	}
	return s
}

var benchRecord = `{"id":1,"name":"` + strings.Repeat("x", 80) + `"}`

// bare is what a hit is compared with: the same bytes, known beforehand.
func bare(ctx *fasthttp.RequestCtx) {
	ctx.SetContentType("application/json")
	ctx.Response.SetBodyRaw(bareBody)
}

var bareBody = []byte(`{"item":` + benchRecord + `,"source":"cache"}`)

// bareWithHeaders answers with the headers of a hit, too.
func bareWithHeaders(ctx *fasthttp.RequestCtx) {
	bare(ctx)
	h := &ctx.Response.Header
	h.Set("ETag", `W/"0123456789abcdef0123456789abcd"`)
	h.Set("Cache-Control", "no-cache")
	h.Set("Cache-Status", "Hearth-Memory; hit; ttl=59")
	h.Set("Access-Control-Allow-Origin", "*")
	h.Set("Access-Control-Expose-Headers", "ETag, Cache-Status, RateLimit, RateLimit-Policy, Retry-After")
}

// benchRequest returns a context as fasthttp hands it to a handler: with the header
// as it came, which the fast path looks at once more.
func benchRequest(method, target string) *fasthttp.RequestCtx {
	var ctx fasthttp.RequestCtx
	ctx.Init2(nil, nil, false)
	raw := method + " " + target + " HTTP/1.1\r\nHost: localhost\r\n\r\n"
	if err := ctx.Request.Header.Read(bufio.NewReader(strings.NewReader(raw))); err != nil {
		panic("BUG: a request of the benchmark: " + err.Error())
	}
	return &ctx
}

// BenchmarkWirePath is a memory hit from the bytes of a request to those of its answer, alone
// and as one of 16 that came together: what fasthttp does for BenchmarkHandler is in it.
func BenchmarkWirePath(b *testing.B) {
	s := newBenchServer(b, "", time.Hour)
	for name, n := range map[string]int{"hit": 1, "16_hits": 16} {
		b.Run(name, func(b *testing.B) {
			in := []byte(strings.Repeat("GET /item/1 HTTP/1.1\r\nHost: localhost\r\n\r\n", n))
			out := make([]byte, 0, 16<<10)
			b.ReportAllocs()
			for b.Loop() {
				answered, answers := s.front.Answer(nil, in, out)
				if answered != len(in) || !bytes.HasSuffix(answers, bareBody) {
					b.Fatalf("answered %d of %d bytes: %q", answered, len(in), answers)
				}
			}
		})
	}
}

// BenchmarkHandler is a memory hit in the handler alone, beside a handler that
// only hands over the same bytes.
func BenchmarkHandler(b *testing.B) {
	s := newBenchServer(b, "", time.Hour)
	for name, h := range map[string]fasthttp.RequestHandler{"bare": bare, "bare_with_headers": bareWithHeaders, "hit": s.handler} {
		b.Run(name, func(b *testing.B) {
			ctx := benchRequest("GET", "/item/1")
			b.ReportAllocs()
			for b.Loop() {
				ctx.Response.Reset()
				h(ctx)
			}
			if string(ctx.Response.Body()) != string(bareBody) {
				b.Fatalf("answered %q", ctx.Response.Body())
			}
		})
		b.Run(name+"_parallel", func(b *testing.B) {
			b.ReportAllocs()
			b.RunParallel(func(pb *testing.PB) {
				ctx := benchRequest("GET", "/item/1")
				for pb.Next() {
					ctx.Response.Reset()
					h(ctx)
				}
			})
		})
	}
}

// BenchmarkPipelined is the whole server over a socket, 16 requests at a time.
func BenchmarkPipelined(b *testing.B) {
	s := newBenchServer(b, "", time.Hour)
	for name, h := range map[string]fasthttp.RequestHandler{"bare": bare, "bare_with_headers": bareWithHeaders, "hit": s.handler} {
		b.Run(name, func(b *testing.B) { benchPipelined(b, h) })
	}
}

func benchPipelined(b *testing.B, h fasthttp.RequestHandler) {
	l, err := net.Listen("unix", filepath.Join(b.TempDir(), "s"))
	if err != nil {
		b.Fatal(err)
	}
	server := &fasthttp.Server{Handler: h, NoDefaultServerHeader: true}
	served := make(chan error, 1)
	go func() { served <- server.Serve(l) }()
	defer func() {
		if err := server.Shutdown(); err != nil {
			b.Error(err)
		}
		<-served
	}()
	conn, err := net.Dial("unix", l.Addr().String())
	if err != nil {
		b.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	const depth = 16
	request := []byte(strings.Repeat("GET /item/1 HTTP/1.1\r\nHost: localhost\r\n\r\n", depth))
	in := bufio.NewReaderSize(conn, 64<<10)
	var resp fasthttp.Response
	b.ReportAllocs()
	for b.Loop() {
		if _, err := conn.Write(request); err != nil {
			b.Fatal(err)
		}
		for range depth {
			if err := resp.Read(in); err != nil && err != io.EOF {
				b.Fatal(err)
			}
		}
	}
	if string(resp.Body()) != string(bareBody) {
		b.Fatalf("answered %q", resp.Body())
	}
}

// BenchmarkSharedRead is a read that asks the shared tier every time.
func BenchmarkSharedRead(b *testing.B) {
	for _, tier := range []string{"redis", "embedded"} {
		b.Run(tier, func(b *testing.B) {
			url := ""
			if tier == "redis" {
				url = testkit.Redis(b).URL()
			}
			s := newBenchServer(b, url, time.Nanosecond)
			b.ReportAllocs()
			b.SetParallelism(32)
			b.RunParallel(func(pb *testing.PB) {
				for pb.Next() {
					a, err := s.cache.Read(b.Context(), s.item, "item:1", nil)
					if err != nil || a.Tier == cache.TierMemory {
						b.Errorf("answered by %v, error %v", a.Tier, err)
						return
					}
				}
			})
		})
	}
}

// BenchmarkBatch stores 100 items at a time.
func BenchmarkBatch(b *testing.B) {
	var body strings.Builder
	for i := range 100 {
		fmt.Fprintf(&body, `,{"id":%d,"name":"item %d","price":12.5}`, i, i)
	}
	for _, tier := range []string{"redis", "embedded"} {
		b.Run(tier, func(b *testing.B) {
			url := ""
			if tier == "redis" {
				url = testkit.Redis(b).URL()
			}
			s := newBenchServer(b, url, time.Hour)
			ctx := benchRequest("POST", "/batch_process")
			ctx.Request.Header.SetContentType("application/json")
			ctx.Request.SetBodyString("[" + body.String()[1:] + "]")
			b.ReportAllocs()
			for b.Loop() {
				ctx.Response.Reset()
				s.handler(ctx)
			}
			if ctx.Response.StatusCode() != 200 {
				b.Fatalf("answered %d %s", ctx.Response.StatusCode(), ctx.Response.Body())
			}
		})
	}
}
