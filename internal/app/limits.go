package app

import (
	"strings"

	"hearth/handlers"
	"hearth/internal/config"
	"hearth/internal/limit"
)

// openLimits makes the limiters, which count in the shared tier, but for those
// that before has with the same definition.
func (a *App) openLimits(g, before *generation) {
	for _, c := range g.cfg.Limits {
		cfg := limit.Config{
			Name: c.Name, Rate: rateOf(c.Rate), Burst: c.Burst, LocalRate: rateOf(c.LocalRate), Store: a.counts, Log: a.log,
			Denied: a.numbers.deniedBy(c.Name), Shared: a.numbers.sharedBy(c.Name), Memory: a.rooms.counting, Room: a.rooms.subjects,
		}
		l := before.limiter(cfg)
		if l == nil {
			l = limit.New(cfg)
		}
		g.limits = append(g.limits, l)
	}
}

// limiter finds the limiter that counts just as cfg says.
func (g *generation) limiter(cfg limit.Config) *limit.Limiter {
	if g == nil {
		return nil
	}
	for i, c := range g.cfg.Limits {
		if c.Name == cfg.Name && rateOf(c.Rate) == cfg.Rate && c.Burst == cfg.Burst && rateOf(c.LocalRate) == cfg.LocalRate {
			return g.limits[i]
		}
	}
	return nil
}

func rateOf(r config.Rate) limit.Rate { return limit.Rate{Count: r.Count, Window: r.Window} }

// quotas are the limits as the handlers know them.
func (g *generation) quotas() []handlers.Limit {
	var all []handlers.Limit
	for i, c := range g.cfg.Limits {
		l := handlers.Limit{Limiter: g.limits[i], Rate: rateOf(c.Rate), Paths: c.Paths}
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
