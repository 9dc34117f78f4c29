package app

import (
	"context"
	"slices"
	"time"

	"hearth/internal/source/outbox"
)

// foundWatches is what the database said against the watches of a generation.
type foundWatches struct {
	g      *generation
	faults []outbox.Fault
}

// watchProbe has the database asked whether the watches of the generation that serves tell
// all that its resources read: when it begins to serve, when the database comes back, and
// now and then, for somebody may alter a view. It belongs to the goroutine that watches.
type watchProbe struct {
	asked  *generation
	up     bool
	next   time.Time
	doubts []string // that are in the log
}

// probeWatches asks if it is time to. A resource that reads what is not watched counts as
// one whose triggers are lost: its copies live feed.degraded_ttl at most.
func (a *App) probeWatches(p *watchProbe) {
	g := a.current.Load()
	if a.changes.outbox == nil || g.db == nil {
		return
	}
	up := g.db.Up()
	if g != p.asked || up && !p.up {
		p.next = time.Time{}
	}
	p.asked, p.up = g, up
	if !up || time.Now().Before(p.next) {
		return
	}
	ctx, cancel := context.WithTimeout(a.stopped, connectWithin)
	defer cancel()
	found, err := g.inspectWatches(ctx, a.changes.outbox)
	p.next = time.Now().Add(probeAgain)
	if err != nil {
		p.next = time.Now().Add(probeSoon)
		if a.stopped.Err() == nil {
			a.log.Debug("asking the database about the watches of the change feed", "error", err)
		}
		return
	}
	now := &foundWatches{g: g}
	var doubts []string
	for _, f := range found {
		if f.doubt {
			doubts = append(doubts, f.faultOf(g.cfg).String())
			continue
		}
		p.next = time.Now().Add(probeSoon)
		now.faults = append(now.faults, outbox.Fault{Set: outbox.Set{Meanings: []outbox.Meaning{{Resource: f.resource}}}, Text: f.text, Lost: true})
	}
	a.changes.found.Store(now)
	for _, text := range doubts {
		if !slices.Contains(p.doubts, text) {
			a.log.Warn(text)
		}
	}
	p.doubts = doubts
}

// judgedOutbox is an outbox of which the faults are not those of its triggers alone.
type judgedOutbox struct {
	*outbox.Outbox
	app *App
}

// Faults adds what was found of the watches of the generation that serves.
func (o judgedOutbox) Faults(ctx context.Context, want []outbox.Set) ([]outbox.Fault, error) {
	faults, err := o.Outbox.Faults(ctx, want)
	if found := o.app.changes.found.Load(); found != nil && found.g == o.app.current.Load() {
		faults = append(faults, found.faults...)
	}
	return faults, err
}

// Heal leaves alone what is none of a trigger's.
func (o judgedOutbox) Heal(ctx context.Context, faults []outbox.Fault) ([]string, error) {
	return o.Outbox.Heal(ctx, slices.DeleteFunc(slices.Clone(faults), func(f outbox.Fault) bool { return f.Set.ID == 0 }))
}
