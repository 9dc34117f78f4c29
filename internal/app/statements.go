package app

import (
	"context"
	"maps"
	"time"

	"hearth/internal/source"
)

const (
	// probeAgain is how long the database is not asked about statements that it
	// has taken, probeSoon how long about those of which it refuses some.
	probeAgain = time.Minute
	probeSoon  = 5 * time.Second
)

// statementProbe has the database asked about the statements of the generation that
// serves: when it begins to, when the database comes back, and now and then. It
// belongs to the goroutine that watches.
type statementProbe struct {
	// asked is the generation that was asked about last, up whether its database
	// was there then.
	asked *generation
	up    bool
	// next is when it is time to ask again.
	next time.Time
	// told are the refusals that are in the log.
	told map[string]bool
}

// probeStatements asks if it is time to, and logs what has come or gone. One
// statement that is refused fails the requests of one resource, and takes nothing
// else away.
func (a *App) probeStatements(p *statementProbe) {
	g := a.current.Load()
	if g.db != nil {
		up := g.db.Up()
		// At once, not at the next time: it may be another database, or mended.
		if g != p.asked || up && !p.up {
			p.next = time.Time{}
		}
		p.asked, p.up = g, up
		if up && !time.Now().Before(p.next) {
			a.ask(g, p)
		}
	}
	p.tell(a, g)
}

// ask has the database look at all statements.
func (a *App) ask(g *generation, p *statementProbe) {
	ctx, cancel := context.WithTimeout(a.stopped, g.cfg.Database.Timeout)
	defer cancel()
	err := g.db.Probe(ctx, g.records()...)
	p.next = time.Now().Add(probeAgain)
	if err != nil || len(g.refusals()) > 0 {
		p.next = time.Now().Add(probeSoon)
	}
	if err != nil && a.stopped.Err() == nil {
		a.log.Debug("asking the database about the statements", "error", err)
	}
}

// tell logs each refusal once.
func (p *statementProbe) tell(a *App, g *generation) {
	// By name of the statement: another error of it is the same fault.
	now := map[string]bool{}
	for _, r := range g.refusals() {
		name := refusalName(r)
		now[name] = true
		if !p.told[name] {
			a.log.Error("the source refuses what the configuration asks of it; requests that need it get 500 until that is mended",
				"resource", r.Resource, "key", r.Key, "error", r.Err)
		}
	}
	// What is not refused any more was mended, or is gone with its generation.
	for name := range p.told {
		if !now[name] {
			a.log.Info("what the source refused is mended", "key", name)
		}
	}
	p.told = now
}

// refusalName is what the refused statement is called in the log and by /readyz.
func refusalName(r source.Refusal) string {
	if r.Resource == "" {
		return "database." + r.Key
	}
	return r.Resource + "." + r.Key
}

// notices are what /readyz says of what does not keep this server from being
// ready: an instance less would help nobody, for all have the same statements.
func (a *App) notices() map[string]string {
	all := map[string]string{}
	for _, r := range a.current.Load().refusals() {
		all[refusalName(r)] = "the source refuses it; the log says why"
	}
	maps.Copy(all, a.feedNotices())
	return all
}

// refusals are what sources refuse of this configuration, as far as is known.
func (g *generation) refusals() (all []source.Refusal) {
	if g.db != nil {
		if r := g.db.InitRefusal(); r != nil {
			all = append(all, *r)
		}
	}
	for _, r := range g.records() {
		all = append(all, source.RefusalsOf(r)...)
	}
	return all
}

// refusalsOf counts those of one resource; "" stands for [database].
func (g *generation) refusalsOf(resource string) (n int) {
	for _, r := range g.refusals() {
		if r.Resource == resource {
			n++
		}
	}
	return n
}
