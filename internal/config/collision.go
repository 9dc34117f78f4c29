package config

import "hearth/internal/param"

// route is a path that is answered, and the methods it takes.
type route struct {
	key  string // of the configuration; "" = built in
	path param.Path
	post bool // POST; everything else is GET and the writes of a record
	many bool // the many-read of a resource
}

// BuiltIn are the paths that the server answers by itself, whatever the method. What lies below
// /docs is its own, too.
func BuiltIn() []string { return []string{"/docs", "/openapi.json", "/healthz"} }

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
	// Each pair once: the later of the two is at fault.
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
	for _, text := range BuiltIn() {
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

// keyUse is a key template, with what the message about a collision needs.
type keyUse struct {
	key      string // of the configuration
	template param.Template
	pattern  param.Pattern
	counter  bool
}

// validateKeys refuses templates of which one can make a key of the other: two
// resources would overwrite each other's records.
func (l *loader) validateKeys() {
	var uses []keyUse
	for i, r := range l.config.Resources {
		at := indexed("resource", i)
		// Without its path nothing is known of the values in a key.
		if !l.given(at+".path") || !l.given(at+".key") {
			continue
		}
		uses = append(uses, keyUse{key: at + ".key", template: r.Key, pattern: r.Key.Pattern(r.Path.Params())})
	}
	for i, c := range l.config.Counters {
		if key := indexed("counter", i) + ".key"; l.given(key) {
			uses = append(uses, keyUse{key: key, template: c.Key, pattern: c.Key.Pattern(nil), counter: true})
		}
	}
	for i, a := range uses {
		if a.pattern.Meets(param.ReservedPattern()) {
			l.fault(a.key, "%q can make keys that begin with %q, which is reserved; begin it with a literal", a.template.Text, param.Reserved)
		}
		for _, b := range uses[:i] {
			switch {
			case a.counter && b.counter: // two paths may count together
			case a.template.Anonymous() == b.template.Anonymous():
				l.fault(a.key, "%q is the template of another key (%s: %q); take another prefix", a.template.Text, l.places.where(b.key), b.template.Text)
			case a.pattern.Meets(b.pattern):
				l.fault(a.key, "%q can be the same key as %q (%s); take another prefix", a.template.Text, b.template.Text, l.places.where(b.key))
			}
		}
	}
}
