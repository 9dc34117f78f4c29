package handlers

import (
	"testing"

	"github.com/valyala/fasthttp"
)

// overwritten answers a request and then overwrites all of it that lies in
// fasthttp's buffers, as the connection's next request would.
func (f *fixture) overwritten(t *testing.T, method, target, body string) (status int) {
	t.Helper()
	var ctx fasthttp.RequestCtx
	ctx.Init(&fasthttp.Request{}, nil, nil)
	ctx.Request.Header.SetMethod(method)
	ctx.Request.SetRequestURI(target)
	ctx.Request.Header.SetHost("hearth.test")
	if body != "" {
		ctx.Request.Header.SetContentType("application/json")
		ctx.Request.SetBody([]byte(body))
	}
	buffers := [][]byte{ctx.Request.Header.RequestURI(), ctx.URI().PathOriginal(), ctx.URI().Path(), ctx.URI().QueryString(), ctx.Request.Body()}
	f.Handler()(&ctx)
	for _, b := range buffers {
		for i := range b {
			b[i] = 'z'
		}
	}
	return ctx.Response.StatusCode()
}

// TestNothingKeepsTheRequest: keys, values and records that a request brought
// must not change when its buffers are used for another one.
func TestNothingKeepsTheRequest(t *testing.T) {
	f := newFixture(t)
	for _, r := range []struct{ method, target, body string }{
		{"POST", "/batch_process", `[{"id":"one","v":1},{"id":"two","v":2},{"id":"a b","v":3}]`},
		{"PUT", "/user/7", `{"name":"Ada"}`},
		{"GET", "/user/1", ""}, // a load
		{"GET", "/user/1", ""}, // from the shared tier into memory
		{"GET", "/user/1", ""},
		{"GET", "/item/one", ""},
		{"GET", "/item/a%20b", ""},
		{"GET", "/item?item_id=two&item_id=a+b", ""},
		{"GET", "/user/4711", ""}, // missing
	} {
		want := 200
		if r.target == "/user/4711" {
			want = 404
		}
		if got := f.overwritten(t, r.method, r.target, r.body); got != want {
			t.Errorf("%s %s: got.Status %d, want %d", r.method, r.target, got, want)
		}
	}
	for target, want := range map[string]string{
		"/user/1":     `{"user":{"id":1,"name":"张三"},"source":"cache"}`,
		"/user/7":     `{"user":{"name":"Ada"},"source":"cache"}`,
		"/item/one":   `{"item":{"id":"one","v":1},"source":"cache"}`,
		"/item/two":   `{"item":{"id":"two","v":2},"source":"cache"}`,
		"/item/a%20b": `{"item":{"id":"a b","v":3},"source":"cache"}`,
	} {
		for range 3 { // from the shared tier, then from memory
			f.send(t, "GET", target, "").want(t, 200, want)
		}
	}
	for _, target := range []string{"/item/zzz", "/item/zzzzz", "/user/4711"} {
		f.send(t, "GET", target, "").wantProblem(t, 404, "no record")
	}
}
