package config

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"hearth/internal/param"
)

// validateResources checks each resource by itself.
func (l *loader) validateResources() {
	names := map[string]string{}
	for i := range l.config.Resources {
		at := fmt.Sprintf("resource.[%d]", i)
		r := &l.config.Resources[i]
		l.require(at+".name", `such as "user"`)
		l.unique(names, at+".name", r.Name)
		l.require(at+".path", `such as "/user/{id:int}"`)
		l.require(at+".key", `such as "user:{id}"`)
		if r.Envelope == "source" && !l.set(at+".envelope") {
			l.fault(at+".name", `"source" would be the envelope too, which is the member that tells the source; write an envelope or take another name`)
		}
		l.validateSource(r, at)
		if l.given(at+".path") && l.given(at+".key") {
			l.validateTemplate(r, at)
		}
	}
}

// validateSource checks where a resource's records come from.
func (l *loader) validateSource(r *Resource, at string) {
	hasSelect, hasOrigin := l.set(at+".select"), l.set(at+".origin")
	if hasSelect && hasOrigin {
		l.fault(at+".origin", "is set together with select (%s), but a record has one source; keep one of the two", l.where(at+".select"))
	}
	if hasSelect && !l.hasDatabase() {
		l.fault(at+".select", `needs database.url, or HEARTH_DATABASE_URL; write it as "sqlite:data.db" or "postgres://…"`)
	}
	for _, key := range []string{"select_many", "upsert", "delete", "key_columns"} {
		if l.set(at+"."+key) && !hasSelect {
			l.fault(at+"."+key, "needs select, which reads what it concerns; write one or remove this key")
		}
	}
	params := r.Path.Params()
	if l.given(at+".path") && l.set(at+".select_many") && len(params) != 1 {
		l.fault(at+".select_many", "needs a path with exactly one parameter, but %q has %d; remove this key", r.Path.Text, len(params))
	}
	if r.Rows == "many" && !hasSelect {
		l.fault(at+".rows", `"many" needs select, whose rows it means; write one or remove this key`)
	}
	l.validateKeyColumns(r, at)
	if r.Origin != "" && l.given(at+".path") {
		for _, p := range placeholder.FindAllString(r.Origin, -1) {
			known := paramNames(r.Path)
			name := strings.Trim(p, "{}")
			if slices.Contains(known, name) {
				continue
			}
			if near := nearest(name, known); near != "" {
				l.fault(at+".origin", "the path has no parameter %q; did you mean {%s}?", name, near)
			} else {
				l.fault(at+".origin", "the path has no parameter %q; use %s", name, braced(known))
			}
		}
	}
	if hasSelect || hasOrigin {
		return
	}
	for _, key := range []string{"ttl", "timeout"} {
		if l.set(at + "." + key) {
			l.warnAt(at+"."+key, "has no effect: resource %q has neither select nor origin, and lives without expiry", r.Name)
		}
	}
}

// validateKeyColumns refuses columns for parameters that the path has not.
func (l *loader) validateKeyColumns(r *Resource, at string) {
	if !l.given(at + ".path") {
		return
	}
	known := paramNames(r.Path)
	for _, name := range slices.Sorted(maps.Keys(r.KeyColumns)) {
		if slices.Contains(known, name) {
			continue
		}
		if near := nearest(name, known); near != "" {
			l.fault(at+".key_columns", "the path has no parameter %q; did you mean %q?", name, near)
		} else {
			l.fault(at+".key_columns", "the path has no parameter %q; it has %s", name, braced(known))
		}
	}
}

func paramNames(p param.Path) []string {
	var names []string
	for _, s := range p.Params() {
		names = append(names, s.Name)
	}
	return names
}

func braced(names []string) string {
	if len(names) == 0 {
		return "none, the path has no parameters"
	}
	return "{" + strings.Join(names, "}, {") + "}"
}

// validateTemplate checks a key against its path.
func (l *loader) validateTemplate(r *Resource, at string) {
	known, uses := paramNames(r.Path), map[string]int{}
	good := true
	for _, part := range r.Key.Parts {
		if part.Param == "" {
			continue
		}
		uses[part.Param]++
		if !slices.Contains(known, part.Param) {
			good = false
			if near := nearest(part.Param, known); near != "" {
				l.fault(at+".key", "the path has no parameter %q; did you mean {%s}?", part.Param, near)
			} else {
				l.fault(at+".key", "the path has no parameter %q; use %s", part.Param, braced(known))
			}
		}
	}
	for _, name := range known {
		if uses[name] != 1 {
			good = false
			l.fault(at+".key", "%q has {%s} %d times; every parameter of the path goes into the key exactly once, else two records share a key or none is found", r.Key.Text, name, uses[name])
		}
	}
	if !good {
		return
	}
	if left, right := r.Key.Ambiguous(r.Path.Params()); left != "" {
		l.fault(at+".key", "%q does not tell where {%s} ends and {%s} begins; put a character between them that the first cannot contain, such as a colon", r.Key.Text, left, right)
	}
}

// keyUse is a key template, with what the message about a collision needs.
type keyUse struct {
	key       string // of the configuration
	text      string
	anonymous string
	pattern   param.Pattern
	counter   bool
}

// validateKeys refuses templates of which one can make a key of the other: two
// resources would overwrite each other's records.
func (l *loader) validateKeys() {
	var uses []keyUse
	for i, r := range l.config.Resources {
		at := fmt.Sprintf("resource.[%d]", i)
		if !l.given(at+".path") || !l.given(at+".key") {
			continue
		}
		uses = append(uses, keyUse{key: at + ".key", text: r.Key.Text, anonymous: r.Key.Anonymous(), pattern: r.Key.Pattern(r.Path.Params())})
	}
	for i, c := range l.config.Counters {
		t, wrong := param.ParseTemplate(c.Key)
		if wrong == "" {
			uses = append(uses, keyUse{key: fmt.Sprintf("counter.[%d].key", i), text: c.Key, anonymous: t.Anonymous(), pattern: t.Pattern(nil), counter: true})
		}
	}
	for i, a := range uses {
		if a.pattern.Meets(param.ReservedPattern()) {
			l.fault(a.key, "%q can make keys that begin with %q, which is reserved; begin it with a literal", a.text, param.Reserved)
		}
		for _, b := range uses[:i] {
			switch {
			case a.counter && b.counter: // two paths may count together
			case a.anonymous == b.anonymous:
				l.fault(a.key, "%q is the template of another key (%s: %q); take another prefix", a.text, l.where(b.key), b.text)
			case a.pattern.Meets(b.pattern):
				l.fault(a.key, "%q can be the same key as %q (%s); take another prefix", a.text, b.text, l.where(b.key))
			}
		}
	}
}
