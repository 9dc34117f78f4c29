package app

import (
	"fmt"
	"slices"
	"strings"

	"hearth/internal/config"
	"hearth/internal/param"
	"hearth/internal/source/outbox"
	"hearth/internal/source/sqltext"
)

// watched is what the configuration says of the tables that concern one resource.
type watched struct {
	index    int // of the resource
	resource *config.Resource
	sets     []outbox.Set // a set for each table, with one meaning
	how      watchKind
	why      string // it is lacking: what keeps it from being derived
}

// watchKind tells how it is known which tables concern a resource.
type watchKind int

const (
	watchNone    watchKind = iota // the resource lives by its ttl, and says so
	watchDerived                  // from its select
	watchWritten                  // by [[resource.watch]]
	watchLacking                  // it is not known
)

// at is the key of the resource, or of one below it.
func (w watched) at(key ...string) string {
	return strings.Join(append([]string{fmt.Sprintf("resource.[%d]", w.index)}, key...), ".")
}

// watchesOf tells which tables concern each resource that has a select. Resources of which
// the keys that it takes to know are faulty are left out.
func watchesOf(cfg *config.Config) (all []watched, faults []config.Fault) {
	for i := range cfg.Resources {
		w := watched{index: i, resource: &cfg.Resources[i]}
		if w.resource.Select == "" || !sound(cfg, w.at(), "name", "path", "key", "select", "select_many", "watch") || !cfg.Sound("database.url") {
			continue
		}
		switch {
		case w.resource.Unwatched:
		case len(w.resource.Watches) > 0:
			w.how = watchWritten
			faults = append(faults, w.read(cfg)...)
		default:
			if err := w.derive(dialectOf(cfg)); err != nil {
				continue // the statement is at fault, which is told elsewhere
			}
		}
		all = append(all, w)
	}
	return all, faults
}

// dialectOf is what the database of a configuration speaks.
func dialectOf(cfg *config.Config) sqltext.Dialect {
	switch scheme, _, _ := strings.Cut(cfg.Database.URL.Reveal(), ":"); scheme {
	case "sqlite":
		return sqltext.SQLite
	case "mysql":
		return sqltext.MySQL
	}
	return sqltext.PostgreSQL
}

// meaning is what a change means to the resource, its parameters without columns.
func (w *watched) meaning() outbox.Meaning {
	m := outbox.Meaning{Resource: w.resource.Name, Key: w.resource.Key.Text}
	for _, p := range w.resource.Path.Params() {
		m.Params = append(m.Params, outbox.Param{Name: p.Name, Type: string(p.Type)})
	}
	return m
}

// derive finds the watch in the text of the statements. An error is about a text that
// cannot be read.
func (w *watched) derive(d sqltext.Dialect) error {
	params := w.resource.Path.Params()
	s, err := sqltext.Parse(d, w.resource.Select, params, false)
	if err != nil {
		return err
	}
	found, why := s.Watched(len(params))
	if why == "" && w.resource.SelectMany != "" {
		many, err := sqltext.Parse(d, w.resource.SelectMany, params, false)
		if err != nil {
			return err
		}
		if !many.ReadsOnly(found.Table) {
			why = "select_many reads something else"
		}
	}
	if why != "" {
		w.how, w.why = watchLacking, why
		return nil
	}
	m := w.meaning()
	m.All = found.All
	for i, column := range found.Columns {
		m.Params[i].Column = column
	}
	w.how = watchDerived
	w.sets = []outbox.Set{{Table: found.Table, Captured: distinct(found.Columns), Meanings: []outbox.Meaning{m}}}
	return nil
}

// read takes the watches as they are written.
func (w *watched) read(cfg *config.Config) (faults []config.Fault) {
	for i, c := range w.resource.Watches {
		m := w.meaning()
		m.Keys, m.All = c.Keys, c.All
		s := outbox.Set{Table: c.Table, Filter: distinct(c.Columns)}
		switch {
		case c.Keys != "":
			query, err := sqltext.ParseRow(dialectOf(cfg), c.Keys)
			if err != nil {
				faults = append(faults, textFaults(cfg, w.at(fmt.Sprintf("watch.[%d].keys", i)), err)...)
				continue
			}
			s.Captured = query.Columns()
		default:
			var columns []string
			for j, p := range m.Params {
				m.Params[j].Column = c.Key[p.Name]
				columns = append(columns, c.Key[p.Name])
			}
			if !c.All {
				s.Captured = distinct(columns)
			}
		}
		s.Meanings = []outbox.Meaning{m}
		w.sets = append(w.sets, s)
	}
	return faults
}

// textFaults are the faults of a text, which are joined in one error.
func textFaults(cfg *config.Config, key string, err error) (faults []config.Fault) {
	all := []error{err}
	if joined, ok := err.(interface{ Unwrap() []error }); ok {
		all = joined.Unwrap()
	}
	for _, err := range all {
		faults = append(faults, cfg.Fault(key, "%v", err))
	}
	return faults
}

// distinct is a list without what it has twice, in its order.
func distinct(names []string) (all []string) {
	for _, name := range names {
		if !slices.Contains(all, name) {
			all = append(all, name)
		}
	}
	return all
}

// wantedSets are the triggers that a configuration wants: one set for each table and
// filter, whatever the number of resources that it concerns. While the feed is on, a
// resource of which it is not known what concerns it is a fault: its copies would be old
// for as long as they live, and nobody would know.
func wantedSets(cfg *config.Config) (sets []outbox.Set, faults []config.Fault) {
	all, faults := watchesOf(cfg)
	for _, w := range all {
		if w.how == watchLacking && cfg.FeedOn() {
			faults = append(faults, cfg.Fault(w.at("watch"), `cannot be derived from select: %s; write [[resource.watch]] for each table that it reads, or watch = "none"`, w.why))
		}
		for _, s := range w.sets {
			sets = group(sets, s)
		}
	}
	return sets, faults
}

// group adds a set to those of the same table and filter.
func group(sets []outbox.Set, s outbox.Set) []outbox.Set {
	id := outbox.IDOf(s.Table, s.Filter)
	i := slices.IndexFunc(sets, func(o outbox.Set) bool { return outbox.IDOf(o.Table, o.Filter) == id && o.Table == s.Table })
	if i < 0 {
		return append(sets, s)
	}
	sets[i].Captured = distinct(slices.Concat(sets[i].Captured, s.Captured))
	sets[i].Meanings = slices.Concat(sets[i].Meanings, s.Meanings)
	return sets
}

// feedLines say what the feed goes by, a line for each resource; none while it is off.
func feedLines(cfg *config.Config) (lines []string) {
	if !cfg.FeedOn() {
		return nil
	}
	all, _ := watchesOf(cfg)
	for _, w := range all {
		if w.how == watchNone {
			lines = append(lines, "feed: "+w.resource.Name+": none, its copies live as long as ttl says")
			continue
		}
		var from []string
		for _, s := range w.sets {
			from = append(from, describeWatch(s, w.resource.Path.Params()))
		}
		if len(from) > 0 {
			lines = append(lines, "feed: "+w.resource.Name+" ← "+strings.Join(from, ", "))
		}
	}
	return lines
}

// describeWatch is a watch as check prints it: users(id → user_id).
func describeWatch(s outbox.Set, params []param.Param) string {
	m := s.Meanings[0]
	text := s.Table
	if len(s.Filter) > 0 {
		text += "[" + strings.Join(s.Filter, ", ") + "]"
	}
	switch {
	case m.All:
		return text + "(all)"
	case m.Keys != "":
		names := make([]string, len(params))
		for i, p := range params {
			names[i] = p.Name
		}
		return text + "(keys → " + strings.Join(names, ", ") + ")"
	}
	var pairs []string
	for _, p := range m.Params {
		pairs = append(pairs, p.Column+" → "+p.Name)
	}
	return text + "(" + strings.Join(pairs, ", ") + ")"
}
