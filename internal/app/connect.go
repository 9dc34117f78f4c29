package app

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"hearth/cache/redis"
	"hearth/internal/config"
	"hearth/internal/source"
)

// connectWithin bounds each of the servers that Connect asks.
const connectWithin = 10 * time.Second

// Connect asks all servers that a configuration names whether they would take
// what it asks of them, and changes nothing there: the database about each
// statement, Redis whether it can be the shared tier, origins whether they can be
// reached. The configuration has to be without faults.
func Connect(ctx context.Context, cfg *config.Config) (faults []config.Fault) {
	g := &generation{cfg: cfg}
	if faults = g.refuseSources(); len(faults) > 0 {
		return faults
	}
	defer func() {
		for _, k := range g.kinds {
			if k.origin != nil {
				_ = k.origin.Close()
			}
		}
		if g.db != nil {
			_ = g.db.Close()
		}
	}()
	if !cfg.Redis.URL.Empty() {
		within, cancel := context.WithTimeout(ctx, connectWithin)
		defer cancel()
		err := redis.Probe(within, redis.Config{URL: cfg.Redis.URL.Reveal(), Password: cfg.Redis.Password.Reveal()})
		if err != nil {
			faults = append(faults, cfg.Fault("redis.url", "asking Redis: %s", oneLine(err)))
		}
	}
	if g.db != nil {
		faults = append(faults, g.rehearse(ctx)...)
	}
	var reached []string // hosts
	for i, k := range g.kinds {
		if k.origin == nil || slices.Contains(reached, k.cached.Source) {
			continue
		}
		reached = append(reached, k.cached.Source)
		if err := k.origin.Reach(ctx); err != nil {
			faults = append(faults, cfg.Fault(fmt.Sprintf("resource.[%d].origin", i), "reaching the origin: %s", oneLine(err)))
		}
	}
	return faults
}

// rehearse asks the database.
func (g *generation) rehearse(ctx context.Context) (faults []config.Fault) {
	ctx, cancel := context.WithTimeout(ctx, connectWithin)
	defer cancel()
	err := g.db.Rehearse(ctx, g.records(), func(r source.Refusal) {
		key, text := "database."+r.Key, oneLine(r.Err)
		if number, ok := strings.CutPrefix(r.Key, "init["); ok {
			key = "database.init.[" + number
			text = "the database refuses it: " + text
		} else if r.Resource != "" {
			i := slices.IndexFunc(g.cfg.Resources, func(c config.Resource) bool { return c.Name == r.Resource })
			key = fmt.Sprintf("resource.[%d].%s", i, r.Key)
			text = fmt.Sprintf("the database refuses it for resource %q: %s", r.Resource, text)
		}
		faults = append(faults, g.cfg.Fault(key, "%s", text))
	})
	if err != nil {
		faults = append(faults, g.cfg.Fault("database.url", "asking the database: %s", oneLine(err)))
	}
	return faults
}

// oneLine keeps each fault in one line, whatever a driver says.
func oneLine(err error) string {
	return strings.NewReplacer("\r", "", "\n\t", " ", "\n", " ").Replace(err.Error())
}
