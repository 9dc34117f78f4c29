package app

import (
	"context"
	"errors"
	"fmt"

	"hearth/cache"
	"hearth/cache/audit"
	"hearth/handlers"
	"hearth/internal/admin"
	"hearth/internal/feed"
)

// newAdmin makes the operators' side of a generation. What it tells is that of the
// whole process; tokens, host names and keys are the generation's.
func (a *App) newAdmin(g *generation) *admin.Admin {
	return admin.New(admin.Config{
		Hosts:      g.cfg.Server.AdminHosts,
		Tokens:     g.tokens,
		Ready:      a.checks,
		Notices:    a.notices,
		Draining:   func() bool { return a.serverState() == handlers.Draining },
		Metrics:    a.metrics.WritePrometheus,
		Stats:      a.stats,
		Invalidate: func(ctx context.Context, t admin.Targets) (int, error) { return a.invalidate(ctx, g.front, t) },
		Reload:     a.ReloadAndWait,
		Explain:    a.explain,
		Hot:        a.hotKeys,
		HotOrders:  hotOrders(),
		Watch:      a.timeline,
		Valid:      a.validNow,
		Log:        a.log,
	})
}

// invalidate removes what paths and keys name from the shared tier, and so
// from the memory of every instance. A record without a source lives nowhere
// else: unless the request says so, it is not taken for a copy.
func (a *App) invalidate(ctx context.Context, front *handlers.Server, t admin.Targets) (int, error) {
	var copies, only []string // what has a source, and what lives in the shared tier only
	// Everything is judged before anything is removed: a request that names one
	// wrong target changes nothing.
	add := func(target, key string) error {
		switch {
		case !front.IsOnlyCopy(key):
			copies = append(copies, key)
		case t.Delete:
			only = append(only, key)
		default:
			return &admin.InvalidateError{Target: target, Reason: `has no source to be loaded from again, so this would delete it; add "delete": true if that is meant`}
		}
		return nil
	}
	for _, path := range t.Paths {
		key, ok := front.KeyOfPath(path)
		if !ok {
			return 0, &admin.InvalidateError{Target: path, Reason: "is the path of no record"}
		}
		if err := add(path, key); err != nil {
			return 0, err
		}
	}
	for _, key := range t.Keys {
		if !front.IsKey(key) {
			return 0, &admin.InvalidateError{Target: key, Reason: "matches the key template of no resource"}
		}
		if err := add(key, key); err != nil {
			return 0, err
		}
	}
	all, err := a.wholeResource(t)
	if err != nil {
		return 0, err
	}
	err = errors.Join(a.cache.Invalidate(ctx, copies), a.cache.Erase(ctx, only))
	removed := len(copies) + len(only)
	if err == nil && all != nil {
		n, over, failed := a.sweeps.ask(ctx, all)
		if !over {
			return 0, admin.ErrContinues
		}
		removed, err = removed+int(n), failed
	}
	switch {
	case errors.Is(err, cache.ErrRefused):
		return 0, fmt.Errorf("%w: %w", admin.ErrRefused, err)
	case err != nil:
		return 0, err
	}
	return removed, nil
}

// wholeResource is what a request names by its resource, nil if it names none.
func (a *App) wholeResource(t admin.Targets) (*sweep, error) {
	if t.Resource == "" {
		return nil, nil
	}
	for _, r := range a.current.Load().resources {
		switch {
		case r.Name != t.Resource:
		case !r.HasSource() && !t.Delete:
			return nil, &admin.InvalidateError{Target: t.Resource, Reason: `has no source to be loaded from again, so this would delete all its records; add "delete": true if that is meant`}
		default:
			glob, matches := feed.Pattern(r.Key, r.Path.Params())
			return newSweep(r.Name, glob, matches), nil
		}
	}
	return nil, &admin.InvalidateError{Target: t.Resource, Reason: "is the name of no resource"}
}

// statistics is what /api/stats shows.
type statistics struct {
	Version  string `json:"version"`
	Shared   string `json:"shared_tier"`
	SharedUp bool   `json:"shared_tier_up"`
	SourceUp bool   `json:"source_up"`
	// SourceReadOnly says that resources write, and the database takes no writes.
	SourceReadOnly bool        `json:"source_read_only"`
	Cache          cache.Stats `json:"cache"`
	// Loads are counted by resource and result, Refreshes by result.
	Loads     map[string]map[string]int64 `json:"loads"`
	Refreshes map[string]int64            `json:"refreshes"`
	// Sweeps are the resources of which all records are being removed.
	Sweeps []string `json:"sweeps"`
	// Breakers tells which sources are being spared.
	Breakers map[string]bool `json:"breakers_open"`
	// Audit is how often copies were compared, and what came of it.
	Audit audit.Summary `json:"audit"`
}

// stats gathers the numbers as they are now. They are read one after the other: two
// of them need not belong to one moment in time.
func (a *App) stats() any {
	g := a.current.Load()
	// By name: a reader of /api/stats knows no indices.
	loads := map[string]map[string]int64{}
	for _, r := range g.resources {
		loads[r.Name] = map[string]int64{}
		for i, result := range cache.LoadResults {
			loads[r.Name][result] = a.cache.Loads(r.Name, i)
		}
	}
	refreshes := map[string]int64{}
	for i, result := range cache.RefreshResults {
		refreshes[result] = a.cache.Refreshes(i)
	}
	breakers := map[string]bool{}
	for _, name := range g.sources() {
		breakers[name] = a.breakerOpen(g, name)
	}
	return statistics{
		Version: a.Version, Shared: a.cache.SharedTier().String(), SharedUp: a.sharedUp(),
		SourceUp: g.db == nil || g.db.Up(), SourceReadOnly: g.db != nil && g.db.ReadOnly(), Cache: a.cache.Stats(), Loads: loads,
		Refreshes: refreshes, Sweeps: a.sweeps.underWay(), Breakers: breakers, Audit: a.cache.Audited(),
	}
}
