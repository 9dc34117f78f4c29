package app

import (
	"time"

	"hearth/cache"
	"hearth/cache/audit"
	"hearth/internal/feed"
	"hearth/internal/metrics"
	"hearth/internal/param"
	"hearth/internal/source"
)

// serve tells the cache what a generation serves, so that it can go from a key in memory back
// to the record.
func (a *App) serve(g *generation) {
	all := make([]cache.Served, len(g.resources))
	for i, r := range g.resources {
		all[i] = cache.Served{Resource: r.cached, Args: argsOf(r)}
		if a.changes.feed != nil && g.watches(r.Name) {
			all[i].Told = toldBy(a.changes.feed, r.Name)
		}
	}
	a.cache.Serve(all)
}

// argsOf reads the parameters of a resource out of its keys.
func argsOf(r resource) func(key string) (source.Args, bool) {
	template := param.NewKey(r.Key.Parts, r.Path.Params())
	return func(key string) (source.Args, bool) {
		values, ok := template.Read(key)
		args := make(source.Args, len(values))
		for i := range values {
			args[i] = values[i].Arg
		}
		return args, ok
	}
}

// toldBy tells up to when the feed has told of the changes of a resource.
func toldBy(f *feed.Feed, resource string) func() (time.Time, bool) {
	return func() (time.Time, bool) {
		s := f.Status()
		_, lost := s.Lost[resource]
		return s.Drained, s.Live && !lost
	}
}

// registerAudit exports what the audit has found. All series are there from the start.
func (a *App) registerAudit() {
	for _, against := range audit.Againsts {
		label := metrics.Label{Name: "against", Value: against.String()}
		for _, result := range audit.Results {
			if result.Of(against) {
				a.metrics.CounterFunc("hearth_audit_checks_total", "Copies compared: those in memory with the shared tier, those of the shared tier with the source, by result.",
					func() float64 { return float64(a.cache.AuditChecks(against, result)) }, label, metrics.Label{Name: "result", Value: result.String()})
			}
		}
		for _, window := range audit.Windows {
			within := metrics.Label{Name: "window", Value: window.String()}
			a.metrics.GaugeFunc("hearth_audit_consistency_ratio", "Share of answers for which what is promised of copies was kept, at least, with 95 % confidence; 0 without checks.",
				func() float64 { return a.cache.AuditStanding(against, window).AtLeast }, label, within)
			a.metrics.GaugeFunc("hearth_audit_window_checks", "Checks that say so: those of promised copies that found them right or stale.",
				func() float64 { return float64(a.cache.AuditStanding(against, window).Checks) }, label, within)
		}
	}
	for _, cause := range audit.Causes {
		for age := range audit.Ages {
			a.metrics.CounterFunc("hearth_audit_stale_total", "Copies that were found not to be what they should be, and dropped, by cause and by their age at most.",
				func() float64 { return float64(a.cache.AuditStale(cause, age)) },
				metrics.Label{Name: "against", Value: cause.Against().String()}, metrics.Label{Name: "cause", Value: cause.String()}, metrics.Label{Name: "age", Value: age.String()})
		}
	}
	a.metrics.CounterFunc("hearth_audit_samples_shed_total", "Keys of sampled hits that were not compared because there was no room, or too much to read.",
		func() float64 { return float64(a.cache.AuditShed()) })
}
