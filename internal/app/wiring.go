package app

import (
	"cmp"
	"fmt"
	"strings"
	"time"

	"hearth/cache"
	"hearth/cache/embedded"
	"hearth/cache/memory"
	"hearth/cache/redis"
	"hearth/handlers"
	"hearth/internal/auth"
	"hearth/internal/config"
	"hearth/internal/limit"
)

// longestLoad is how long one load may take, and the key that says so; 0 where
// no resource has a source.
func longestLoad(cfg *config.Config) (longest time.Duration, from string) {
	for _, r := range cfg.Resources {
		if !r.HasSource() {
			continue
		}
		own, key := loadTimeout(cfg, &r), "database.timeout"
		if r.Timeout > 0 {
			key = fmt.Sprintf("timeout of resource %q", r.Name)
		}
		if own > longest {
			longest, from = own, key
		}
	}
	return longest, from
}

// loadTimeout is how long a load of a resource may take, from wherever it loads.
func loadTimeout(cfg *config.Config, r *config.Resource) time.Duration {
	return cmp.Or(r.Timeout, cfg.Database.Timeout)
}

// tokensOf are the tokens as auth knows them.
func tokensOf(tokens []config.Token) ([]auth.Token, error) {
	out := make([]auth.Token, len(tokens))
	for i, t := range tokens {
		scopes, err := auth.ParseScopes(t.Scopes)
		if err != nil {
			return nil, fmt.Errorf("auth.token %q: %w", t.Name, err)
		}
		out[i] = auth.Token{Name: t.Name, Scopes: scopes, Secret: t.Token.Reveal()}
	}
	return out, auth.Validate(out)
}

// sourceDatabase is the name of what [database] describes.
const sourceDatabase = "database"

// sourceName names what a resource's records come from, "" if from nowhere:
// what fails as a whole, and is spared as a whole.
func sourceName(r config.Resource) string {
	if r.Select != "" {
		return sourceDatabase
	}
	return r.Origin.Host
}

// cacheConfig is what the cache goes by as long as the process lives.
func (a *App) cacheConfig(cfg *config.Config) cache.Config {
	delay := a.metrics.Histogram("hearth_invalidation_delay_seconds", "Time from a change in Redis to its effect in memory (upper bound, by canary).")
	return cache.Config{
		Shared:     func(m *memory.Store, f *cache.Flights) (cache.SharedTier, error) { return a.sharedTier(cfg, m, f) },
		Answers:    a.budgets.answers,
		Revalidate: cfg.Memory.Revalidate, LinkTimeout: cfg.Memory.LinkTimeout, Lease: cfg.Load.Lease,
		Settings: cacheSettings(cfg),
		Log:      a.log, OnDelay: delay.Observe, OnAudit: a.noteAudit,
	}
}

// sharedTier makes the shared tier, and with it where limits are counted: in the
// same Redis, or, as one process uses the embedded tier's file, in this process.
func (a *App) sharedTier(cfg *config.Config, m *memory.Store, f *cache.Flights) (cache.SharedTier, error) {
	if cfg.Redis.URL.Empty() {
		a.counts = a.budgets.counting
		return embedded.New(cfg.Embedded.Path, cfg.Load.Lease, a.log, m, f), nil
	}
	tier, err := redis.New(a.access.redisConfig(), m, f)
	if err != nil {
		return nil, err
	}
	a.redis, a.counts = tier, limit.NewRedisStore(tier)
	return tier, nil
}

// cacheSettings is what a reload may change of it.
func cacheSettings(cfg *config.Config) cache.Settings {
	m, l := cfg.Memory, cfg.Load
	return cache.Settings{
		DegradedTTL: degradedTTL(cfg),
		Budget:      budgetOf(cfg), MissingShare: m.MissingShare, MissingRate: m.MissingRate, UntrackedTTL: m.UntrackedTTL,
		MaxLoads: l.MaxConcurrent, MaxWaiting: l.MaxWaiting, Wait: l.Wait, HotRate: l.HotRate,
		Audit: cache.Auditing(cfg.Audit),
	}
}

// degradedTTL is how long copies live while the change feed is lost; 0 without one.
func degradedTTL(cfg *config.Config) time.Duration {
	if !cfg.FeedOn() {
		return 0
	}
	return cfg.Feed.DegradedTTL
}

// honor says whose Cache-Control counts: nobody's, too, while no token has the scope that
// it takes, so that reads need not be looked at for it.
func (g *generation) honor() handlers.Honor {
	switch whose := g.cfg.Server.HonorRequestCacheControl; {
	case whose == "all":
		return handlers.HonorAll
	case whose == "authorised" && g.tokens.Grants(auth.Fresh):
		return handlers.HonorAuthorised
	}
	return handlers.HonorNone
}

// handlersConfig is what a generation serves.
func (g *generation) handlersConfig(docs handlers.Docs) handlers.Config {
	s := g.cfg.Server
	out := handlers.Config{
		CORS:      handlers.CORS(g.cfg.CORS),
		Docs:      docs,
		MaxHeader: int(s.MaxHeader), MaxBody: int(s.MaxBody), MaxItems: s.MaxItems, MaxMany: s.MaxMany,
		Honor: g.honor(), FreshRate: s.FreshRate,
		MaxInFlight: s.MaxInFlight, MaxConnections: 1 << 23, // never reached: the listener's limit, which can change, comes first
		// Read, write and idle timeouts are the listener's; see Run.
		Limits: g.quotas(), TrustedProxies: s.TrustedProxies, Hosts: s.AdminHosts,
		RequestTimeout: g.requestTimeout(), Slow: g.cfg.Log.Slow, AccessSample: g.cfg.Log.AccessSample,
	}
	// In the order of the configuration, which is the order of the documents, too.
	for _, r := range g.resources {
		out.Resources = append(out.Resources, handlers.Resource{
			Cache: r.cached, Path: r.Path.Segments, Key: r.Key.Parts, CacheControl: r.CacheControl,
			CanPut: r.CanPut(), CanDelete: r.CanDelete(), ManyRead: r.Path.Collection() != "",
		})
	}
	for _, c := range g.cfg.Counters {
		out.Counters = append(out.Counters, handlers.Counter{Path: c.Path.Text, Key: c.Key.Text, Work: c.Work})
	}
	for _, b := range g.cfg.Batches {
		out.Batches = append(out.Batches, handlers.Batch{Path: b.Path.Text, Resource: b.Resource, TTL: b.TTL})
	}
	return out
}

// openLimits makes the limiters, which count in the shared tier, but for those
// that before has with the same definition.
func (a *App) openLimits(g, before *generation) {
	for _, c := range g.cfg.Limits {
		cfg := limit.Config{
			Name: c.Name, Rate: limit.Rate(c.Rate), Burst: c.Burst, LocalRate: limit.Rate(c.LocalRate), Store: a.counts, Log: a.log,
			Denied: a.numbers.denied.of(c.Name), Common: a.numbers.shared.of(c.Name), Local: a.budgets.counting, Budget: a.budgets.subjects,
		}
		// A limit that is defined as before keeps its count; one that is not begins anew,
		// but goes on with the numbers that are exported.
		l := before.limiter(cfg)
		if l == nil {
			l = limit.New(cfg)
			l.Open()
		}
		g.limits = append(g.limits, l)
	}
}

// limiter finds the limiter that counts just as cfg says.
func (g *generation) limiter(cfg limit.Config) *limit.Limiter {
	for i, c := range g.cfg.Limits {
		if c.Name == cfg.Name && limit.Rate(c.Rate) == cfg.Rate && c.Burst == cfg.Burst && limit.Rate(c.LocalRate) == cfg.LocalRate {
			return g.limits[i]
		}
	}
	return nil
}

// quotas are the limits as the handlers know them.
func (g *generation) quotas() []handlers.Limit {
	var all []handlers.Limit
	for i, c := range g.cfg.Limits {
		l := handlers.Limit{Limiter: g.limits[i], Rate: limit.Rate(c.Rate), Paths: c.Paths}
		header, byHeader := strings.CutPrefix(c.By, "header:")
		switch {
		case byHeader:
			l.By, l.Header = handlers.ByHeader, header
		case c.By == "global":
			l.By = handlers.ByGlobal
		}
		all = append(all, l)
	}
	return all
}
