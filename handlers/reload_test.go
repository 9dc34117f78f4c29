package handlers

import (
	"net/http"
	"testing"

	"github.com/valyala/fasthttp"
)

// TestSwitch: what has begun is answered by the Server it began on, what comes
// later by the next one, and a request that the old one was just handed goes on
// to the new one.
func TestSwitch(t *testing.T) {
	held := held{make(chan struct{}, 1), make(chan struct{})}
	f := newFixture(t)
	f.reads = held
	next := newFixture(t, func(c *Config, _ *Deps) { c.Resources[0].CacheControl = "max-age=7" })
	w := NewReloadable(f.Server)
	srv := &fasthttp.Server{}
	w.Configure(srv)
	ask := func(path string) *fasthttp.RequestCtx {
		ctx := &fasthttp.RequestCtx{}
		ctx.Init(&fasthttp.Request{}, nil, nil)
		ctx.Request.SetRequestURI(path)
		ctx.Request.Header.SetHost("localhost")
		srv.Handler(ctx)
		return ctx
	}
	begun := make(chan *fasthttp.RequestCtx, 1)
	go func() { begun <- ask("/user/1") }()
	<-held.entered
	if !f.Busy() {
		t.Error("a server with a request at work is not busy")
	}
	w.Swap(next.Server)
	if w.Current() != next.Server {
		t.Error("the next server is not the current one")
	}
	if got := ask("/user/1"); string(got.Response.Header.Peek("Cache-Control")) != "max-age=7" {
		t.Errorf("after the swap: %s", got.Response.String())
	}
	late := &fasthttp.RequestCtx{} // its handler was looked up before the swap
	late.Init(&fasthttp.Request{}, nil, nil)
	late.Request.SetRequestURI("/user/2")
	f.serve(late)
	if string(late.Response.Header.Peek("Cache-Control")) != "max-age=7" || late.Response.StatusCode() != http.StatusOK {
		t.Errorf("a request that the old server was handed: %s", late.Response.String())
	}
	if !f.Busy() {
		t.Error("the old server has forgotten the request it has begun")
	}
	close(held.release)
	<-begun
	if f.Busy() {
		t.Error("a server without requests is busy")
	}
}
