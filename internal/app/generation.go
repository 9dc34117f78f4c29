package app

import (
	"errors"
	"fmt"
	"hearth/cache"
	"hearth/handlers"
	"hearth/internal/admin"
	"hearth/internal/auth"
	"hearth/internal/config"
	"hearth/internal/limit"
	"hearth/internal/source"
	"hearth/internal/source/database"
	"hearth/internal/source/engine"
	"hearth/internal/source/origin"
	"hearth/internal/source/outbox"
	"log/slog"
	"reflect"
	"slices"
	"time"
)

// generation is what is made out of one configuration, and gives way to the
// next one at a reload. What two of them define alike the later one takes over
// as it is: so a resource keeps its entries in memory, a limit the permits it
// holds, and the database its connections. It is immutable once it serves.
type generation struct {
	cfg *config.Config
	// looks says that nothing is served: what is asked is left as it is.
	looks bool
	// log is for what sources have to say.
	log *slog.Logger
	// db is nil without a database; login is what its connections are made with.
	db    *database.DB
	login *databaseAccess
	// resources and limits are in the order of the configuration.
	resources []resource
	limits    []*limit.Limiter
	// sets are the triggers by which the feed hears of changes; none while it is off.
	sets   []outbox.Set
	tokens *auth.Tokens
	front  *handlers.Server
	admin  *admin.Admin
}

// nothing is what there is before the first generation.
var nothing = &generation{cfg: &config.Config{}}

// resource is a resource as configured and as the cache knows it.
type resource struct {
	config.Resource
	// cached is what entries in memory name: a new one finds nothing there.
	cached *cache.Resource
	// origin is nil if its records come from elsewhere.
	origin *origin.Origin
}

// assemble makes a generation, and takes over from the one before it what has
// not changed. After an error nothing of it is left.
func (a *App) assemble(cfg *config.Config, before *generation) (*generation, error) {
	g := &generation{cfg: cfg, log: a.log}
	faults := g.prepareSources(before)
	if len(faults) == 0 {
		faults = a.complete(g, before)
	}
	if len(faults) > 0 {
		g.minus(before).close(a.log)
		return nil, config.NewFaults(faults)
	}
	return g, nil
}

// complete makes the rest of a generation whose sources are open.
func (a *App) complete(g, before *generation) []config.Fault {
	tokens, err := tokensOf(g.cfg.Auth.Tokens)
	if err != nil {
		return []config.Fault{g.cfg.Fault("auth.token", "%v", err)}
	}
	g.tokens = auth.New(tokens)
	if g.cfg.FeedOn() {
		g.sets, _ = wantedSets(g.cfg) // whose faults refuse has found
	}
	docs, err := g.docs(a.Version)
	if err != nil {
		return []config.Fault{g.cfg.Fault("resource", "describing it for /openapi.json: %v", err)}
	}
	a.openLimits(g, before)
	g.front = handlers.New(g.handlersConfig(docs), handlers.Deps{
		Cache: a.cache, Tokens: g.tokens, Metrics: a.metrics, Log: a.log, Bodies: a.budgets.bodies, Context: a.stopped,
		State: a.serverState,
	})
	g.admin = a.newAdmin(g)
	return nil
}

// prepareSources opens what records come from and prepares every resource, as far as
// the configuration of it is sound. Faults in statements are reported all at once.
func (g *generation) prepareSources(before *generation) (faults []config.Fault) {
	// Any change of [database] but that of the password is another pool, be it only the
	// number of connections.
	same := before.db != nil && samePool(before.cfg.Database, g.cfg.Database)
	if c := g.cfg.Database; same {
		g.db, g.login = before.db, before.login
	} else if !c.URL.Empty() && g.cfg.Sound("database") {
		g.login = &databaseAccess{}
		g.login.use(c.URL)
		db, err := database.New(engine.Config{URL: c.URL.Reveal(), Renew: g.login.read, Init: c.Init, Demo: c.Demo, MaxConns: c.MaxConns, Timeout: c.Timeout, MarkWriter: g.cfg.FeedOn(), Log: g.log, Look: g.looks})
		if err != nil {
			faults = append(faults, g.cfg.Fault("database.url", "%v", err))
		}
		g.db = db
	}
	for n, r := range g.cfg.Resources {
		at := fmt.Sprintf("resource.[%d]", n)
		if !sound(g.cfg, at, "name", "path", "select", "select_many", "upsert", "delete", "origin", "origin_writes", "origin_token", "origin_tls", "rows") || r.Select != "" && g.db == nil {
			continue
		}
		// Equal in everything: what is kept in memory was made by all of it together.
		i := slices.IndexFunc(before.resources, func(other resource) bool { return reflect.DeepEqual(other.Resource, r) })
		if i >= 0 && (same || r.Select == "" && (!r.HasSource() || loadTimeout(before.cfg, &r) == loadTimeout(g.cfg, &r))) {
			g.resources = append(g.resources, before.resources[i])
			continue
		}
		made, err := g.newResource(r)
		faults = append(faults, specFaults(g.cfg, at, err)...)
		g.resources = append(g.resources, made)
	}
	return faults
}

// newResource makes a resource anew: nothing in memory is found by it.
func (g *generation) newResource(r config.Resource) (made resource, err error) {
	params := r.Path.Params()
	var records source.Records
	made.Resource = r
	switch {
	case r.Select != "":
		records, err = g.db.Records(database.Spec{
			Name: r.Name, Params: params, Select: r.Select, SelectMany: r.SelectMany,
			Upsert: r.Upsert, Delete: r.Delete, Envelope: r.Envelope, Many: r.Rows == "many", Timeout: r.Timeout, KeyColumns: r.KeyColumns,
		})
	case r.HasSource():
		made.origin, err = origin.New(origin.Config{
			Name: r.Name, Params: params, URL: r.Origin, Timeout: loadTimeout(g.cfg, &r), ObeyMaxAge: r.ObeyMaxAge,
			CanPut: r.CanPut(), CanDelete: r.CanDelete(), Token: rereading(r.OriginToken, g.log),
			CA: r.OriginTLS.CA, Cert: r.OriginTLS.Cert, Key: r.OriginTLS.Key,
		})
		if err == nil {
			records = made.origin
		}
	}
	made.cached = cache.NewResource(r.Name, r.Envelope, cache.Lifetimes(r.TTL), records)
	made.cached.Unwatched = r.Unwatched
	made.cached.Source = sourceName(r)
	if r.Select != "" {
		made.cached.Opened = g.db
	}
	return made, err
}

// specFaults finds the places of what is wrong with a resource.
func specFaults(cfg *config.Config, at string, err error) (faults []config.Fault) {
	// A source reports several faults as one joined error.
	all := []error{err}
	if joined, ok := err.(interface{ Unwrap() []error }); ok {
		all = joined.Unwrap()
	}
	for _, err := range all {
		var spec *source.SpecError
		switch {
		case errors.As(err, &spec):
			faults = append(faults, cfg.Fault(at+"."+spec.Key, "%s", spec.Text))
		case err != nil:
			faults = append(faults, cfg.Fault(at, "%v", err))
		}
	}
	return faults
}

// sources names what the resources load from, each once.
func (g *generation) sources() (names []string) {
	for _, r := range g.resources {
		if name := r.cached.Source; name != "" && !slices.Contains(names, name) {
			names = append(names, name)
		}
	}
	return names
}

// records are those of all resources that have a source.
func (g *generation) records() (all []source.Records) {
	for _, r := range g.resources {
		if r.cached.Records != nil {
			all = append(all, r.cached.Records)
		}
	}
	return all
}

// requestTimeout is what one request may take: it may wait for somebody else's
// load and then have to load itself.
func (g *generation) requestTimeout() time.Duration {
	longest, _ := longestLoad(g.cfg)
	return g.cfg.Load.Wait + longest + time.Second
}

// maxConnections is how many public connections may be open.
func (g *generation) maxConnections() int { return max(4*g.cfg.Server.MaxInFlight, 1024) }

// leftovers is what one generation has opened and another has not taken over.
type leftovers struct {
	limits  []*limit.Limiter
	origins []*origin.Origin
	db      *database.DB
}

// minus is what g has and other has not.
func (g *generation) minus(other *generation) (l leftovers) {
	// By identity: what was taken over is the same object.
	for _, m := range g.limits {
		if !slices.Contains(other.limits, m) {
			l.limits = append(l.limits, m)
		}
	}
	for _, r := range g.resources {
		if r.origin != nil && !slices.ContainsFunc(other.resources, func(o resource) bool { return o.origin == r.origin }) {
			l.origins = append(l.origins, r.origin)
		}
	}
	if g.db != other.db {
		l.db = g.db
	}
	return l
}

// hasSources tells whether closeSources has anything to close.
func (l leftovers) hasSources() bool { return l.db != nil || len(l.origins) > 0 }

// close closes all of it; nobody works with it any more.
func (l leftovers) close(log *slog.Logger) {
	l.closeLimits()
	l.closeSources(log)
}

// closeLimits ends the limits, which give back what they hold.
func (l leftovers) closeLimits() {
	for _, m := range l.limits {
		m.Close()
	}
}

// closeSources ends connections to origins and to the database.
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
