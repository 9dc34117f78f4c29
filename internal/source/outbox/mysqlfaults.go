package outbox

import (
	"context"
	"errors"
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

// mysqlStand is what the table of sets has beside a Set.
type mysqlStand struct {
	flush int    // Options.FlushRows
	seen  string // see mysqlSet.seen; "" before the first look
}

func (c *mysqlCatalog) stands() (map[int32]mysqlStand, error) {
	rows, err := c.ask("SELECT `id`, `flush_rows`, `seen` FROM `hearth_watch`")
	if err != nil {
		return nil, err
	}
	all := map[int32]mysqlStand{}
	for _, row := range rows {
		var id int32
		stand := mysqlStand{seen: row[2]}
		if _, err := fmt.Sscan(row[0]+" "+row[1], &id, &stand.flush); err != nil {
			return nil, fmt.Errorf("reading what the outbox watches: %w; %s", err, mysqlMend)
		}
		all[id] = stand
	}
	return all, nil
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
	stands, err := c.stands()
	if err != nil {
		return nil, err
	}
	tells, err := c.tells()
	if err != nil {
		return nil, err
	}
	var here []*mysqlSet
	for _, s := range sets {
		m, gone, err := c.setIn(s, Options{FlushRows: stands[s.ID].flush})
		if err != nil {
			return nil, err
		}
		fault, err := c.faultOf(m, gone)
		if err != nil {
			return nil, err
		}
		if !tells {
			fault = Fault{Lost: true, Text: fmt.Sprintf("the procedure %s is gone, by which triggers write, as after a dump without routines; %s;"+
				" or this account does not see it: GRANT EXECUTE ON PROCEDURE %[1]s TO %[3]s", mysqlTell, mysqlMend, mysqlAccount(c.user))}
		}
		if fault.Text != "" {
			fault.Set = s
			all = append(all, fault)
		}
		if len(m.columns) > 0 {
			here = append(here, m)
		}
	}
	unseen, err := c.unseen(here, stands)
	return append(all, unseen...), err
}

// unseen are sets whose tables the leader of the feed has not seen as they are now.
func (c *mysqlCatalog) unseen(sets []*mysqlSet, stands map[int32]mysqlStand) (all []Fault, err error) {
	var tables []mysqlRelation
	for _, m := range sets {
		tables = append(tables, m.table.mysqlRelation)
	}
	ids, err := c.tableIDs(tables)
	if err != nil {
		return nil, err
	}
	for _, m := range sets {
		switch seen, trace := stands[m.ID].seen, m.seen(ids); {
		case seen == "":
			all = append(all, Fault{Set: m.Set, Text: fmt.Sprintf("no leader of the feed has looked at table %q since its triggers were installed", m.Table)})
		case m.isNew(trace, seen) && seen == m.table.made+unseenIDs:
			all = append(all, Fault{Set: m.Set, Text: fmt.Sprintf("the account that drains does not see when table %q is emptied, unless the leader of the feed"+
				" is about to look: grant it the right PROCESS, or run: hearth feed flush RESOURCE, when it was", m.Table)})
		case m.isNew(trace, seen):
			all = append(all, Fault{Set: m.Set, Again: trace+soon == seen, Text: fmt.Sprintf("table %q was emptied, altered or made anew:"+
				" the leader of the feed removes everything that it concerns", m.Table)})
		}
	}
	return all, nil
}

// faultOf looks at the triggers of one set; the text is "" if they stand.
func (c *mysqlCatalog) faultOf(m *mysqlSet, gone []string) (Fault, error) {
	lost := func(text string, args ...any) (Fault, error) {
		return Fault{Lost: true, Text: fmt.Sprintf(text, args...)}, nil
	}
	if len(m.columns) == 0 {
		return lost("there is no table %q any more; %s -prune", m.Table, mysqlMend)
	}
	there, err := c.triggersOf(m)
	if err != nil {
		return Fault{}, err
	}
	orphans, err := c.orphans(there)
	if err != nil {
		return Fault{}, err
	}
	if len(orphans) > 0 {
		return lost("writes to table %q fail: the account %q that the trigger %s runs as is gone; %s", orphans[0].table.text(), orphans[0].by, orphans[0].name, mysqlMend)
	}
	if len(gone) > 0 {
		for _, kind := range []string{"i", "u", "d"} {
			if !slices.ContainsFunc(there, func(t mysqlTrigger) bool { return strings.HasPrefix(t.name, fmt.Sprintf("hearth_%d_%s_", m.ID, kind)) }) {
				return lost("table %q has no column %q any more, and no triggers; change the resource's watch, and %s -prune", m.Table, gone[0], mysqlMend)
			}
		}
		return Fault{Text: fmt.Sprintf("table %q has no column %q any more: each change of it is taken for one of everything;"+
			" change the resource's watch, and %s -prune", m.Table, gone[0], mysqlMend)}, nil
	}
	want, err := m.triggers()
	var deep tooDeepError
	switch {
	case errors.As(err, &deep):
		return lost("%v", err)
	case err != nil:
		return Fault{}, err
	}
	for _, t := range want {
		if !slices.ContainsFunc(there, func(o mysqlTrigger) bool { return o.is(t) || m.Version != Version && t.isLike(o) }) {
			return lost("%s", t.missing(m, there))
		}
	}
	return Fault{}, nil
}

// triggersOf returns the triggers of a set that there are: on its table, and on all that
// foreign keys lead to.
func (c *mysqlCatalog) triggersOf(m *mysqlSet) (all []mysqlTrigger, err error) {
	tables := []mysqlRelation{m.table.mysqlRelation}
	for i := 0; i < len(tables); i++ {
		there, err := c.triggersOn(tables[i])
		if err != nil {
			return nil, err
		}
		all = append(all, slices.DeleteFunc(there, func(t mysqlTrigger) bool { return setOfTrigger(t.name) != m.ID })...)
		keys, err := c.references(tables[i])
		if err != nil {
			return nil, err
		}
		for _, key := range keys {
			if key.changes() && !slices.Contains(tables, key.parent) {
				tables = append(tables, key.parent)
			}
		}
	}
	return all, nil
}

// isLike tells whether a trigger is one of the same kind, of another text.
func (t mysqlTrigger) isLike(o mysqlTrigger) bool {
	return t.table == o.table && t.when == o.when && t.name[:len(t.name)-8] == o.name[:min(len(o.name), len(t.name)-8)]
}

// missing says why a trigger does not stand.
func (t mysqlTrigger) missing(m *mysqlSet, there []mysqlTrigger) string {
	switch {
	case slices.ContainsFunc(there, t.isLike):
		return fmt.Sprintf("table %q has been altered: the trigger on %q (%s) would tell its rows in another way now; %s", m.Table, t.table.text(), t.when, mysqlMend)
	case !slices.ContainsFunc(there, func(o mysqlTrigger) bool { return o.table == t.table }):
		return fmt.Sprintf("table %q has no trigger (%s) that tells changes of %q; %s; or this account does not see it: GRANT TRIGGER ON %s TO %s",
			t.table.text(), t.when, m.Table, mysqlMend, t.table.quoted(), mysqlAccount(m.catalog.user))
	}
	return fmt.Sprintf("table %q has no trigger (%s) that tells changes of %q; %s", t.table.text(), t.when, m.Table, mysqlMend)
}
