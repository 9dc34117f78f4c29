package app

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"hearth/internal/config"
	"hearth/internal/source/engine"
	"hearth/internal/source/outbox"
	"hearth/internal/source/sqltext"
)

// FeedTool is the change feed as an operator handles it by hand: what is to be watched by
// a configuration, and the outbox of its database. It needs no server that runs.
type FeedTool struct {
	cfg    *config.Config
	outbox *outbox.Outbox
	want   []outbox.Set
}

// feedToolTimeout is how long a verb of hearth feed may take, with all it asks.
const feedToolTimeout = 2 * time.Minute

// OpenFeedTool has what the verbs of hearth feed work with. It connects to nothing yet.
func OpenFeedTool(cfg *config.Config) (*FeedTool, error) {
	address := cfg.FeedURL()
	if address.Empty() {
		return nil, config.NewFaults([]config.Fault{cfg.Fault("database.url", `is empty, and the change feed is about a database; write it as "postgres://…", "mysql://…" or "sqlite:data.db"`)})
	}
	want, faults := wantedSets(cfg)
	if len(faults) > 0 {
		return nil, config.NewFaults(faults)
	}
	// A definition waits for tables that others use, so it gets more time than a load.
	o, err := outbox.New(engine.Config{URL: address.Reveal(), Renew: address.Current, MaxConns: 2, Timeout: max(cfg.Database.Timeout, 30*time.Second)})
	if err != nil {
		return nil, err
	}
	t := &FeedTool{cfg: cfg, outbox: o, want: want}
	if err := o.Open(); err != nil {
		return nil, t.explain(context.Background(), err, nil)
	}
	return t, nil
}

// Close ends the connections.
func (t *FeedTool) Close() { _ = t.outbox.Close() }

// Within bounds what a verb does.
func (t *FeedTool) Within(ctx context.Context) (context.Context, context.CancelFunc) {
	return context.WithTimeout(ctx, feedToolTimeout)
}

// FeedInstall is how to install.
type FeedInstall struct {
	Roles []string // accounts that are to be granted what it takes to drain the outbox
	Prune bool     // what other configurations have installed is removed
	Apply bool     // the script is run, too
}

// Installation is what Install has planned, or done.
type Installation struct {
	SQL      string   // the script, as the database's client takes it
	Warnings []string // what an operator should know before it runs
	Done     []string // set by set, what was done
	Faults   []string // what still keeps changes from being told
}

// Install plans the script that installs the triggers, and runs it if it is told to.
func (t *FeedTool) Install(ctx context.Context, how FeedInstall) (done Installation, err error) {
	if len(t.want) == 0 {
		return done, errors.New("nothing is to be watched: no resource has a select whose tables are known; write [[resource.watch]]")
	}
	before, err := t.outbox.Sets(ctx)
	unread := ""
	switch {
	case err == nil, t.outbox.Missing(err):
	case t.outbox.Denied(err) && !how.Apply:
		unread = oneLine(err)
	default:
		return done, t.explain(ctx, err, t.tables(ctx))
	}
	opt := outbox.Options{Roles: how.Roles, Prune: how.Prune, FlushRows: t.cfg.Feed.FlushRows}
	script, err := t.outbox.Plan(ctx, t.want, opt)
	if err != nil {
		return done, t.explain(ctx, err, t.tables(ctx))
	}
	script.Notes = append(t.warnings(), script.Notes...)
	if unread != "" {
		script.Notes = append(script.Notes, "What is installed already could not be read ("+unread+"). This script knows of this configuration alone, and takes from the triggers what others have added.")
	}
	done.SQL, done.Warnings = t.outbox.Text(script), script.Notes
	if !how.Apply {
		return done, nil
	}
	err = t.apply(ctx, script, before, &done)
	return done, err
}

// apply runs a plan, and looks what has come of it.
func (t *FeedTool) apply(ctx context.Context, script *outbox.Script, before []outbox.Set, done *Installation) error {
	broken, err := t.outbox.Faults(ctx, t.want)
	if err != nil {
		return t.explain(ctx, err, t.tables(ctx))
	}
	if err := t.outbox.Apply(ctx, script); err != nil {
		return t.explain(ctx, err, t.tables(ctx))
	}
	after, err := t.outbox.Sets(ctx)
	if err != nil {
		return t.explain(ctx, err, t.tables(ctx))
	}
	done.Done = changesOf(before, after, broken)
	faults, err := t.outbox.Faults(ctx, t.want)
	if err != nil {
		return t.explain(ctx, err, t.tables(ctx))
	}
	for _, f := range outbox.Standing(faults) {
		if f.Lost {
			done.Faults = append(done.Faults, f.Text)
		} else {
			done.Warnings = append(done.Warnings, f.Text)
		}
	}
	return nil
}

// Remove plans the script that leaves nothing behind, and runs it if it is told to.
func (t *FeedTool) Remove(ctx context.Context, apply bool) (done Installation, err error) {
	before, err := t.outbox.Sets(ctx)
	if err != nil && !t.outbox.Missing(err) {
		return done, t.explain(ctx, err, nil)
	}
	script, err := t.outbox.Removal(ctx)
	if err != nil {
		return done, t.explain(ctx, err, nil)
	}
	if t.cfg.FeedOn() {
		done.Warnings = append(done.Warnings, `feed.mode is "outbox": instances that run count as degraded from then on, and copies live feed.degraded_ttl at most; set it to "off" first, and restart them`)
	}
	script.Notes = append(done.Warnings, script.Notes...)
	done.SQL = t.outbox.Text(script)
	if !apply {
		return done, nil
	}
	if err := t.outbox.Apply(ctx, script); err != nil {
		return done, t.explain(ctx, err, nil)
	}
	done.Done = changesOf(before, nil, nil)
	return done, nil
}

// Flush asks whoever drains the outbox to remove all records of resources.
func (t *FeedTool) Flush(ctx context.Context, resources []string) error {
	known := t.resources()
	sets, err := t.outbox.Sets(ctx)
	if err != nil {
		return t.explain(ctx, err, nil)
	}
	for _, s := range sets {
		for _, m := range s.Meanings {
			known = append(known, m.Resource) // that of another configuration
		}
	}
	for _, name := range resources {
		if slices.Contains(known, name) {
			continue
		}
		slices.Sort(known)
		return fmt.Errorf("there is no resource %q; there are %q", name, slices.Compact(known))
	}
	if err := t.outbox.Flush(ctx, resources); err != nil {
		return t.explain(ctx, err, nil)
	}
	return nil
}

// resources are those of the configuration, by name.
func (t *FeedTool) resources() (names []string) {
	for _, r := range t.cfg.Resources {
		names = append(names, r.Name)
	}
	return names
}

// tables are those that are to be watched, each once.
func (t *FeedTool) tables(ctx context.Context) (names []string) {
	for _, s := range t.outbox.Named(ctx, t.want) {
		if !slices.Contains(names, s.Table) {
			names = append(names, s.Table)
		}
	}
	return names
}

// changesOf says what has become of each set. broken is what kept changes from being told
// before.
func changesOf(before, after []outbox.Set, broken []outbox.Fault) (lines []string) {
	of := func(all []outbox.Set, id int32) int {
		return slices.IndexFunc(all, func(s outbox.Set) bool { return s.ID == id })
	}
	for _, s := range after {
		switch i := of(before, s.ID); {
		case i < 0:
			lines = append(lines, "installed: "+nameOf(s))
		case sameSet(before[i], s) && !slices.ContainsFunc(broken, func(f outbox.Fault) bool { return f.Lost && outbox.IDOf(f.Set.Table, f.Set.Filter) == s.ID }):
			lines = append(lines, "as before: "+nameOf(s))
		default:
			lines = append(lines, "renewed:   "+nameOf(s))
		}
	}
	for _, s := range before {
		if of(after, s.ID) < 0 {
			lines = append(lines, "removed:   "+nameOf(s))
		}
	}
	return lines
}

// nameOf is a set as an operator knows it.
func nameOf(s outbox.Set) string {
	text := "the triggers on " + s.Table
	if len(s.Filter) > 0 {
		text += " (" + strings.Join(s.Filter, ", ") + ")"
	}
	return text + " for " + strings.Join(resourcesOf(s), ", ")
}

// resourcesOf are the resources whose records a set concerns, each once.
func resourcesOf(s outbox.Set) (names []string) {
	for _, m := range s.Meanings {
		if !slices.Contains(names, m.Resource) {
			names = append(names, m.Resource)
		}
	}
	return names
}

// sameSet tells whether two readings of a set are alike.
func sameSet(one, other outbox.Set) bool { return fmt.Sprint(one) == fmt.Sprint(other) }

// warnings are what is true of every installation in this kind of database. PostgreSQL's
// depend on the tables, and are the outbox's.
func (t *FeedTool) warnings() (all []string) {
	const fails = "A trigger runs within the application's own statement: if it fails, that fails, with an error that names hearth_…. The way out is at once: hearth feed remove -apply. " +
		"After a watched table has got other columns run hearth feed install again."
	switch t.outbox.Dialect() {
	case sqltext.PostgreSQL:
	case sqltext.MySQL:
		all = append(all, fails, "The triggers run with the rights of the account that runs this script, so that the application's accounts need none. "+
			"It has to stay: without it, or without its rights, the application's writes fail.",
			"Each definition is committed by itself and waits two seconds at most for its table; if one fails, those before it stay. Run it again when that is mended.")
	default:
		all = append(all, fails, "Give sqlite3 the option -bail, so that it stops at an error.")
	}
	if !t.cfg.FeedOn() {
		all = append(all, `feed.mode is "off": nobody drains the outbox, and it grows with every change, until instances run with feed.mode = "outbox".`)
	}
	return all
}

// explain says what an error of the outbox means for an operator: whether the database is
// away, or which right is missing. tables are those that were worked on.
func (t *FeedTool) explain(ctx context.Context, err error, tables []string) error {
	switch {
	case t.outbox.Denied(err):
		lines := []string{"a right is missing: " + oneLine(err), "let an account that has it run what this prints: hearth feed install; or grant it:"}
		return errors.New(strings.Join(append(lines, t.outbox.Rights(ctx, tables)...), "\n  "))
	case t.outbox.Missing(err) && !errors.As(err, new(*engine.StatementError)):
		return fmt.Errorf("the outbox is not installed; run: hearth feed install -apply (%s)", oneLine(err))
	}
	text := oneLine(err)
	if what := mend(err); what != "" {
		text += "; mend " + what
	}
	return errors.New(text)
}
