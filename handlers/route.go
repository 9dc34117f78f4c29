package handlers

import (
	"strconv"
	"strings"

	"github.com/fasthttp/router"
	"github.com/valyala/fasthttp"

	"hearth/cache"
	"hearth/internal/auth"
	"hearth/internal/param"
	"hearth/internal/source"
)

// record is a resource as the requests for it need it.
type record struct {
	*cache.Resource
	path         []param.Segment
	params       []param.Param
	values       []string // names under which the router hands over the parameters
	key          param.Key
	cacheControl []byte
	missing      []byte // the finished 404
	head         []byte // what precedes the data in an answer
	shapes       shapes
	meter        *meter
	called       bool          // its source is told who asks; see call.tell
	choosy       source.Choosy // nil: its source takes all values
}

// hotRoute is a record reached by a literal prefix and one parameter.
type hotRoute struct {
	*record
	kind param.Kind
	// shadows are values of the parameter which a literal path of its own
	// takes: /user/count beside /user/{name}.
	shadows []string
	quotas  []*quota // that may cover its requests
}

func (r *hotRoute) shadowed(raw []byte) bool {
	for _, s := range r.shadows {
		if s == string(raw) {
			return true
		}
	}
	return false
}

// row is one route: what is served, and the scope of the token that it takes
// where tokens are configured.
type row struct {
	method, path string
	scope        auth.Scope
}

// routes collects what New registers.
type routes struct {
	*router.Router
	server *Server
	get    map[string]bool // paths with a GET, as registered
}

// add registers a route. There is no other way to register one, so none can be
// without a scope, or be served without its being checked.
func (r routes) add(method, path string, scope auth.Scope, m *meter, op operation) {
	s := r.server
	s.table = append(s.table, row{method, path, scope})
	r.Handle(method, path, handler(m, func(c *call) error {
		if err := s.authorise(c, scope); err != nil {
			return err
		}
		return op(c)
	}))
}

// buildRoutes registers everything that is served, in one table. Paths found
// in the configuration come first; a many-read gives way to any other path.
func (s *Server) buildRoutes() {
	r := routes{Router: router.New(), server: s, get: map[string]bool{}}
	// Redirects would turn //host/path into a redirect to that host.
	r.RedirectTrailingSlash = false
	r.RedirectFixedPath = false
	r.NotFound = handler(s.other, func(*call) error { return notFound() })
	r.MethodNotAllowed = handler(s.other, refuseMethod)
	r.GlobalOPTIONS = handler(s.other, s.options)

	s.hots = map[string]*hotRoute{}
	records := map[string]*record{}
	for _, c := range s.config.Resources {
		rec, path := s.newRecord(c)
		records[rec.Name] = rec
		s.targets = append(s.targets, target{rec, c.Path})
		s.routeRecord(r, c, rec, path)
	}
	for _, c := range s.config.Counters {
		r.get[c.Path] = true
		r.add(fasthttp.MethodGet, c.Path, open, s.other, untagged(s.counter(c)))
	}
	for _, c := range s.config.Batches {
		rec := records[c.Resource]
		if rec == nil || len(rec.params) != 1 {
			panic("BUG: batch " + strconv.Quote(c.Path) + " needs a resource with one path parameter")
		}
		r.add(fasthttp.MethodPost, c.Path, auth.Write, rec.meter, untagged(s.batch(rec)))
	}
	s.routeFixed(r)
	for _, c := range s.config.Resources {
		s.routeMany(r, c, records[c.Cache.Name])
	}
	s.shadow(r)
	s.route = r.Handler
}

// routeFixed registers what every configuration serves.
func (s *Server) routeFixed(r routes) {
	r.read("/", s.other, untagged(root))
	r.read("/healthz", s.other, s.health)
	if len(s.config.Docs.Page) > 0 {
		r.read("/docs", s.other, untagged(s.docsPage))
	}
	if len(s.config.Docs.OpenAPI) > 0 {
		r.read("/openapi.json", s.other, untagged(s.openAPI))
	}
}

// read registers a GET and the HEAD that belongs to it. Reads are open.
func (r routes) read(path string, m *meter, op operation) {
	r.get[path] = true
	r.add(fasthttp.MethodGet, path, open, m, op)
	r.add(fasthttp.MethodHead, path, open, m, op)
}

func (s *Server) newRecord(c Resource) (*record, string) {
	rec := &record{
		Resource:     c.Cache,
		path:         c.Path,
		cacheControl: valueNoCache,
		meter:        newMeter(s.deps.Metrics, c.Cache.Name),
	}
	_, rec.called = c.Cache.Records.(source.Called)
	rec.choosy, _ = c.Cache.Records.(source.Choosy)
	if c.CacheControl != "" {
		rec.cacheControl = []byte(c.CacheControl)
	}
	var path strings.Builder
	for i, seg := range c.Path {
		path.WriteByte('/')
		if seg.Param == "" {
			checkLiteral(seg.Literal)
			path.WriteString(seg.Literal)
			continue
		}
		if !seg.Type.Known() {
			panic("BUG: parameter " + strconv.Quote(seg.Param) + " has no kind")
		}
		// The router wants one name for what stands in one place, whichever
		// resource it belongs to.
		name := "s" + strconv.Itoa(i)
		path.WriteString("{" + name + "}")
		rec.params = append(rec.params, param.Param{Name: seg.Param, Type: seg.Type})
		rec.values = append(rec.values, name)
	}
	rec.key = param.NewKey(c.Key, rec.params)
	rec.shapes.init(&s.origins, rec.cacheControl)
	rec.missing = refuse(404, "no record of "+strconv.Quote(rec.Name)+" is stored under this path").appendJSON(nil)
	if rec.Envelope != "" {
		rec.head = append(appendQuoted([]byte{'{'}, rec.Envelope), ':')
	}
	return rec, path.String()
}

// checkLiteral refuses what the router would take for a pattern.
func checkLiteral(text string) {
	if text == "" || strings.ContainsAny(text, "{}/?#%") {
		panic("BUG: " + strconv.Quote(text) + " is no literal segment of a path")
	}
}

func (s *Server) routeRecord(r routes, c Resource, rec *record, path string) {
	r.read(path, rec.meter, s.read(rec))
	if c.CanPut {
		r.add(fasthttp.MethodPut, path, auth.Write, rec.meter, s.put(rec))
	}
	if c.CanDelete {
		r.add(fasthttp.MethodDelete, path, auth.Write, rec.meter, s.remove(rec))
	}
	last := len(c.Path) - 1
	if len(rec.params) == 1 && c.Path[last].Param != "" {
		s.hots[path[:strings.LastIndexByte(path, '/')+1]] = &hotRoute{record: rec, kind: rec.params[0].Type, quotas: s.quotasOf(c.Path)}
	}
}

// routeMany registers the path without its last segment, unless that is taken.
func (s *Server) routeMany(r routes, c Resource, rec *record) {
	last := len(c.Path) - 1
	if !c.ManyRead || last < 1 || len(rec.params) != 1 || c.Path[last].Param == "" {
		return
	}
	var path strings.Builder
	for _, seg := range c.Path[:last] {
		path.WriteString("/" + seg.Literal)
	}
	if !r.get[path.String()] {
		r.read(path.String(), rec.meter, untagged(s.many(rec)))
	}
}

// shadow tells the fast path which literal paths lie where a parameter of its
// own would match: the router prefers the literal, and both have to agree.
func (s *Server) shadow(r routes) {
	for path := range r.get {
		cut := strings.LastIndexByte(path, '/') + 1
		if hot := s.hots[path[:cut]]; hot != nil && !strings.Contains(path, "{") {
			hot.shadows = append(hot.shadows, path[cut:])
		}
	}
}

// refuseMethod answers where the path is served and the method is not. The
// router has set Allow.
func refuseMethod(c *call) error {
	allow := string(c.Response.Header.Peek(fasthttp.HeaderAllow))
	return &problem{status: 405, allow: allow, detail: "this path serves " + allow}
}

// options answers a preflight, or says what a path serves (RFC 9110, 9.3.7).
// The router has set Allow.
func (s *Server) options(c *call) error {
	if !s.origins.preflight(c.RequestCtx) {
		c.SetStatusCode(fasthttp.StatusNoContent)
	}
	return nil
}
