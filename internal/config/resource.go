package config

import (
	"net"
	"slices"
	"strings"

	"hearth/internal/param"
)

// validateResources checks each resource by itself.
func (l *loader) validateResources() {
	names := map[string]string{}
	for i := range l.config.Resources {
		at := indexed("resource", i)
		r := &l.config.Resources[i]
		l.require(at+".name", `such as "user"`)
		l.unique(names, at+".name", r.Name)
		l.require(at+".path", `such as "/user/{id:int}"`)
		l.require(at+".key", `such as "user:{id}"`)
		if r.Envelope == "source" && !l.places.has(at+".envelope") {
			l.fault(at+".name", `"source" would be the envelope too, which is the member that tells the source; write an envelope or take another name`)
		}
		l.validateSource(r, at)
		l.validateWatches(r, at)
		if l.given(at+".path") && l.given(at+".key") {
			l.validateTemplate(r, at)
		}
	}
}

// validateSource checks where a resource's records come from.
func (l *loader) validateSource(r *Resource, at string) {
	// By whether keys are set, not by their values: a select that was refused is
	// one all the same, and what needs it lacks nothing.
	hasSelect, hasOrigin := l.places.has(at+".select"), l.places.has(at+".origin")
	if hasSelect && hasOrigin {
		l.fault(at+".origin", "is set together with select (%s), but a record has one source; keep one of the two", l.places.where(at+".select"))
	}
	if hasSelect && !l.hasDatabase() {
		l.fault(at+".select", `needs database.url, or HEARTH_DATABASE_URL; write it as "sqlite:data.db" or "postgres://…"`)
	}
	for _, key := range []string{"select_many", "upsert", "delete", "key_columns"} {
		if l.places.has(at+"."+key) && !hasSelect {
			l.fault(at+"."+key, "needs select, which reads what it concerns; write one or remove this key")
		}
	}
	l.validateOrigin(r, at, hasOrigin)
	params := r.Path.Params()
	if l.given(at+".path") && l.places.has(at+".select_many") && len(params) != 1 {
		l.fault(at+".select_many", "needs a path with exactly one parameter, but %q has %d; remove this key", r.Path.Text, len(params))
	}
	if r.Rows == "many" && !hasSelect {
		l.fault(at+".rows", `"many" needs select, whose rows it means; write one or remove this key`)
	}
	l.validateKeyColumns(r, at)
	if l.given(at + ".path") {
		for _, part := range r.Origin.Parts {
			if part.Param != "" {
				l.knownParam(at+".origin", part.Param, r.Path, "{%s}", "use")
			}
		}
	}
	// Without a source records are written by a batch, or by other programs.
	if hasSelect || hasOrigin {
		return
	}
	for _, key := range []string{"ttl", "timeout"} {
		if l.places.has(at + "." + key) {
			l.warnAt(at+"."+key, "has no effect: resource %q has neither select nor origin; how long its records live is for the [[batch]] that stores them to say", r.Name)
		}
	}
}

// validateOrigin checks the keys that say how an origin is asked.
func (l *loader) validateOrigin(r *Resource, at string, has bool) {
	for _, key := range []string{"origin_writes", "obey_max_age", "origin_token", "origin_token_file", "origin_tls"} {
		if l.places.has(at+"."+key) && !has {
			l.fault(at+"."+key, "needs origin, whose requests it concerns; write one or remove this key")
		}
	}
	if writes := r.OriginWrites; len(writes) == 2 && writes[0] == writes[1] {
		l.fault(at+".origin_writes", "names %q twice; remove one", writes[0])
	}
	t := r.OriginTLS
	if t != (OriginTLS{}) && has && l.given(at+".origin") && !r.Origin.Secure {
		l.fault(at+".origin_tls", `needs an origin that begins with "https://"; write it so, or remove this key`)
	}
	for key, missing := range map[string]bool{"cert": t.Cert != "" && t.Key == "", "key": t.Key != "" && t.Cert == ""} {
		if missing {
			l.fault(at+".origin_tls."+key, "needs the other one of cert and key; write both or neither")
		}
	}
	if has && !r.OriginToken.Empty() && l.given(at+".origin") && !r.Origin.Secure && !isLoopback(r.Origin.Host) {
		l.warnAt(at+".origin", "is http: the origin's token is sent where everybody on the way can read it")
	}
}

// isLoopback tells whether a host, with its port or without, is this machine.
func isLoopback(host string) bool {
	if name, _, err := net.SplitHostPort(host); err == nil {
		host = name
	}
	ip := net.ParseIP(strings.Trim(host, "[]"))
	return host == "localhost" || ip != nil && ip.IsLoopback()
}

// validateKeyColumns refuses columns for parameters that the path has not.
func (l *loader) validateKeyColumns(r *Resource, at string) {
	if !l.given(at + ".path") {
		return
	}
	for name := range r.KeyColumns {
		l.knownParam(at+".key_columns", name, r.Path, "%q", "it has")
	}
}

// knownParam tells whether path has a parameter, or records that key names one that
// it has not: near says how to write one, all what to do with the list of them.
func (l *loader) knownParam(key, name string, path param.Path, near, all string) bool {
	known := paramNames(path)
	if slices.Contains(known, name) {
		return true
	}
	if meant := Nearest(name, known); meant != "" {
		l.fault(key, "the path has no parameter %q; did you mean "+near+"?", name, meant)
	} else {
		l.fault(key, "the path has no parameter %q; "+all+" %s", name, braced(known))
	}
	return false
}

// paramNames lists the parameters of a path.
func paramNames(p param.Path) []string {
	var names []string
	for _, s := range p.Params() {
		names = append(names, s.Name)
	}
	return names
}

// braced lists parameters as templates write them.
func braced(names []string) string {
	if len(names) == 0 {
		return "none, the path has no parameters"
	}
	return "{" + strings.Join(names, "}, {") + "}"
}

// validateTemplate checks a key against its path.
func (l *loader) validateTemplate(r *Resource, at string) {
	// Every parameter goes into the key once: two records would share one that lacks
	// a parameter, and one that repeats it is longer for nothing.
	known, uses := paramNames(r.Path), map[string]int{}
	good := true
	for _, part := range r.Key.Parts {
		if part.Param == "" {
			continue
		}
		uses[part.Param]++
		good = l.knownParam(at+".key", part.Param, r.Path, "{%s}", "use") && good
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
