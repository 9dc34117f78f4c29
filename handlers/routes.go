package handlers

import (
	"slices"
	"strconv"
	"strings"

	"github.com/fasthttp/router"
	"github.com/valyala/fasthttp"

	"hearth/internal/auth"
)

// routeTable registers routes: with the router, in the Server's own list, which
// limits are held against, and in get, which the many-reads and the fast path look at.
type routeTable struct {
	*router.Router
	server *Server
	get    map[string]bool   // paths with a GET, as registered
	found  *router.Router    // the same routes, for Find
	finds  map[string]finder // by path, of what is behind a GET; of others nothing is to be found
}

// buildRoutes registers everything that is served, in one table. Paths found
// in the configuration come first; a many-read gives way to any other path. A route
// that has no validator is wrapped in untagged, so that no condition is ignored; the
// health check is not, as balancers send no conditions and must not be refused.
func (s *Server) buildRoutes() {
	t := s.newRouteTable()
	named := map[string]*resource{}
	for _, c := range s.config.Resources {
		res := newResource(c, &s.cors, s.deps.Metrics)
		named[res.Name] = res
		s.resources = append(s.resources, res)
		t.finds[res.pattern] = res.find
		t.read(res.pattern, res.metrics, s.read(res))
		if c.CanPut {
			t.add(fasthttp.MethodPut, res.pattern, auth.Write, res.metrics, s.put(res))
		}
		if c.CanDelete {
			t.add(fasthttp.MethodDelete, res.pattern, auth.Write, res.metrics, s.remove(res))
		}
		if res.hasOne() {
			s.fastRoutes[prefixOf(res.pattern)] = &fastRoute{resource: res, kind: res.params[0].Type, limits: rulesFor(c.Path, s.limits)}
		}
	}
	for _, c := range s.config.Counters {
		t.get[c.Path] = true // and no HEAD
		t.finds[c.Path] = func(*fasthttp.RequestCtx) Found { return Found{Kind: KindCounter, Keys: []string{c.Key}} }
		t.add(fasthttp.MethodGet, c.Path, open, s.other, untagged(s.counter(c)))
	}
	for _, c := range s.config.Batches {
		res := named[c.Resource]
		if res == nil || len(res.params) != 1 {
			panic("BUG: batch " + strconv.Quote(c.Path) + " needs a resource with one path parameter")
		}
		t.add(fasthttp.MethodPost, c.Path, auth.Write, res.metrics, untagged(s.batch(res, c.TTL)))
	}
	t.read("/", s.other, untagged(root))
	t.read("/healthz", s.other, s.health)
	if len(s.config.Docs.Page) > 0 {
		t.read("/docs", s.other, untagged(s.docsPage))
	}
	if len(s.config.Docs.OpenAPI) > 0 {
		t.read("/openapi.json", s.other, untagged(s.openAPI))
	}
	for i, c := range s.config.Resources {
		res := s.resources[i]
		path := strings.TrimSuffix(prefixOf(res.pattern), "/")
		if c.ManyRead && res.hasOne() && path != "" && !t.get[path] {
			t.finds[path] = res.findMany(s.config.MaxMany)
			t.read(path, res.metrics, untagged(s.many(res)))
		}
	}
	t.shadow()
	s.router, s.finder = t.Handler, t.found.Handler
}

// newRouteTable is a table without routes: what no route takes is refused.
func (s *Server) newRouteTable() routeTable {
	t := routeTable{Router: router.New(), server: s, get: map[string]bool{}, found: router.New(), finds: map[string]finder{}}
	// Redirects would turn //host/path into a redirect to that host.
	t.RedirectTrailingSlash, t.found.RedirectTrailingSlash = false, false
	t.RedirectFixedPath, t.found.RedirectFixedPath = false, false
	t.found.NotFound = found(func(*fasthttp.RequestCtx) Found { return unserved() })
	t.found.MethodNotAllowed = found(func(ctx *fasthttp.RequestCtx) Found {
		return refusedAs(methodRefused(string(ctx.Response.Header.Peek(fasthttp.HeaderAllow))))
	})
	t.NotFound = handler(s.other, func(*request) error { return notFound() })
	t.MethodNotAllowed = handler(s.other, refuseMethod)
	t.GlobalOPTIONS = handler(s.other, s.options)
	return t
}

// add registers a route. There is no other way to register one, so none can be
// without a scope, or be served without its being checked.
func (t routeTable) add(method, path string, scope auth.Scope, m *requestMetrics, op operation) {
	s := t.server
	s.routes = append(s.routes, route{method, path, scope})
	t.Handle(method, path, handler(m, func(r *request) error {
		if err := s.authorise(r, scope); err != nil {
			return err
		}
		return op(r)
	}))
	find := t.finds[path]
	if find == nil {
		find = func(*fasthttp.RequestCtx) Found { return Found{Kind: KindFixed} }
	}
	t.found.Handle(method, path, found(find))
}

// found adapts a finder to the router; Find has put there what it fills.
func found(find finder) fasthttp.RequestHandler {
	return func(ctx *fasthttp.RequestCtx) { *ctx.UserValue(foundKey{}).(*Found) = find(ctx) }
}

// read registers a GET and the HEAD that belongs to it. Reads are open.
func (t routeTable) read(path string, m *requestMetrics, op operation) {
	t.get[path] = true
	t.add(fasthttp.MethodGet, path, open, m, op)
	t.add(fasthttp.MethodHead, path, open, m, op)
}

// shadow tells the fast path, and operators, which literal paths lie where a parameter
// would match: the router prefers the literal, and all have to agree. Without
// it GET /user/count would be the counter on one way and the record named "count" on
// the other, depending on how the request was spelled.
func (t routeTable) shadow() {
	t.server.literals = map[string]struct{}{}
	for path := range t.get {
		if !slices.ContainsFunc(t.server.resources, func(res *resource) bool { return res.pattern == path }) {
			t.server.literals[path] = struct{}{}
		}
		prefix := prefixOf(path)
		if fast := t.server.fastRoutes[prefix]; fast != nil && !strings.Contains(path, "{") {
			fast.shadows = append(fast.shadows, path[len(prefix):])
		}
	}
}

// prefixOf is a path up to its last slash, that included.
func prefixOf(path string) string { return path[:strings.LastIndexByte(path, '/')+1] }

// refuseMethod answers where the path is served and the method is not. The
// router has set Allow.
func refuseMethod(r *request) error {
	return methodRefused(string(r.Response.Header.Peek(fasthttp.HeaderAllow)))
}

func methodRefused(allow string) *problem {
	return &problem{status: 405, header: fasthttp.HeaderAllow, value: allow, detail: "this path serves " + allow}
}

// options answers a preflight, or says what a path serves (RFC 9110, 9.3.7).
// The router has set Allow.
func (s *Server) options(r *request) error {
	if !s.cors.preflight(r.RequestCtx) {
		r.SetStatusCode(fasthttp.StatusNoContent)
	}
	return nil
}
