package outbox

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"hash/fnv"
	"reflect"
	"slices"
	"strings"

	"hearth/internal/source/engine"
	"hearth/internal/source/sqltext"
)

// What puts most faults right.
const (
	mend       = "run: hearth feed install -apply"
	mendRights = "run as the account that has installed it: hearth feed install -apply, or grant what is missing"
)

// Version is that of the triggers which this program installs.
const Version = 1

// IDOf is the id of the set of a table and a filter. It follows from both, so that a
// script which was printed here can be run there.
func IDOf(table string, filter []string) int32 {
	sorted := slices.Sorted(slices.Values(filter))
	h := fnv.New32a()
	fmt.Fprint(h, table, "\x00", strings.Join(sorted, "\x00"))
	return max(int32(h.Sum32()>>1), 1)
}

// Sets are the sets that are installed, as the database has them. An error that is a
// FaultRefused may mean that nothing is installed.
func (o *Outbox) Sets(ctx context.Context) (all []Set, err error) {
	res, err := o.engine.Query(ctx, engine.Query{SQL: o.dialect.Texts().Sets})
	if err != nil {
		return nil, fmt.Errorf("reading what the outbox watches: %w", err)
	}
	for _, cells := range res.Rows {
		s, err := setOf(cells)
		if err != nil {
			return nil, fmt.Errorf("reading what the outbox watches: %w; run: hearth feed install -apply", err)
		}
		all = append(all, s)
	}
	return all, nil
}

// setOf reads one row of Texts.Sets.
func setOf(cells [][]byte) (s Set, err error) {
	id, err := intOf(cells[0])
	if err != nil {
		return s, err
	}
	s.ID, s.Table = int32(id), textOf(cells[1])
	for i, to := range []any{&s.Captured, &s.Filter, &s.Meanings} {
		if text := textOf(cells[2+i]); text != "" {
			if err := json.Unmarshal([]byte(text), to); err != nil {
				return s, fmt.Errorf("set %d of table %q: %w", s.ID, s.Table, err)
			}
		}
	}
	version, err := intOf(cells[5])
	s.Version = int(version)
	return s, err
}

// Plan is the script that installs want beside what is there. It is idempotent: what is
// installed already is put in its own place. Meanings of other configurations stay, for
// instances that have them may be running, unless they are to be pruned.
func (o *Outbox) Plan(ctx context.Context, want []Set, opt Options) (*Script, error) {
	there, err := o.Sets(ctx)
	if err != nil && o.engine.Fault(err).Class < engine.FaultRefused {
		return nil, err
	}
	all, gone, err := o.merge(ctx, there, want, opt.Prune)
	if err != nil {
		return nil, err
	}
	t := o.dialect.Texts()
	script := &Script{Statements: o.dialect.Tables()}
	if g, ok := o.dialect.(granter); ok {
		grants, err := g.Grants(ctx, o.engine)
		if err != nil {
			return nil, fmt.Errorf("asking who drains the outbox: %w", err)
		}
		script.Statements = append(script.Statements, grants...)
	}
	for _, s := range all {
		statements, notes, err := o.dialect.Triggers(ctx, o.engine, s, opt)
		if err != nil {
			return nil, fmt.Errorf("watching table %q: %w", s.Table, err)
		}
		// The meaning first: a row that says what nobody understands flushes everything.
		script.Statements = append(append(script.Statements, t.Save(s, opt)), statements...)
		for _, note := range notes { // the same for several tables, some of them
			if !slices.Contains(script.Notes, note) {
				script.Notes = append(script.Notes, note)
			}
		}
	}
	for _, s := range gone {
		drops, err := o.without(ctx, s)
		if err != nil {
			return nil, err
		}
		script.Statements = append(append(script.Statements, drops...), t.Forget(s.ID))
	}
	grants, err := o.grantsTo(ctx, opt.Roles)
	if err != nil {
		return nil, err
	}
	script.Statements = append(script.Statements, grants...)
	return script, nil
}

// unwatchable says why a table cannot be watched, and what to do instead.
type unwatchable string

func (u unwatchable) Error() string { return string(u) }

// notWatched is an unwatchable. Other errors of Canonical are about the database itself.
func notWatched(format string, args ...any) error { return unwatchable(fmt.Sprintf(format, args...)) }

// granter is a dialect in which the account that drains may be another one than that which
// runs the script: the first is the one that has asked for it.
type granter interface {
	Grants(ctx context.Context, e engine.Engine) ([]string, error)
}

// columnLister is a dialect that names the columns of a table; none if there is no such
// table, or none that can be watched.
type columnLister interface {
	Columns(ctx context.Context, e engine.Engine, table string) ([]string, error)
}

// without drops the triggers of a set.
func (o *Outbox) without(ctx context.Context, s Set) ([]string, error) {
	if c, ok := o.dialect.(catalogued); ok {
		return c.drops(ctx, o.engine, s.ID)
	}
	return o.dialect.Without(s), nil
}

// merge returns the sets that there are to be, and those that are to go.
func (o *Outbox) merge(ctx context.Context, there, want []Set, prune bool) (all, gone []Set, err error) {
	for _, s := range want {
		if s.Table, err = o.dialect.Canonical(ctx, o.engine, s.Table); err != nil {
			return nil, nil, err
		}
		if err = o.has(ctx, s); err != nil {
			return nil, nil, err
		}
		s.ID, s.Version = IDOf(s.Table, s.Filter), Version
		all = mergeSet(all, s)
	}
	for _, s := range there {
		switch {
		case !prune:
			still, stands, err := o.standing(ctx, s)
			if err != nil {
				return nil, nil, err
			}
			still.Version = Version
			wanted := slices.ContainsFunc(all, func(o Set) bool { return o.ID == s.ID })
			if stands || wanted {
				all = mergeSet(all, still)
			} else {
				gone = append(gone, s)
			}
		case !slices.ContainsFunc(all, func(o Set) bool { return o.ID == s.ID }):
			gone = append(gone, s)
		}
	}
	return all, gone, nil
}

// has tells which column a set names that its table does not have.
func (o *Outbox) has(ctx context.Context, s Set) error {
	l, ok := o.dialect.(columnLister)
	if !ok {
		return nil
	}
	columns, err := l.Columns(ctx, o.engine, s.Table)
	if err != nil {
		return fmt.Errorf("reading the columns of table %q: %w", s.Table, err)
	}
	for _, c := range slices.Concat(s.Captured, s.Filter) {
		if !slices.ContainsFunc(columns, func(there string) bool { return o.sameColumn(there, c) }) {
			return fmt.Errorf("table %q has no column %q; correct resource.watch", s.Table, c)
		}
	}
	return nil
}

// standing leaves out of an installed set what its table has no more: captured columns,
// and the meanings that rest on them. The instances that mean them cannot read that table
// either. A set whose table is gone, or that means nothing any more, does not stand.
func (o *Outbox) standing(ctx context.Context, s Set) (still Set, stands bool, err error) {
	l, ok := o.dialect.(columnLister)
	if !ok {
		return s, true, nil
	}
	columns, err := l.Columns(ctx, o.engine, s.Table)
	if err != nil {
		return s, false, fmt.Errorf("reading the columns of table %q: %w", s.Table, err)
	}
	if len(columns) == 0 {
		return s, false, nil
	}
	gone := slices.DeleteFunc(slices.Clone(s.Captured), func(c string) bool {
		return slices.ContainsFunc(columns, func(there string) bool { return o.sameColumn(there, c) })
	})
	if len(gone) == 0 {
		return s, true, nil
	}
	s.leftOut = &Set{Captured: s.Captured, Meanings: s.Meanings}
	s.Captured = slices.DeleteFunc(slices.Clone(s.Captured), func(c string) bool { return slices.Contains(gone, c) })
	s.Meanings = slices.DeleteFunc(slices.Clone(s.Meanings), func(m Meaning) bool { return m.restsOn(gone) })
	return s, len(s.Meanings) > 0, nil
}

// sameColumn tells whether two names are of one column.
func (o *Outbox) sameColumn(a, b string) bool {
	return a == b || o.Dialect() != sqltext.PostgreSQL && strings.EqualFold(a, b)
}

// restsOn tells whether a meaning needs the value of one of these columns.
func (m Meaning) restsOn(columns []string) bool {
	return slices.ContainsFunc(columns, func(c string) bool {
		return strings.Contains(m.Keys, "{row."+c+"}") || slices.ContainsFunc(m.Params, func(p Param) bool { return p.Column == c })
	})
}

// mergeSet adds s to all: to the set with its id, if there is one.
func mergeSet(all []Set, s Set) []Set {
	i := slices.IndexFunc(all, func(o Set) bool { return o.ID == s.ID })
	if i < 0 {
		s.Captured, s.Meanings = slices.Clone(s.Captured), slices.Clone(s.Meanings)
		return append(all, s)
	}
	all[i].leftOut = s.leftOut
	for _, column := range s.Captured {
		if !slices.Contains(all[i].Captured, column) {
			all[i].Captured = append(all[i].Captured, column)
		}
	}
	for _, m := range s.Meanings {
		if !slices.ContainsFunc(all[i].Meanings, func(o Meaning) bool { return reflect.DeepEqual(o, m) }) {
			all[i].Meanings = append(all[i].Meanings, m)
		}
	}
	return all
}

// Removal is the script that leaves nothing behind.
func (o *Outbox) Removal(ctx context.Context) (*Script, error) {
	sets, err := o.Sets(ctx)
	if err != nil && o.engine.Fault(err).Class < engine.FaultRefused {
		return nil, err
	}
	var statements []string
	if c, ok := o.dialect.(catalogued); ok {
		if statements, err = c.drops(ctx, o.engine, 0); err != nil {
			return nil, err
		}
	}
	return &Script{Statements: append(statements, o.dialect.Remove(sets)...)}, nil
}

// Apply runs a script, in one transaction where the database takes such statements in
// one.
func (o *Outbox) Apply(ctx context.Context, s *Script) error {
	if err := o.patiently(ctx, func() error { return o.engine.Run(ctx, s.Statements) }); err != nil {
		return err
	}
	c, ok := o.dialect.(catalogued)
	if !ok {
		return nil
	}
	sets, err := o.Sets(ctx)
	if err != nil && o.Missing(err) { // it was a removal
		return nil
	}
	if err != nil {
		return err
	}
	var all []Fault
	for _, s := range sets {
		all = append(all, Fault{Set: s})
	}
	_, err = c.heal(ctx, o, all, true)
	return err
}

// Faults tells what keeps the triggers of want from telling changes. A set that is not
// installed is a fault, and so is one that lacks a meaning.
func (o *Outbox) Faults(ctx context.Context, want []Set) ([]Fault, error) {
	there, err := o.Sets(ctx)
	switch {
	case err == nil:
	case o.Denied(err):
		return ofAll(want, []Fault{{Lost: true, Text: fmt.Sprintf("the account that drains the outbox may not read it: %v; %s", err, mendRights)}}), nil
	case o.engine.Fault(err).Class >= engine.FaultRefused:
		there = nil
	default:
		return nil, err
	}
	var faults []Fault
	var installed []Set
	for _, s := range want {
		table, err := o.dialect.Canonical(ctx, o.engine, s.Table)
		if err != nil {
			if verdict := unwatchable(""); !errors.As(err, &verdict) {
				return nil, err
			}
			faults = append(faults, Fault{Set: s, Lost: true, Text: err.Error()})
			continue
		}
		s.Table, s.ID = table, IDOf(table, s.Filter)
		i := slices.IndexFunc(there, func(o Set) bool { return o.ID == s.ID })
		switch {
		case i < 0:
			faults = append(faults, Fault{Set: s, Lost: true, Text: fmt.Sprintf("no triggers of the feed are installed on table %q; %s", s.Table, mend)})
			continue
		case !there[i].covers(s):
			faults = append(faults, Fault{Set: s, Lost: true, Text: fmt.Sprintf("the triggers on table %q were installed for another configuration; %s", s.Table, mend)})
		case there[i].Version != Version:
			faults = append(faults, Fault{Set: s, Text: fmt.Sprintf("the triggers on table %q are of version %d, and this program installs version %d; %s", s.Table, there[i].Version, Version, mend)})
		}
		if !slices.ContainsFunc(installed, func(o Set) bool { return o.ID == s.ID }) {
			installed = append(installed, there[i])
		}
	}
	more, err := o.dialect.Faults(ctx, o.engine, installed)
	return append(faults, ofAll(want, more)...), err
}

// ofAll has a fault of no set be one of each.
func ofAll(want []Set, faults []Fault) (all []Fault) {
	for _, f := range faults {
		if f.Set.Table != "" {
			all = append(all, f)
			continue
		}
		for _, f.Set = range want {
			all = append(all, f)
		}
	}
	return all
}

// Heal ends what Faults has found where it makes the application's writes fail, or where
// it has lost changes that can still be told: so that writes fail for a second and not for
// good. It returns what it has done, each a sentence. Only one instance should call it.
func (o *Outbox) Heal(ctx context.Context, faults []Fault) ([]string, error) {
	if c, ok := o.dialect.(catalogued); ok {
		return c.heal(ctx, o, faults, false)
	}
	return nil, nil
}

// covers tells whether all that other captures and means is in s.
func (s Set) covers(other Set) bool {
	for _, column := range other.Captured {
		if !slices.Contains(s.Captured, column) {
			return false
		}
	}
	for _, m := range other.Meanings {
		if !slices.ContainsFunc(s.Meanings, func(o Meaning) bool { return reflect.DeepEqual(o, m) }) {
			return false
		}
	}
	return true
}

// Heals tells whether Heal may have something to do: a trigger may fail for a reason that
// comes later.
func (o *Outbox) Heals() bool {
	_, ok := o.dialect.(catalogued)
	return ok
}
