package app

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"hearth/cache"
	"hearth/handlers"
	"hearth/internal/auth"
	"hearth/internal/config"
	"hearth/internal/source"
)

// kind is a resource as configured and as the cache knows it.
type kind struct {
	config.Resource
	cached *cache.Resource
}

// refuse names settings that are unsafe, and settings that this version
// understands and does not carry out: starting anyway would let an operator
// believe in a protection that is not there.
func refuse(cfg *config.Config) error {
	var faults []error
	if cfg.Server.TLS.Cert != "" {
		faults = append(faults, errors.New("[server.tls] is not carried out by this version; remove it and end TLS at the load balancer"))
	}
	if cfg.Server.ProxyProtocol {
		faults = append(faults, errors.New("server.proxy_protocol is not carried out by this version; set it to false"))
	}
	if longest := longestLoad(cfg); cfg.Load.Lease < longest*10/9 {
		faults = append(faults, fmt.Errorf("load.lease (%v) must exceed the longest load (%v, from database.timeout and resource.timeout) by a ninth", cfg.Load.Lease, longest))
	}
	if !auth.Loopback(cfg.Server.Admin) && len(cfg.Auth.Tokens) == 0 {
		faults = append(faults, fmt.Errorf("server.admin %q is not loopback and no auth.token is set: anybody could invalidate and profile; set a token with scope admin or listen on 127.0.0.1", cfg.Server.Admin))
	}
	faults = append(faults, auth.RefuseOpenWrites(cfg.Server.Listen, len(cfg.Auth.Tokens) > 0, cfg.Auth.OpenWrites, writes(cfg)))
	return errors.Join(faults...)
}

// notes are for the log at the start: settings that work but may surprise, and
// settings without effect in this version.
func notes(cfg *config.Config) []string {
	var list []string
	if cfg.Redis.URL.Empty() && !auth.Loopback(cfg.Server.Listen) {
		list = append(list, "the embedded tier serves beyond loopback: a second instance would not see this one's items, counters and writes; set redis.url for more than one")
	}
	return list
}

func writes(cfg *config.Config) bool {
	for _, r := range cfg.Resources {
		if r.Upsert != "" || r.Delete != "" {
			return true
		}
	}
	return len(cfg.Batches) > 0
}

func longestLoad(cfg *config.Config) time.Duration {
	longest := cfg.Database.Timeout
	for _, r := range cfg.Resources {
		longest = max(longest, r.Timeout)
	}
	return longest
}

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

// openSources opens what records come from and prepares every resource;
// faults in statements are reported all at once.
func (a *App) openSources() (err error) {
	c := a.cfg.Database
	if !c.URL.Empty() {
		a.db, err = source.Open(source.Config{URL: c.URL.Reveal(), Init: c.Init, Demo: c.Demo, MaxConns: c.MaxConns, Timeout: c.Timeout})
		if err != nil {
			return err
		}
	}
	var faults []error
	for _, r := range a.cfg.Resources {
		records, err := a.records(r)
		faults = append(faults, err)
		ttl := cache.Lifetimes{Cold: r.TTL.Cold, Hot: r.TTL.Hot, Missing: r.TTL.Missing, Stale: r.TTL.Stale}
		cached := cache.NewResource(r.Name, r.Envelope, ttl, records)
		cached.Source = sourceName(r)
		a.kinds = append(a.kinds, kind{r, cached})
	}
	return errors.Join(faults...)
}

// sourceName names what a resource's records come from, "" if from nowhere:
// what fails as a whole, and is spared as a whole.
func sourceName(r config.Resource) string {
	switch {
	case r.Select != "":
		return "database"
	case r.Origin != "":
		_, rest, _ := strings.Cut(r.Origin, "://")
		if end := strings.IndexAny(rest, "/?"); end >= 0 {
			rest = rest[:end]
		}
		return rest
	}
	return ""
}

func (a *App) records(r config.Resource) (source.Records, error) {
	var params []source.Param
	for _, p := range r.Path.Params() {
		params = append(params, source.Param{Name: p.Param, Type: p.Type})
	}
	switch {
	case r.Select != "":
		return a.db.Records(source.Spec{
			Name: r.Name, Params: params, Select: r.Select, SelectMany: r.SelectMany,
			Upsert: r.Upsert, Delete: r.Delete, Many: r.Rows == "many", Timeout: r.Timeout,
		})
	case r.Origin != "":
		origin, err := source.NewOrigin(source.OriginConfig{Name: r.Name, Params: params, URL: r.Origin, Timeout: r.Timeout})
		if err != nil {
			return nil, err
		}
		a.origins = append(a.origins, origin)
		return origin, nil
	}
	return nil, nil
}

func (a *App) cacheConfig() cache.Config {
	m, l := a.cfg.Memory, a.cfg.Load
	budget := m.Budget
	if budget == 0 {
		budget = autoBudget("/")
	}
	delay := a.metrics.Histogram("hearth_invalidation_delay_seconds", "Time from a change in Redis to its effect in memory (upper bound, by canary).")
	return cache.Config{
		Redis:    cache.RedisConfig{URL: a.cfg.Redis.URL.Reveal(), Password: a.cfg.Redis.Password.Reveal(), WaitReplicas: a.cfg.Redis.WaitReplicas},
		Embedded: a.cfg.Embedded.Path,
		Budget:   budget, MissingShare: m.MissingShare, MissingRate: m.MissingRate,
		Revalidate: m.Revalidate, LinkTimeout: m.LinkTimeout, UntrackedTTL: m.UntrackedTTL,
		MaxLoads: l.MaxConcurrent, MaxWaiting: l.MaxWaiting, Wait: l.Wait, Lease: l.Lease, HotRate: l.HotRate,
		Log: a.log, OnDelay: delay.Observe,
	}
}

// requestTimeout is what one request may take: it may wait for somebody
// else's load and then have to load itself.
func (a *App) requestTimeout() time.Duration {
	return a.cfg.Load.Wait + longestLoad(a.cfg) + time.Second
}

func (a *App) handlersConfig(docs handlers.Docs) handlers.Config {
	s, c := a.cfg.Server, a.cfg.CORS
	out := handlers.Config{
		CORS:      handlers.CORS{Origins: c.Origins, Methods: c.Methods, Headers: c.Headers, OpenWrites: c.OpenWrites},
		Docs:      docs,
		MaxHeader: s.MaxHeader, MaxBody: s.MaxBody, MaxItems: s.MaxItems, MaxMany: s.MaxMany,
		MaxInFlight: s.MaxInFlight, MaxConnections: 2 * a.maxConnections(), // never reached: the listener's limit comes first
		// Read, write and idle timeouts are the listener's; see Run.
		Limits: a.quotas(), TrustedProxies: networks(a.cfg.Server.TrustedProxy),
		RequestTimeout: a.requestTimeout(), Slow: a.cfg.Log.Slow, AccessSample: a.cfg.Log.AccessSample,
	}
	for _, k := range a.kinds {
		r := handlers.Resource{
			Cache: k.cached, CacheControl: k.CacheControl, CanPut: k.Upsert != "", CanDelete: k.Delete != "", ManyRead: manyRead(k),
		}
		for _, seg := range k.Path.Segments {
			r.Path = append(r.Path, handlers.Segment{Literal: seg.Literal, Param: seg.Param, Kind: kinds[seg.Type]})
		}
		for _, p := range k.Key.Parts {
			r.Key = append(r.Key, handlers.Part{Literal: p.Literal, Param: p.Param})
		}
		out.Resources = append(out.Resources, r)
	}
	for _, c := range a.cfg.Counters {
		out.Counters = append(out.Counters, handlers.Counter{Path: c.Path, Key: c.Key, Work: c.Work})
	}
	for _, b := range a.cfg.Batches {
		out.Batches = append(out.Batches, handlers.Batch{Path: b.Path, Resource: b.Resource})
	}
	return out
}

var kinds = map[string]handlers.Kind{"int": handlers.Int, "string": handlers.String, "uuid": handlers.UUID}

// manyRead tells whether the path without its last segment reads several
// records: there is one parameter, and it is that segment.
func manyRead(k kind) bool {
	segments := k.Path.Segments
	return len(k.Path.Params()) == 1 && len(segments) > 1 && segments[len(segments)-1].Param != ""
}

// Check finds everything that New would refuse in a valid configuration. It
// opens neither files nor sockets and asks no server.
func Check(cfg *config.Config) error {
	faults := []error{refuse(cfg)}
	if _, err := tokensOf(cfg.Auth.Tokens); err != nil {
		faults = append(faults, err)
	}
	a := &App{cfg: cfg}
	faults = append(faults, a.openSources())
	for _, o := range a.origins {
		faults = append(faults, o.Close())
	}
	if a.db != nil {
		faults = append(faults, a.db.Close())
	}
	return errors.Join(faults...)
}

// maxConnections is how many public connections may be open.
func (a *App) maxConnections() int { return max(4*a.cfg.Server.MaxInFlight, 1024) }
