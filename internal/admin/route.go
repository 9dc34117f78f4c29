package admin

import (
	"strings"

	"github.com/valyala/fasthttp"

	"hearth/internal/auth"
)

// route is one row of the table. The scope lists the tokens of which one is
// needed where tokens are configured; 0 opens the route to all.
type route struct {
	method, path string
	scope        auth.Scope
	handle       fasthttp.RequestHandler
	// page says that browsers ask for it, which cannot send a bearer token by themselves: the
	// token may come as the password of Basic, too.
	page bool
}

// anyName as the last segment of a route's path stands for any one segment.
const anyName = "{name}"

// table lists every route, one for each path; HEAD goes with GET. All that is
// said about who may call what is said here.
func (a *Admin) table() []route {
	const get, post = fasthttp.MethodGet, fasthttp.MethodPost
	return []route{
		{get, "/", auth.Admin, a.index, true},
		{get, "/livez", open, a.livez, false},
		{get, "/readyz", open, a.readyz, false},
		{get, "/metrics", auth.Metrics | auth.Admin, a.metrics, true},
		{get, "/api/stats", auth.Metrics | auth.Admin, a.stats, true},
		{get, "/api/explain", auth.Admin, a.explain, true},
		{get, "/api/hot", auth.Admin, a.hot, true},
		{get, "/api/tick", auth.Admin, a.tick, true},
		{get, "/api/stream", auth.Admin, a.stream, true},
		{get, "/api/history", auth.Metrics | auth.Admin, a.history, true},
		{post, "/api/reload", auth.Admin, a.reload, false},
		{post, "/api/invalidate", auth.Admin, a.invalidate, false},
		{get, "/manual", auth.Admin, a.manualIndex, true},
		{get, manualPrefix + anyName, auth.Admin, a.manualPage, true},
		{get, profilePrefix, auth.Admin, a.profileIndex, true},
		{get, profilePrefix + anyName, auth.Admin, a.profile, true},
	}
}

// route finds the row of a request and serves it. Tokens are asked for first, so
// that a caller without one does not learn which paths and methods there are. The
// path is taken as it was sent: it is not cleaned, and there are no redirects.
func (a *Admin) route(ctx *fasthttp.RequestCtx) {
	row := a.find(string(ctx.URI().PathOriginal()))
	switch {
	case row == nil:
		if a.authorize(ctx, auth.Admin, false) {
			problem(ctx, fasthttp.StatusNotFound, "there is nothing at this path; / lists what there is")
		}
	case !a.authorize(ctx, row.scope, row.page):
	case !row.takes(string(ctx.Method())):
		problem(ctx, fasthttp.StatusMethodNotAllowed, "this path does not take "+printable(ctx.Method())+"; Allow lists what it takes",
			fasthttp.HeaderAllow, row.allow())
	case (row.method == fasthttp.MethodPost || row.path != "/" && byPassword(ctx)) && !refuseForeign(ctx):
	default:
		row.handle(ctx)
	}
}

// find returns the row of a path, nil where there is none.
func (a *Admin) find(path string) *route {
	for _, row := range a.table() {
		prefix, parametric := strings.CutSuffix(row.path, anyName)
		name, below := strings.CutPrefix(path, prefix)
		if row.path == path || parametric && below && name != "" && !strings.Contains(name, "/") {
			return &row
		}
	}
	return nil
}

func (r *route) takes(method string) bool {
	return method == r.method || method == fasthttp.MethodHead && r.method == fasthttp.MethodGet
}

// allow is the value of Allow. There is no CORS here: OPTIONS is a method like
// others, and none of these.
func (r *route) allow() string {
	if r.method == fasthttp.MethodGet {
		return "GET, HEAD"
	}
	return r.method
}
