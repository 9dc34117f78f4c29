package config

import "hearth/internal/param"

// route is a path that is answered, and the methods it takes.
type route struct {
	key  string // of the configuration; "" = built in
	path param.Path
	post bool // POST; everything else is GET and the writes of a record
	many bool // the many-read of a resource
}

// builtIn are the paths the server answers by itself, whatever the method.
func builtIn() []string { return []string{"/docs", "/openapi.json", "/healthz"} }

// validateRoutes refuses paths that compete for one request.
func (l *loader) validateRoutes() {
	var routes []route
	for i, r := range l.config.Resources {
		at := indexed("resource", i) + ".path"
		if !l.given(at) {
			continue
		}
		routes = append(routes, route{key: at, path: r.Path})
		if c := r.Path.Collection(); c != "" {
			p, _ := param.ParsePath(c)
			routes = append(routes, route{key: at, path: p, many: true})
		}
	}
	for i, c := range l.config.Counters {
		if at := indexed("counter", i) + ".path"; l.given(at) {
			routes = append(routes, route{key: at, path: c.Path})
		}
	}
	for i, b := range l.config.Batches {
		if at := indexed("batch", i) + ".path"; l.given(at) {
			routes = append(routes, route{key: at, path: b.Path, post: true})
		}
	}
	for i, a := range routes {
		if l.takesBuiltIn(a) {
			continue
		}
		for _, b := range routes[:i] {
			// Where two collections overlap, the resources' own paths do too.
			if a.post == b.post && !(a.many && b.many) && a.key != b.key && a.path.Overlaps(b.path) {
				l.fault(a.key, "%q and %q (%s) answer the same requests%s; change one of the paths", a.path.Text, b.path.Text, l.places.where(b.key), manyRead(a, b))
			}
		}
	}
}

// takesBuiltIn reports a path that belongs to the server itself.
func (l *loader) takesBuiltIn(r route) bool {
	if r.path.Segments[0].Literal == "docs" && !r.many {
		l.fault(r.key, "%q lies below /docs, which is reserved; take another path", r.path.Text)
		return true
	}
	for _, text := range builtIn() {
		if p, _ := param.ParsePath(text); r.path.Overlaps(p) {
			l.fault(r.key, "%q takes requests of %s, which is reserved%s; take another path", r.path.Text, text, manyRead(r, r))
			return true
		}
	}
	return false
}

// manyRead explains where a path comes from that nobody wrote.
func manyRead(a, b route) string {
	if a.many || b.many {
		return " (a resource with one parameter is also read in many at the path before it)"
	}
	return ""
}
