package config

import (
	"slices"
	"time"
)

// validate finds what no single value shows: required keys, contradictions,
// and names, paths and keys that collide. It stays silent about keys whose
// value was refused already, so that one slip does not read like several.
func (l *loader) validate() {
	l.validateServer()
	l.validateStores()
	l.validateTokens()
	l.validateCORS()
	l.validateLimits()
	l.validateFeed()
	for i := range l.config.Counters {
		at := indexed("counter", i)
		l.require(at+".path", `such as "/visits"`)
		l.require(at+".key", `such as "visits"`)
	}
	l.validateBatches()
	l.validateResources()
	l.validateRoutes()
	l.validateKeys()
}

// require reports a key that was not given.
func (l *loader) require(key, example string) {
	if !l.places.has(key) {
		l.fault(key, "is missing; write it, %s", example)
	}
}

// validateServer checks the two listeners against each other, and TLS.
func (l *loader) validateServer() {
	s := l.config.Server
	if sameAddress(s.Listen, s.Admin) && !l.refused["server.listen"] && !l.refused["server.admin"] {
		key, other := "server.admin", "server.listen"
		if !l.places.has(key) {
			key, other = other, key
		}
		l.fault(key, "%s is the address of %s too (%s); take another port or socket", quote(s.Admin), other, l.places.where(other))
	}
	for _, pair := range [][4]string{
		{"server.tls.cert", s.TLS.Cert, "server.tls.key", s.TLS.Key},
		{"server.tls.key", s.TLS.Key, "server.tls.cert", s.TLS.Cert},
		{"server.tls.client_ca", s.TLS.ClientCA, "server.tls.cert", s.TLS.Cert},
	} {
		if pair[1] != "" && pair[3] == "" {
			l.fault(pair[0], "needs %s; write both or neither", pair[2])
		}
	}
	if s.ProxyProtocol && len(s.TrustedProxies) == 0 {
		l.warnAt("server.proxy_protocol", "is on while server.trusted_proxies is empty: a client that reaches the port can claim any address")
	}
}

// validateStores checks [redis], [embedded] and [database], of which each may make
// a key of another pointless.
func (l *loader) validateStores() {
	c := l.config
	l.validateRedis()
	if c.Redis.URL.Empty() && !l.refused["redis.url"] {
		if file := sqliteFile(c.Database.URL); file != "" && file == c.Embedded.Path {
			l.fault("embedded.path", "is the file of database.url (%s) too; take one of its own, because the two would wait for each other's locks", l.places.where("database.url"))
		}
	}
	if !l.hasDatabase() {
		if c.Database.Demo {
			l.fault("database.demo", `needs database.url; write it as "sqlite:demo.db"`)
		}
		if len(c.Database.Init) > 0 {
			l.fault("database.init", `needs database.url; write it as "sqlite:data.db"`)
		}
	}
}

// hasDatabase tells whether a database was named, even if its URL or the file
// with it is no good.
func (l *loader) hasDatabase() bool {
	return !l.config.Database.URL.Empty() || l.refused["database.url"]
}

// validateTokens checks that each token has a name, a scope and a secret of its own.
func (l *loader) validateTokens() {
	names, texts := map[string]string{}, map[string]string{}
	for i, t := range l.config.Auth.Tokens {
		at := indexed("auth.token", i)
		l.require(at+".name", `such as "deploy"`)
		l.unique(names, at+".name", t.Name)
		l.require(at+".scopes", `such as ["write"]`)
		if l.given(at + ".scopes") {
			if len(t.Scopes) == 0 {
				l.fault(at+".scopes", `is empty, so that the token opens nothing; write some of "write", "admin", "metrics" and "fresh"`)
			}
			// A scope named twice is a slip, most likely of another scope.
			if distinct := slices.Compact(slices.Sorted(slices.Values(t.Scopes))); len(distinct) < len(t.Scopes) {
				l.fault(at+".scopes", "names a scope twice; remove one")
			}
		}
		if l.config.Server.HonorRequestCacheControl == "none" && slices.Contains(t.Scopes, "fresh") {
			l.warnAt(at+".scopes", `has "fresh", which opens nothing while server.honor_request_cache_control is "none"; write "authorised" there, or leave the scope out`)
		}
		if !l.places.has(at+".token") && !l.places.has(at+".token_file") {
			l.fault(at+".token", "is missing; write it, or token_file with the name of a file that holds it")
		}
		if other, again := texts[t.Token.Reveal()]; again && !t.Token.Empty() {
			l.fault(at+".token", "is the token of %s too; every name needs its own", other)
		}
		texts[t.Token.Reveal()] = quote(t.Name)
	}
}

// unique reports a name that an earlier table has already. The map is from
// names to the keys that set them.
func (l *loader) unique(taken map[string]string, key, name string) {
	if name == "" {
		return
	}
	if first, found := taken[name]; found {
		l.fault(key, "%q is taken (%s); take another name", name, l.places.where(first))
		return
	}
	taken[name] = key
}

// validateCORS refuses "*" beside what it contains.
func (l *loader) validateCORS() {
	c := l.config.CORS
	for key, list := range map[string][]string{"cors.origins": c.Origins, "cors.methods": c.Methods, "cors.headers": c.Headers} {
		if len(list) > 1 && slices.Contains(list, "*") {
			l.fault(key, `has "*" beside others; write ["*"] alone, or leave it out`)
		}
	}
}

// validateLimits checks each limit, and how many there are.
func (l *loader) validateLimits() {
	// More than that no request is held against (see handlers).
	const most = 64
	names := map[string]string{}
	if n := len(l.config.Limits); n > most {
		l.fault(indexed("limit", most), "is one too many of %d limits; keep %d or fewer", n, most)
	}
	for i, m := range l.config.Limits {
		at := indexed("limit", i)
		l.require(at+".name", `such as "api"`)
		l.unique(names, at+".name", m.Name)
		l.require(at+".rate", `such as "100/s"`)
		l.require(at+".paths", `such as ["/*"]`)
		if l.given(at+".paths") && len(m.Paths) == 0 {
			l.fault(at+".paths", `is empty, so that the limit meets no request; write ["/*"] for all`)
		}
		if l.given(at+".rate") && m.Burst > m.Rate.Count {
			l.fault(at+".burst", "%d is more than the rate's count, which no window exceeds; write %d or less", m.Burst, m.Rate.Count)
		}
	}
}

// validateBatches checks that each batch writes records that are its own to write.
func (l *loader) validateBatches() {
	// A batch knows one id for each item, and writes without asking a source.
	for i, b := range l.config.Batches {
		at := indexed("batch", i)
		l.require(at+".path", `such as "/batch_process"`)
		l.require(at+".resource", "the name of a resource without select and origin")
		if b.TTL > 0 && b.TTL < time.Millisecond {
			l.fault(at+".ttl", `"%s" is shorter than a millisecond, the least that Redis counts; write "1ms" or more, or "0s" for items without expiry`, b.TTL)
		}
		if b.Resource == "" {
			continue
		}
		n := slices.IndexFunc(l.config.Resources, func(r Resource) bool { return r.Name == b.Resource })
		if n < 0 {
			var names []string
			for _, r := range l.config.Resources {
				names = append(names, r.Name)
			}
			if near := Nearest(b.Resource, names); near != "" {
				l.fault(at+".resource", "there is no resource %q; did you mean %q?", b.Resource, near)
			} else {
				l.fault(at+".resource", "there is no resource %q; add a [[resource]] of that name", b.Resource)
			}
			continue
		}
		from := indexed("resource", n)
		if l.places.has(from+".select") || l.places.has(from+".origin") {
			l.fault(at+".resource", "%q has a select or an origin (%s), so its records are not the batch's to write; name a resource without", b.Resource, l.places.where(from))
		}
		if params := l.config.Resources[n].Path.Params(); l.given(from+".path") && len(params) != 1 {
			l.fault(at+".resource", "%q has %d path parameters (%s), but an item has one id; name a resource with exactly one", b.Resource, len(params), l.places.where(from+".path"))
		}
	}
}
