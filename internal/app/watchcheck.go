package app

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"hearth/internal/config"
	"hearth/internal/source"
	"hearth/internal/source/engine"
	"hearth/internal/source/outbox"
	"hearth/internal/source/sqltext"
)

// watchFinding is what the database says against a watch.
type watchFinding struct {
	resource string
	key      string // of the configuration
	text     string
	// doubt says that the feed works, and that something may surprise.
	doubt bool
}

// inspection asks the database whether the watches of a configuration tell all that
// concerns its resources. It belongs to one goroutine.
type inspection struct {
	ctx    context.Context
	g      *generation
	outbox *outbox.Outbox
	tables map[string]outbox.Table       // by the names in the configuration
	wrong  map[string]*outbox.TableError // of those that cannot be watched
	found  []watchFinding
}

// inspectWatches asks the database what the selects and the queries of watches read, and
// what the watched tables are. An error means that it could not be asked.
func (g *generation) inspectWatches(ctx context.Context, o *outbox.Outbox) ([]watchFinding, error) {
	in := &inspection{ctx: ctx, g: g, outbox: o, tables: map[string]outbox.Table{}, wrong: map[string]*outbox.TableError{}}
	all, _ := watchesOf(g.cfg) // whose faults refuse has found
	for _, w := range all {
		if len(w.sets) == 0 {
			continue
		}
		if err := in.inspect(w); err != nil {
			return nil, err
		}
	}
	return in.found, nil
}

// say notes a finding.
func (in *inspection) say(w watched, key string, doubt bool, format string, args ...any) {
	in.found = append(in.found, watchFinding{resource: w.resource.Name, key: key, doubt: doubt, text: fmt.Sprintf(format, args...)})
}

// inspect looks at one resource.
func (in *inspection) inspect(w watched) error {
	for i, s := range w.sets {
		if err := in.table(w, w.place(i), s); err != nil {
			return err
		}
	}
	i := slices.IndexFunc(in.g.resources, func(r resource) bool { return r.Name == w.resource.Name })
	if i < 0 {
		return nil
	}
	reads, err := in.g.db.Reads(in.ctx, in.g.resources[i].cached.Records)
	var refused *source.SpecError
	switch {
	case errors.As(err, &refused):
		in.say(w, w.at(refused.Key), true, "the database does not tell which tables it reads, so nobody knows whether all are watched: %s", refused.Text)
	case err != nil:
		return err
	}
	for _, key := range slices.Sorted(maps.Keys(reads)) {
		for _, relation := range reads[key] {
			if !in.watches(w, relation) {
				in.say(w, w.at(key), false, "resource %q reads the table %q, which is not watched, so what others change there is seen when copies expire; "+
					"write [[resource.watch]] with table = %[2]q and one of key, keys and all = true%s", w.resource.Name, relation, w.orElse())
			}
		}
		in.ignored(w, key)
	}
	if w.how == watchDerived { // who writes a watch has thought of them
		functions, err := in.outbox.Functions(in.ctx, w.resource.Select, w.resource.SelectMany)
		if err != nil {
			return err
		}
		for _, name := range functions {
			in.say(w, w.at("select"), true, "calls the function %s, and nobody sees what that reads; write [[resource.watch]] for the tables behind it, too", name)
		}
	}
	for i, s := range w.sets {
		if s.Meanings[0].Keys != "" {
			if err := in.keys(w, w.place(i)+".keys", s.Meanings[0]); err != nil {
				return err
			}
		}
	}
	return nil
}

// place is the key of what says that a table is watched: that of the watch, or of the
// select that it is derived from.
func (w watched) place(i int) string {
	if w.how == watchDerived {
		return w.at("select")
	}
	return w.at(fmt.Sprintf("watch.[%d]", i))
}

// orElse is what else there is to write.
func (w watched) orElse() string {
	if w.how == watchDerived {
		return ", beside one for each table that was derived"
	}
	return ""
}

// watches tells whether a resource watches a relation.
func (in *inspection) watches(w watched, relation string) bool {
	return slices.ContainsFunc(w.sets, func(s outbox.Set) bool { return in.tables[s.Table].Relation == relation })
}

// table looks at a watched table, and at the columns of a watch.
func (in *inspection) table(w watched, key string, s outbox.Set) error {
	t, known := in.tables[s.Table]
	if wrong := in.wrong[s.Table]; !known && wrong == nil {
		var err error
		t, err = in.outbox.Table(in.ctx, s.Table)
		if err != nil && !errors.As(err, &wrong) {
			return err
		}
		if in.wrong[s.Table] = wrong; err == nil {
			in.tables[s.Table] = t
		}
	}
	if wrong := in.wrong[s.Table]; wrong != nil {
		in.say(w, key, false, "the table cannot be watched: %s", oneLine(wrong))
		return nil
	}
	d, m := dialectOf(in.g.cfg), s.Meanings[0]
	for _, name := range distinct(slices.Concat(s.Captured, s.Filter)) {
		if _, found := t.Column(name, d); !found {
			in.say(w, key, false, "the table %q has no column %q; it has %s", t.Relation, name, columnNames(t))
		}
	}
	for _, p := range m.Params {
		c, found := t.Column(p.Column, d)
		if !found {
			continue
		}
		switch how, why := fitOf(p, c, d); how {
		case doubted:
			in.say(w, key, true, "{%s} is %s, and %s.%s %s: the feed removes the copy under the row's own spelling; "+
				"what was found by another one, or not found, stays until it expires", p.Name, p.Type, t.Relation, c.Name, why)
		case strange:
			in.say(w, key, false, "{%s} is %s, and %s.%s %s: nobody knows how a path spells its values; "+
				"write keys with a query that returns them so, or all = true", p.Name, p.Type, t.Relation, c.Name, why)
		}
	}
	return nil
}

// columnNames lists the columns of a table.
func columnNames(t outbox.Table) string {
	var names []string
	for _, c := range t.Columns {
		names = append(names, c.Name)
	}
	return strings.Join(names, ", ")
}

// keys looks at the query of a watch. What it reads has to be watched as well, with the
// columns that it names: a row of it that has moved since is a change of its own.
func (in *inspection) keys(w watched, key string, m outbox.Meaning) error {
	reads, err := in.outbox.Reads(in.ctx, m.Keys)
	switch class := in.outbox.Fault(err).Class; {
	case err != nil && (class == engine.FaultLost || class == engine.FaultBusy || class == engine.FaultSlow || in.ctx.Err() != nil):
		return err
	case err != nil:
		in.say(w, key, false, "the database refuses it: %s", oneLine(err))
		return nil
	case reads.Columns > 0 && reads.Columns != len(m.Params):
		in.say(w, key, false, "returns %d columns, and the path has %d parameters; select one column for each, in their order", reads.Columns, len(m.Params))
	}
	for _, relation := range reads.Relations {
		if !in.watches(w, relation) {
			in.say(w, key, false, "reads the table %q, which is not watched for resource %q, so a record that moves there meanwhile is missed; "+
				"write [[resource.watch]] with table = %[1]q and key, keys or all = true", relation, w.resource.Name)
		}
	}
	for _, s := range w.sets {
		t := in.tables[s.Table]
		if !slices.Contains(reads.Relations, t.Relation) || slices.ContainsFunc(w.sets, func(o outbox.Set) bool { return len(o.Filter) == 0 && in.tables[o.Table].Relation == t.Relation }) {
			continue
		}
		if missing := in.uncounted(w, t, m.Keys); len(missing) > 0 {
			in.say(w, key, false, "goes by %s of %q, of which changes do not count; add them to the columns of that watch", strings.Join(missing, ", "), t.Relation)
		}
	}
	return nil
}

// uncounted are the columns of a table that a text names and of which no watch of the table
// counts changes. Columns that another watched table has, too, may be meant there.
func (in *inspection) uncounted(w watched, t outbox.Table, text string) (missing []string) {
	d := dialectOf(in.g.cfg)
	names := sqltext.Names(d, text)
	for _, c := range t.Columns {
		counts := slices.ContainsFunc(w.sets, func(s outbox.Set) bool {
			return in.tables[s.Table].Relation == t.Relation && (len(s.Filter) == 0 || slices.ContainsFunc(slices.Concat(s.Filter, s.Captured), func(name string) bool { return strings.EqualFold(name, c.Name) }))
		})
		if !counts && slices.ContainsFunc(names, func(name string) bool { return strings.EqualFold(name, c.Name) }) {
			missing = append(missing, c.Name)
		}
	}
	return missing
}

// ignored doubts watches that leave changes out which a statement seems to show.
func (in *inspection) ignored(w watched, key string) {
	text := w.resource.Select
	if key == source.KeySelectMany {
		text = w.resource.SelectMany
	}
	var told []string
	for i, s := range w.sets {
		t, known := in.tables[s.Table]
		if len(s.Filter) == 0 || !known || slices.Contains(told, t.Relation) {
			continue
		}
		told = append(told, t.Relation)
		var shown []string
		for _, name := range in.uncounted(w, t, text) {
			if !in.elsewhere(w, t, name) {
				shown = append(shown, name)
			}
		}
		if showsAll(w, t, text, dialectOf(in.g.cfg)) {
			in.say(w, w.place(i), true, "an UPDATE of other columns of %q than %s does not count, and %s returns all; leave columns out", t.Relation, strings.Join(s.Filter, ", "), key)
		} else if len(shown) > 0 {
			in.say(w, w.place(i), true, "an UPDATE of %s in %q does not count, and %s names it; add it to columns, or leave columns out", strings.Join(shown, ", "), t.Relation, key)
		}
	}
}

// showsAll tells whether a select returns all columns of a table, by an asterisk.
func showsAll(w watched, t outbox.Table, text string, d sqltext.Dialect) bool {
	s, err := sqltext.Parse(d, text, w.resource.Path.Params(), false)
	if err != nil {
		return false
	}
	list := s.Select()
	return slices.ContainsFunc(list.Items, func(item sqltext.SelectItem) bool {
		return item.Column == "*" && slices.ContainsFunc(list.From, func(f sqltext.SelectFrom) bool {
			return (item.Table == "" || strings.EqualFold(item.Table, f.Alias)) && strings.EqualFold(f.Table.Name, t.Relation[strings.LastIndexByte(t.Relation, '.')+1:])
		})
	})
}

// elsewhere tells whether another watched table has a column of that name.
func (in *inspection) elsewhere(w watched, t outbox.Table, column string) bool {
	return slices.ContainsFunc(w.sets, func(s outbox.Set) bool {
		other := in.tables[s.Table]
		_, found := other.Column(column, sqltext.SQLite) // whatever its capitals
		return other.Relation != t.Relation && found
	})
}

// faultOf is a finding at its place in the configuration.
func (f watchFinding) faultOf(cfg *config.Config) config.Fault { return cfg.Fault(f.key, "%s", f.text) }
