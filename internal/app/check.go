package app

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"slices"
	"strings"
	"time"

	"hearth/cache/redis"
	"hearth/internal/config"
	"hearth/internal/source"
	"hearth/internal/source/engine"
	"hearth/internal/source/outbox"
)

// Report is what is to be said of a configuration without serving it.
type Report struct {
	// Faults are what keeps it from being served, or would have it answer with errors.
	Faults []config.Fault
	// Warnings are what works and may surprise. A configuration with faults has none.
	Warnings []string
	// Feed is which tables concern which resource. It is empty while the feed is off.
	Feed []string
}

// Err is the faults as an error, nil without any.
func (r Report) Err() error { return faultsError(r.Faults) }

// faultsError is the error for a list, nil for an empty one.
func faultsError(faults []config.Fault) error {
	if len(faults) == 0 {
		return nil
	}
	return config.NewFaults(faults)
}

// Check finds everything that serving a configuration would refuse or warn of. It
// opens no socket and asks no server. faults are those that reading it has found:
// what they concern is not looked at again.
func Check(cfg *config.Config, faults []config.Fault) (r Report) {
	// An App that is never opened: what it would serve is made, and thrown away.
	a := newApp(cfg, Process{Log: NewLog(cfg.Log, io.Discard)})
	defer a.stop(nil)
	g := &generation{cfg: cfg, log: a.log}
	defer func() { g.minus(nothing).close(a.log) }()
	r.Faults = slices.Concat(faults, refuse(cfg), refuseFiles(cfg), g.prepareSources(nothing))
	if len(r.Faults) == 0 {
		r.Faults = a.complete(g, nothing)
	}
	if len(r.Faults) == 0 {
		a.public.certs, _ = loadCertificates(cfg) // which refuseFiles has judged
		r.Warnings = a.warnings(g)
		r.Feed = feedLines(cfg)
	}
	return r
}

// connectWithin bounds each of the servers that Connect asks.
const connectWithin = 10 * time.Second

// Connect asks all servers that a configuration names whether they would take
// what it asks of them, and changes nothing there: the database about each
// statement, Redis whether it can be the shared tier, origins whether they can be
// reached. The configuration has to be without faults. notes are what it has found
// out that an operator may want to know.
func Connect(ctx context.Context, cfg *config.Config) (faults []config.Fault, notes []string) {
	log := NewLog(cfg.Log, io.Discard).Logger()
	g := &generation{cfg: cfg, log: log, looks: true}
	defer func() { g.minus(nothing).close(log) }()
	if faults = g.prepareSources(nothing); len(faults) > 0 {
		return faults, nil
	}
	// Servers are asked one after the other, each within its own time.
	if !cfg.Redis.URL.Empty() {
		within, cancel := context.WithTimeout(ctx, connectWithin)
		defer cancel()
		err := redis.Probe(within, newAccess(cfg, log).redisConfig())
		if err != nil {
			faults = append(faults, cfg.Fault("redis.url", "asking Redis: %s", oneLine(err)))
		}
	}
	if g.db != nil {
		faults = append(faults, g.rehearse(ctx)...)
		if way := g.db.Way(); way != "" {
			notes = append(notes, "the database is reached "+way)
		}
	}
	if cfg.FeedOn() && len(faults) == 0 {
		wrong, doubts := g.rehearseFeed(ctx)
		faults, notes = append(faults, wrong...), append(notes, doubts...)
	}
	// One host is asked once, however many resources it has.
	var reached []string // hosts
	for i, r := range g.resources {
		if r.origin == nil || slices.Contains(reached, r.cached.Source) {
			continue
		}
		reached = append(reached, r.cached.Source)
		if err := r.origin.Reach(ctx); err != nil {
			faults = append(faults, cfg.Fault(fmt.Sprintf("resource.[%d].origin", i), "reaching the origin: %s", oneLine(err)))
		}
	}
	return faults, notes
}

// rehearse asks the database.
func (g *generation) rehearse(ctx context.Context) (faults []config.Fault) {
	// One time for all statements: a database that is slow with one is with others.
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
		text := oneLine(err)
		if what := mend(err); what != "" {
			text += "; mend " + what
		}
		faults = append(faults, g.cfg.Fault("database.url", "asking the database: %s", text))
	}
	return faults
}

// rehearseFeed asks the database about the watches, and about the triggers that tell of
// changes.
func (g *generation) rehearseFeed(ctx context.Context) (faults []config.Fault, notes []string) {
	ctx, cancel := context.WithTimeout(ctx, connectWithin)
	defer cancel()
	url := g.cfg.FeedURL()
	if file, isFile := strings.CutPrefix(url.Reveal(), "sqlite:"); isFile {
		if _, err := os.Stat(file); errors.Is(err, fs.ErrNotExist) {
			return nil, []string{"the change feed is not looked at, for the file of database.url is not there yet"}
		}
	}
	away := func(err error) []config.Fault {
		return append(faults, g.cfg.Fault("feed.url", "asking the database about the change feed: %s", oneLine(err)))
	}
	o, err := outbox.New(engine.Config{URL: url.Reveal(), Renew: url.Current, MaxConns: 2, Timeout: g.cfg.Database.Timeout, Log: g.log, Look: true})
	if err != nil {
		return away(err), nil
	}
	defer func() { _ = o.Close() }()
	if err := o.Open(); err != nil {
		return away(err), nil
	}
	found, err := g.inspectWatches(ctx, o)
	if err != nil {
		return away(err), nil
	}
	for _, f := range found {
		if f.doubt {
			notes = append(notes, f.faultOf(g.cfg).String())
		} else {
			faults = append(faults, f.faultOf(g.cfg))
		}
	}
	if len(faults) > 0 { // triggers on what is not right are not right either
		return faults, notes
	}
	sets, _ := wantedSets(g.cfg)
	wrong, err := o.Faults(ctx, sets)
	if err != nil {
		return away(err), notes
	}
	for _, f := range outbox.Standing(wrong) {
		if f.Lost {
			faults = append(faults, g.cfg.Fault("feed.mode", "%s", f.Text))
		} else {
			notes = append(notes, "the change feed: "+f.Text)
		}
	}
	return faults, notes
}

// oneLine keeps each fault in one line, whatever a driver says.
func oneLine(err error) string {
	return strings.NewReplacer("\r", "", "\n\t", " ", "\n", " ").Replace(err.Error())
}
