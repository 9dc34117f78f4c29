package handlers

import (
	"strconv"
	"strings"

	"github.com/fasthttp/router"
	"github.com/valyala/fasthttp"

	"hearth/internal/auth"
)

// row is one route: what is served, and the scope of the token that it takes
// where tokens are configured.
type route struct {
	method, path string
	scope        auth.Scope
}

// routes collects what New registers.
type routeTable struct {
	*router.Router
	server *Server
	get    map[string]bool // paths with a GET, as registered
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
}

// buildRoutes registers everything that is served, in one table. Paths found
// in the configuration come first; a many-read gives way to any other path.
func (s *Server) buildRoutes() {
	t := routeTable{Router: router.New(), server: s, get: map[string]bool{}}
	// Redirects would turn //host/path into a redirect to that host.
	t.RedirectTrailingSlash = false
	t.RedirectFixedPath = false
	t.NotFound = handler(s.other, func(*request) error { return notFound() })
	t.MethodNotAllowed = handler(s.other, refuseMethod)
	t.GlobalOPTIONS = handler(s.other, s.options)

	s.fastRoutes = map[string]*fastRoute{}
	records := map[string]*resource{}
	for _, c := range s.config.Resources {
		res, path := s.newResource(c)
		records[res.Name] = res
		s.targets = append(s.targets, target{res, c.Path})
		s.routeSingle(t, c, res, path)
	}
	for _, c := range s.config.Counters {
		t.get[c.Path] = true
		t.add(fasthttp.MethodGet, c.Path, open, s.other, untagged(s.counter(c)))
	}
	for _, c := range s.config.Batches {
		res := records[c.Resource]
		if res == nil || len(res.params) != 1 {
			panic("BUG: batch " + strconv.Quote(c.Path) + " needs a resource with one path parameter")
		}
		t.add(fasthttp.MethodPost, c.Path, auth.Write, res.metrics, untagged(s.batch(res)))
	}
	s.routeFixed(t)
	for _, c := range s.config.Resources {
		s.routeMany(t, c, records[c.Cache.Name])
	}
	s.shadow(t)
	s.router = t.Handler
}

// routeFixed registers what every configuration serves.
func (s *Server) routeFixed(t routeTable) {
	t.read("/", s.other, untagged(root))
	t.read("/healthz", s.other, s.health)
	if len(s.config.Docs.Page) > 0 {
		t.read("/docs", s.other, untagged(s.docsPage))
	}
	if len(s.config.Docs.OpenAPI) > 0 {
		t.read("/openapi.json", s.other, untagged(s.openAPI))
	}
}

// read registers a GET and the HEAD that belongs to it. Reads are open.
func (t routeTable) read(path string, m *requestMetrics, op operation) {
	t.get[path] = true
	t.add(fasthttp.MethodGet, path, open, m, op)
	t.add(fasthttp.MethodHead, path, open, m, op)
}

func (s *Server) routeSingle(t routeTable, c Resource, res *resource, path string) {
	t.read(path, res.metrics, s.read(res))
	if c.CanPut {
		t.add(fasthttp.MethodPut, path, auth.Write, res.metrics, s.put(res))
	}
	if c.CanDelete {
		t.add(fasthttp.MethodDelete, path, auth.Write, res.metrics, s.remove(res))
	}
	last := len(c.Path) - 1
	if len(res.params) == 1 && c.Path[last].Param != "" {
		s.fastRoutes[path[:strings.LastIndexByte(path, '/')+1]] = &fastRoute{resource: res, kind: res.params[0].Type, limits: s.limitsOf(c.Path)}
	}
}

// routeMany registers the path without its last segment, unless that is taken.
func (s *Server) routeMany(t routeTable, c Resource, res *resource) {
	last := len(c.Path) - 1
	if !c.ManyRead || last < 1 || len(res.params) != 1 || c.Path[last].Param == "" {
		return
	}
	var path strings.Builder
	for _, seg := range c.Path[:last] {
		path.WriteString("/" + seg.Literal)
	}
	if !t.get[path.String()] {
		t.read(path.String(), res.metrics, untagged(s.many(res)))
	}
}

// shadow tells the fast path which literal paths lie where a parameter of its
// own would match: the router prefers the literal, and both have to agree.
func (s *Server) shadow(t routeTable) {
	for path := range t.get {
		cut := strings.LastIndexByte(path, '/') + 1
		if hot := s.fastRoutes[path[:cut]]; hot != nil && !strings.Contains(path, "{") {
			hot.shadows = append(hot.shadows, path[cut:])
		}
	}
}

// refuseMethod answers where the path is served and the method is not. The
// router has set Allow.
func refuseMethod(r *request) error {
	allow := string(r.Response.Header.Peek(fasthttp.HeaderAllow))
	return &problem{status: 405, allow: allow, detail: "this path serves " + allow}
}

// options answers a preflight, or says what a path serves (RFC 9110, 9.3.7).
// The router has set Allow.
func (s *Server) options(r *request) error {
	if !s.cors.preflight(r.RequestCtx) {
		r.SetStatusCode(fasthttp.StatusNoContent)
	}
	return nil
}
