package app

import (
	"fmt"
	"log/slog"
	"reflect"
	"slices"
	"time"

	"hearth/cache"
	"hearth/handlers"
	"hearth/internal/admin"
	"hearth/internal/auth"
	"hearth/internal/config"
	"hearth/internal/limit"
	"hearth/internal/source"
	"hearth/internal/source/origin"
)

// generation is what is made out of one configuration, and gives way to the
// next one at a reload. What two of them define alike the later one takes over
// as it is: so a resource keeps its entries in memory, a limit the tokens it
// holds, and the database its connections. It is immutable once it serves.
type generation struct {
	cfg    *config.Config
	log    *slog.Logger     // for sources; nil where nobody is to hear of them
	db     *source.DB       // nil without a database
	kinds  []kind           // resources as configured and as the cache knows them
	limits []*limit.Limiter // in the order of the configuration
	keeper *auth.Tokens
	front  *handlers.Server
	admin  *admin.Admin
}

// kind is a resource as configured and as the cache knows it.
type kind struct {
	config.Resource
	cached *cache.Resource
	origin *origin.Origin // nil if its records come from elsewhere
}

// openSources opens what records come from and prepares every resource; faults
// in statements are reported all at once. before is the generation to take
// over from, nil at the start.
func (g *generation) openSources(before *generation) error {
	if before == nil {
		before = &generation{cfg: &config.Config{}}
	}
	same := before.db != nil && reflect.DeepEqual(before.cfg.Database, g.cfg.Database)
	if c := g.cfg.Database; same {
		g.db = before.db
	} else if !c.URL.Empty() {
		db, err := source.Open(g.databaseConfig())
		if err != nil {
			return config.NewFaults([]config.Fault{g.cfg.Fault("database.url", "%v", err)})
		}
		g.db = db
	}
	var faults []config.Fault
	for n, r := range g.cfg.Resources {
		i := slices.IndexFunc(before.kinds, func(k kind) bool { return reflect.DeepEqual(k.Resource, r) })
		if i >= 0 && (same || r.Select == "" && (r.Origin.Text == "" || loadTimeout(before.cfg, &r) == loadTimeout(g.cfg, &r))) {
			g.kinds = append(g.kinds, before.kinds[i])
			continue
		}
		k, err := g.newKind(r)
		faults = append(faults, specFaults(g.cfg, fmt.Sprintf("resource.[%d]", n), err)...)
		g.kinds = append(g.kinds, k)
	}
	return Report{Faults: faults}.Err()
}

func (g *generation) newKind(r config.Resource) (kind, error) {
	k := kind{Resource: r}
	params := r.Path.Params()
	var records source.Records
	var err error
	switch {
	case r.Select != "":
		records, err = g.db.Records(source.Spec{
			Name: r.Name, Params: params, Select: r.Select, SelectMany: r.SelectMany,
			Upsert: r.Upsert, Delete: r.Delete, Envelope: r.Envelope, Many: r.Rows == "many", Timeout: r.Timeout, KeyColumns: r.KeyColumns,
		})
	case r.Origin.Text != "":
		if k.origin, err = origin.New(origin.Config{Name: r.Name, Params: params, URL: r.Origin.Text, Timeout: loadTimeout(g.cfg, &r)}); err == nil {
			records = k.origin
		}
	}
	ttl := cache.Lifetimes{Cold: r.TTL.Cold, Hot: r.TTL.Hot, Missing: r.TTL.Missing, Stale: r.TTL.Stale}
	k.cached = cache.NewResource(r.Name, r.Envelope, ttl, records)
	k.cached.Source = sourceName(r)
	if r.Select != "" {
		k.cached.Opened = g.db
	}
	return k, err
}

// sources names what the resources load from, each once.
func (g *generation) sources() (names []string) {
	for _, k := range g.kinds {
		if name := k.cached.Source; name != "" && !slices.Contains(names, name) {
			names = append(names, name)
		}
	}
	return names
}

// leftovers is what one generation has opened and another has not taken over.
type leftovers struct {
	limits  []*limit.Limiter
	origins []*origin.Origin
	db      *source.DB
}

// beside is what g has and other has not; all of it if other is nil.
func (g *generation) beside(other *generation) (l leftovers) {
	if other == nil {
		other = &generation{}
	}
	for _, m := range g.limits {
		if !slices.Contains(other.limits, m) {
			l.limits = append(l.limits, m)
		}
	}
	for _, k := range g.kinds {
		if k.origin != nil && !slices.ContainsFunc(other.kinds, func(o kind) bool { return o.origin == k.origin }) {
			l.origins = append(l.origins, k.origin)
		}
	}
	if g.db != other.db {
		l.db = g.db
	}
	return l
}

// hasSources tells whether closeSources has anything to close.
func (l leftovers) hasSources() bool { return l.db != nil || len(l.origins) > 0 }

func (l leftovers) close(log *slog.Logger) {
	l.closeLimits()
	l.closeSources(log)
}

func (l leftovers) closeLimits() {
	for _, m := range l.limits {
		m.Close()
	}
}

func (l leftovers) closeSources(log *slog.Logger) {
	for _, o := range l.origins {
		if err := o.Close(); err != nil {
			log.Warn("closing an origin", "error", err)
		}
	}
	if l.db != nil {
		if err := l.db.Close(); err != nil {
			log.Warn("closing the database", "error", err)
		}
	}
}

// requestTimeout is what one request may take: it may wait for somebody else's
// load and then have to load itself.
func (g *generation) requestTimeout() time.Duration {
	longest, _ := longestLoad(g.cfg)
	return g.cfg.Load.Wait + longest + time.Second
}

// maxConnections is how many public connections may be open.
func (g *generation) maxConnections() int { return max(4*g.cfg.Server.MaxInFlight, 1024) }
