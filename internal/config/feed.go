package config

import (
	"maps"
	"slices"
	"strings"
	"time"
)

// Feed is [feed]: changes that others make in the database, and how they are heard of.
type Feed struct {
	// Mode is "outbox", or "off".
	Mode string `key:"mode" default:"off" oneof:"off outbox" reload:"no"`
	// URL is the database as the feed reaches it; empty: Database.URL. Of it a reload may
	// change user, password and parameters of the connection.
	URL Secret `key:"url" file:"url_file" default:"" check:"database"`
	// Poll is how often the outbox is looked at while changes come.
	Poll time.Duration `key:"poll" default:"5ms" range:"1ms 1s"`
	// Keep is how long what was handled stays in the outbox, to be handled again when
	// Redis has lost data.
	Keep time.Duration `key:"keep" default:"0s" range:"0s 24h"`
	// DegradedAfter is how long nobody has drained the outbox when copies get shorter lives.
	DegradedAfter time.Duration `key:"degraded_after" default:"5s" range:"500ms 10m"`
	// DegradedTTL is how long copies live then, at most.
	DegradedTTL time.Duration `key:"degraded_ttl" default:"30s" range:"1s 1h"`
	// FlushRows is how many rows one statement may change: beyond it all records of the
	// resources concerned are removed.
	FlushRows int `key:"flush_rows" default:"100000" range:"1 100000000"`
	// FlushBacklog is the same for the keys that wait in the outbox.
	FlushBacklog int `key:"flush_backlog" default:"1000000" range:"1 1000000000"`
}

// Watch is one [[resource.watch]]: a table whose changes concern a resource. Exactly one
// of Key, Keys and All says which of its records.
type Watch struct {
	// Table is the table, with its schema where that is not found without.
	Table string `key:"table" check:"table"`
	// Key are the columns that have the path's parameters, by parameter.
	Key map[string]string `key:"key" check:"watched"`
	// Columns are those whose change counts, besides the ones of Key and Keys; empty: any.
	Columns []string `key:"columns" check:"watched"`
	// Keys is a query that finds the parameters for a row that has changed.
	Keys string `key:"keys" check:"filled"`
	// All says that any change concerns every record.
	All bool `key:"all" default:"false"`
}

// FeedOn tells whether changes that others make are heard of.
func (c *Config) FeedOn() bool { return c.Feed.Mode != "off" }

// FeedURL is where the feed finds the database.
func (c *Config) FeedURL() Secret {
	if c.Feed.URL.Empty() {
		return c.Database.URL
	}
	return c.Feed.URL
}

// leastPolls is how many looks at the outbox fit into feed.degraded_after at least. An
// idle feed looks a quarter as often as a busy one, and one look may fail.
const leastPolls = 10

// validateFeed checks [feed] against the other tables.
func (l *loader) validateFeed() {
	f, database := l.config.Feed, l.config.Database.URL
	if f.DegradedAfter < leastPolls*f.Poll && !l.refused["feed.poll"] && !l.refused["feed.degraded_after"] {
		key, other := "feed.degraded_after", "feed.poll"
		if !l.places.has(key) {
			key, other = other, key
		}
		l.fault(key, "degraded_after is %v and poll %v: one that is less than %d times the other would be over between two looks at the outbox; change one of the two", f.DegradedAfter, f.Poll, leastPolls)
	}
	if kind, other := kindOf(f.URL), kindOf(database); kind != "" && other != "" && kind != other && !l.refused["feed.url"] && !l.refused["database.url"] {
		l.fault("feed.url", "is a %s URL, and database.url (%s) a %s URL; name the same database in both, or remove this key", kind, l.places.where("database.url"), other)
	} else if kind == "sqlite" && other == "sqlite" && sqliteFile(f.URL) != sqliteFile(database) {
		l.fault("feed.url", "names another file than database.url (%s), and only there changes are seen; remove this key", l.places.where("database.url"))
	}
	if !l.config.FeedOn() || l.refused["feed.mode"] {
		l.idleWatches()
		return
	}
	switch {
	case !l.hasDatabase():
		l.fault("feed.mode", `%q needs database.url, whose changes it is about; write it as "postgres://…" or "sqlite:data.db"`, f.Mode)
	case kindOf(database) == "sqlite" && sqliteFile(database) == "":
		l.fault("feed.mode", `%q needs a database that others can write to, and database.url (%s) is in this process's memory; name a file, or write "off"`, f.Mode, l.places.where("database.url"))
	}
}

// idleWatches warns, once, of watches that nobody goes by.
func (l *loader) idleWatches() {
	i := slices.IndexFunc(l.config.Resources, func(r Resource) bool { return len(r.Watches) > 0 })
	if i >= 0 && !l.refused["feed.mode"] {
		l.warnAt(indexed("resource", i)+".watch", `has no effect while feed.mode is "off": what others change is seen when copies expire`)
	}
}

// kindOf is the kind of database that a URL names, "" for none.
func kindOf(url Secret) string {
	scheme, _, _ := strings.Cut(url.Reveal(), ":")
	return strings.Replace(scheme, "postgresql", "postgres", 1)
}

// validateWatches checks what a resource says of the tables that concern it.
func (l *loader) validateWatches(r *Resource, at string) {
	if !l.places.has(at + ".watch") {
		return
	}
	if !l.places.has(at + ".select") {
		l.fault(at+".watch", "needs select, which reads the tables that are watched; write one or remove this key")
	}
	for i := range r.Watches {
		w, key := &r.Watches[i], indexed(at+".watch", i)
		l.require(key+".table", `such as "orders"`)
		l.validateMeaning(r, w, at, key)
		l.distinct(key+".columns", w.Columns)
		for j := range r.Watches[:i] {
			// Other columns make no other watch: what one of the two lets through counts.
			if o := &r.Watches[j]; w.Table != "" && o.Table == w.Table && o.Keys == w.Keys && o.All == w.All && maps.Equal(o.Key, w.Key) {
				l.fault(key+".table", "%q is watched with the same meaning already (%s); keep one of the two, with the columns of both", w.Table, l.places.where(indexed(at+".watch", j)))
				break
			}
		}
	}
}

// distinct refuses a list that is empty or has a name twice.
func (l *loader) distinct(key string, names []string) {
	if !l.given(key) {
		return
	}
	if len(names) == 0 {
		l.fault(key, "is empty, so that no change would count; name columns, or remove this key for all")
	}
	for i, name := range names {
		if slices.Contains(names[:i], name) {
			l.fault(key, "names %q twice; remove one", name)
			return
		}
	}
}

// validateMeaning checks which records a watch is about: there is one way to say it.
func (l *loader) validateMeaning(r *Resource, w *Watch, at, key string) {
	var ways []string
	for _, way := range []string{"key", "keys", "all"} {
		if l.places.has(key + "." + way) {
			ways = append(ways, way)
		}
	}
	switch {
	case len(ways) == 0:
		l.fault(key, "does not say which records a change concerns; write key = { parameter = \"column\" }, keys with a query that finds them, or all = true")
	case len(ways) > 1:
		for _, way := range ways[1:] {
			l.fault(key+"."+way, "is set together with %s (%s), but there is one way to find the records; keep one of the two", ways[0], l.places.where(key+"."+ways[0]))
		}
	case ways[0] == "all" && !w.All && !l.refused[key+".all"]:
		l.fault(key+".all", "false says nothing; write true, or key or keys in its place")
	}
	if !l.given(at + ".path") {
		return
	}
	known := paramNames(r.Path)
	for _, way := range ways {
		if len(known) == 0 && way != "all" {
			l.fault(key+"."+way, "finds parameters, and the path has none; write all = true")
		}
	}
	if !l.given(key+".key") || len(known) == 0 {
		return
	}
	for _, name := range slices.Sorted(maps.Keys(w.Key)) {
		l.knownParam(key+".key", name, r.Path, "%q", "name")
	}
	for _, name := range known {
		if _, found := w.Key[name]; !found {
			l.fault(key+".key", "lacks the parameter %q, so that no key could be made; name the column that has it, or write keys with a query that finds it", name)
		}
	}
}
