//go:build !race

package handlers

import (
	"bufio"
	"strings"
	"testing"

	"github.com/valyala/fasthttp"
)

// hotContext is a request as fasthttp hands it over: read from bytes, for the
// fast path looks at those, too.
func hotContext(target string, fields ...string) *fasthttp.RequestCtx {
	text := "GET " + target + " HTTP/1.1\r\nHost: hearth.test\r\nUser-Agent: test\r\nConnection: keep-alive\r\n"
	for i := 0; i+1 < len(fields); i += 2 {
		text += fields[i] + ": " + fields[i+1] + "\r\n"
	}
	ctx := &fasthttp.RequestCtx{}
	ctx.Init(&fasthttp.Request{}, nil, nil)
	if err := ctx.Request.Read(bufio.NewReader(strings.NewReader(text + "\r\n"))); err != nil {
		panic(err)
	}
	return ctx
}

func TestMemoryHitsDoNotAllocate(t *testing.T) {
	f := newFixture(t)
	listed := newFixture(t, func(c *Config, _ *Deps) { c.CORS.Origins = []string{"https://app.test"} })
	f.send(t, "POST", "/batch_process", `[{"id":"a_b.c"}]`).want(t, 200, `{"status":"success","count":1}`)
	etag := warm(t, f, "/user/1")
	for _, target := range []string{"/user/9", "/user/404", "/item/a_b.c"} {
		warm(t, f, target)
	}
	warm(t, listed, "/user/9")
	counted := newFixture(t, limited(t, "a", 1<<30, ByClient, "", all), limited(t, "b", 1<<30, ByHeader, "X-Key", users), limited(t, "c", 1<<30, ByGlobal, "", users))
	warm(t, counted, "/user/1")
	authorised, _ := newAsked(t, HonorAuthorised, 1)
	warm(t, authorised, "/user/1")
	for _, c := range []struct {
		name   string
		f      *fixture
		target string
		fields []string
		status int
	}{
		{"200", f, "/user/1", nil, 200},
		{"200 with a query", f, "/user/1?x=1", nil, 200},
		{"200 of a string", f, "/item/a_b.c", nil, 200},
		{"304", f, "/user/1", []string{"If-None-Match", `"x", ` + etag}, 304},
		{"404", f, "/user/404", nil, 404},
		{"gzip", f, "/user/9", []string{"Accept-Encoding", "br, gzip"}, 200},
		{"request id", f, "/user/1", []string{"X-Request-Id", "abc-1"}, 200},
		{"directives that do not count", f, "/user/1", []string{"Cache-Control", "no-cache", "Pragma", "no-cache", "Authorization", "Bearer x"}, 200},
		{"directives of a stranger", authorised, "/user/1", []string{"Cache-Control", "no-cache"}, 200},
		{"origin", f, "/user/1", []string{"Origin", "https://elsewhere.test"}, 200},
		{"listed origin", listed, "/user/9", []string{"Origin", "https://app.test"}, 200},
		{"limits", counted, "/user/1", []string{"X-Key", "abc"}, 200},
		{"unlisted origin", listed, "/user/9", []string{"Origin", "https://elsewhere.test"}, 200},
	} {
		ctx := hotContext(c.target, c.fields...)
		handler := c.f.Handler()
		for range 2000 { // limits have taken their tokens in chunks by then
			ctx.Response.Reset()
			handler(ctx)
		}
		got := testing.AllocsPerRun(200, func() {
			ctx.Response.Reset()
			handler(ctx)
		})
		if ctx.Response.StatusCode() != c.status {
			t.Errorf("%s: got status %d, want %d", c.name, ctx.Response.StatusCode(), c.status)
		}
		if got != 0 {
			t.Errorf("%s: got %v allocations, want 0", c.name, got)
		}
	}
}

func BenchmarkHit(b *testing.B) {
	f := newFixture(b)
	warm(b, f, "/user/1")
	handler := f.Handler()
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		ctx := hotContext("/user/1")
		for pb.Next() {
			ctx.Response.Reset()
			handler(ctx)
		}
	})
}

// BenchmarkBare is what the same answer costs without Hearth.
func BenchmarkBare(b *testing.B) {
	body := []byte(`{"user":{"id":1,"name":"张三"},"source":"cache"}`)
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		ctx := hotContext("/user/1")
		for pb.Next() {
			ctx.Response.Reset()
			ctx.SetContentType("application/json")
			ctx.Response.SetBodyRaw(body)
		}
	})
}
