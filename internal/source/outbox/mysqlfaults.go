package outbox

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"hearth/internal/source/engine"
)

const mysqlMend = "run: hearth feed install -apply"

// drops implements catalogued.
func (mysql) drops(ctx context.Context, e engine.Engine, id int32) ([]string, error) {
	c, err := catalogOf(ctx, e)
	if err != nil {
		return nil, err
	}
	there, err := c.triggersHere()
	if err != nil {
		return nil, err
	}
	elsewhere, err := c.triggersElsewhere()
	if err != nil {
		return nil, err
	}
	there = append(there, elsewhere...)
	statements := []string{mysqlPatience}
	for _, t := range there {
		if id == 0 || setOfTrigger(t.name) == id {
			statements = append(statements, t.drop())
		}
	}
	return statements, nil
}

// Faults implements dialect: it writes the triggers anew, by the tables and foreign keys
// as they are now, and looks whether they stand.
func (mysql) Faults(ctx context.Context, e engine.Engine, sets []Set) (all []Fault, err error) {
	if len(sets) == 0 {
		return nil, nil
	}
	c, err := catalogOf(ctx, e)
	if err != nil {
		return nil, err
	}
	rows, err := c.ask("SELECT `id`, `flush_rows` FROM `hearth_watch`")
	if err != nil {
		return nil, err
	}
	flush := map[string]string{}
	for _, row := range rows {
		flush[row[0]] = row[1]
	}
	for _, s := range sets {
		var o Options
		if _, err := fmt.Sscan(flush[fmt.Sprint(s.ID)], &o.FlushRows); err != nil {
			return nil, fmt.Errorf("reading hearth_watch: %w", err)
		}
		faults, err := c.faultsOf(s, o)
		if err != nil {
			return nil, err
		}
		all = append(all, faults...)
	}
	return all, nil
}

// faultsOf looks at one set.
func (c *mysqlCatalog) faultsOf(s Set, o Options) ([]Fault, error) {
	m, gone, err := c.setIn(s, o)
	if err != nil {
		return nil, err
	}
	lost := func(text string, args ...any) []Fault {
		return []Fault{{Set: s, Lost: true, Text: fmt.Sprintf(text, args...)}}
	}
	if len(m.columns) == 0 {
		return lost("there is no table %q any more; %s -prune", s.Table, mysqlMend), nil
	}
	there, err := c.triggersOn(m.table)
	if err != nil {
		return nil, err
	}
	if len(gone) > 0 {
		for _, kind := range []string{"i", "u", "d"} {
			if !slices.ContainsFunc(there, func(t mysqlTrigger) bool { return strings.HasPrefix(t.name, fmt.Sprintf("hearth_%d_%s_", s.ID, kind)) }) {
				return lost("triggers on table %q are gone; %s", s.Table, mysqlMend), nil
			}
		}
		return []Fault{{Set: s, Text: fmt.Sprintf("table %q has no column %q any more, so each change of it is taken for one of everything;"+
			" change the resource's watch, and %s -prune", s.Table, gone[0], mysqlMend)}}, nil
	}
	want, err := m.triggers()
	if err != nil {
		return lost("%v", err), nil
	}
	on := map[mysqlRelation][]mysqlTrigger{m.table: there}
	for _, t := range want {
		there, looked := on[t.table]
		if !looked {
			if there, err = c.triggersOn(t.table); err != nil {
				return nil, err
			}
			on[t.table] = there
		}
		if !slices.ContainsFunc(there, func(o mysqlTrigger) bool { return o.is(t) || s.Version != Version && t.isLike(o) }) {
			return c.missing(m, t, there)
		}
	}
	return nil, nil
}

// isLike tells whether a trigger is one of the same kind, of another text.
func (t mysqlTrigger) isLike(o mysqlTrigger) bool {
	return t.table == o.table && t.when == o.when && t.name[:len(t.name)-8] == o.name[:min(len(o.name), len(t.name)-8)]
}

// missing says why a trigger does not stand.
func (c *mysqlCatalog) missing(m *mysqlSet, t mysqlTrigger, there []mysqlTrigger) ([]Fault, error) {
	text := fmt.Sprintf("table %q lacks a trigger (%s) that tells changes of %q; %s", t.table.text(), t.when, m.Table, mysqlMend)
	switch {
	case slices.ContainsFunc(there, t.isLike):
		text = fmt.Sprintf("table %q has been altered, and a trigger on %q (%s) would tell its rows in another way now; %s", m.Table, t.table.text(), t.when, mysqlMend)
	case len(there) == 0:
		text += fmt.Sprintf(". Or the account cannot see it: GRANT TRIGGER ON %s TO it", t.table.quoted())
	}
	return []Fault{{Set: m.Set, Lost: true, Text: text}}, nil
}

// heal implements catalogued.
func (mysql) heal(ctx context.Context, o *Outbox, faults []Fault) ([]string, error) {
	return nil, nil
}
