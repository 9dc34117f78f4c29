package admin

import (
	"slices"
	"strings"

	"github.com/fasthttp/router"
	"github.com/valyala/fasthttp"

	"hearth/internal/auth"
)

// route is one row of the table. The scope lists the tokens of which one is
// needed where tokens are configured; 0 opens the route to everybody.
type route struct {
	method, path string
	scope        auth.Scope
	handle       fasthttp.RequestHandler
}

// open is the scope of routes that need no token.
const open auth.Scope = 0

// table lists every route; HEAD goes with GET. All that is said about who may
// call what is said here.
func (a *Admin) table() []route {
	const get, post = fasthttp.MethodGet, fasthttp.MethodPost
	return []route{
		{get, "/", auth.Admin, a.index},
		{get, "/livez", open, a.livez},
		{get, "/readyz", open, a.readyz},
		{get, "/metrics", auth.Metrics | auth.Admin, a.metrics},
		{get, "/api/stats", auth.Metrics | auth.Admin, a.stats},
		{post, "/api/invalidate", auth.Admin, a.invalidate},
		{get, profilePrefix, auth.Admin, a.profileIndex},
		{get, profilePrefix + "{name}", auth.Admin, a.profile},
	}
}

// build makes the router. Its redirects are off: they would send a path that
// begins with two slashes to another host.
func (a *Admin) build() *router.Router {
	r := router.New()
	r.RedirectTrailingSlash = false
	r.RedirectFixedPath = false
	r.HandleOPTIONS = false // there is no CORS here: OPTIONS is a method like others
	r.HandleMethodNotAllowed = true
	for _, row := range a.routes {
		handle := a.guard(row)
		r.Handle(row.method, row.path, handle)
		if row.method == fasthttp.MethodGet {
			r.Handle(fasthttp.MethodHead, row.path, handle)
		}
	}
	r.NotFound = func(ctx *fasthttp.RequestCtx) {
		if a.authorize(ctx, auth.Admin) {
			problem(ctx, fasthttp.StatusNotFound, "there is nothing at this path; / lists what there is")
		}
	}
	r.MethodNotAllowed = func(ctx *fasthttp.RequestCtx) {
		allow := string(ctx.Response.Header.Peek(fasthttp.HeaderAllow))
		ctx.Response.Header.Del(fasthttp.HeaderAllow)
		if a.authorize(ctx, a.scopeOf(string(ctx.URI().PathOriginal()))) {
			ctx.Response.Header.Set(fasthttp.HeaderAllow, withoutOptions(allow))
			problem(ctx, fasthttp.StatusMethodNotAllowed, "this path does not take "+printable(ctx.Method())+"; Allow lists what it takes")
		}
	}
	return r
}

// withoutOptions takes OPTIONS, which the router always adds, from the value
// of Allow and puts the rest in order.
func withoutOptions(allow string) string {
	methods := slices.DeleteFunc(strings.Split(allow, ", "), func(m string) bool { return m == fasthttp.MethodOptions })
	slices.Sort(methods)
	return strings.Join(methods, ", ")
}

// scopeOf finds the scope of a path that exists, whatever the method.
func (a *Admin) scopeOf(path string) auth.Scope {
	for _, row := range a.routes {
		if row.path == path {
			return row.scope
		}
	}
	return auth.Admin // those with a parameter
}

// guard puts before a route what its method and scope demand.
func (a *Admin) guard(row route) fasthttp.RequestHandler {
	return func(ctx *fasthttp.RequestCtx) {
		if !a.authorize(ctx, row.scope) {
			return
		}
		if row.method == fasthttp.MethodPost && !refuseForeign(ctx) {
			return
		}
		row.handle(ctx)
	}
}

// printable shortens what a client sent to something that may be shown.
func printable(b []byte) string {
	const most = 16
	s := strings.Map(func(r rune) rune {
		if r < ' ' || r > '~' {
			return -1
		}
		return r
	}, string(b[:min(len(b), most)]))
	return s
}
