package outbox

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"hearth/internal/source/engine"
)

// Faults implements dialect: it compares the triggers that stand with those that would be
// installed, by the tables as they are now.
func (d *sqlite) Faults(ctx context.Context, e engine.Engine, sets []Set) (all []Fault, err error) {
	for _, s := range sets {
		f, err := d.faultOf(ctx, e, s)
		if err != nil {
			return nil, err
		}
		if f.Text != "" {
			f.Set = s
			all = append(all, f)
		}
	}
	return all, nil
}

// faultOf looks at one set.
func (d *sqlite) faultOf(ctx context.Context, e engine.Engine, s Set) (f Fault, err error) {
	t, err := d.tableOf(ctx, e, s.Table)
	if err != nil {
		return f, err
	}
	if t.kind != "table" {
		return Fault{Lost: true, Text: fmt.Sprintf("there is no table %q any more; correct resource.watch, and %s -prune", s.Table, mend)}, nil
	}
	there, err := triggersOf(ctx, e, s.ID)
	if err != nil {
		return f, err
	}
	there = slices.DeleteFunc(there, func(o sqliteTrigger) bool { return o.table != t.name })
	for _, kind := range []string{"i", "u", "d"} {
		if !slices.ContainsFunc(there, func(o sqliteTrigger) bool { return o.name == triggerPrefix(s.ID)+kind }) {
			return Fault{Lost: true, Text: fmt.Sprintf("a trigger on table %q is gone, as after a migration that builds it anew; %s", s.Table, mend)}, nil
		}
	}
	for _, c := range slices.Concat(s.Captured, s.Filter) {
		if !slices.Contains(t.columns, c) {
			// RENAME COLUMN has changed the triggers: they tell the values under the old name.
			return Fault{Text: fmt.Sprintf("table %q has no column %q any more: it was renamed, and is told under its old name; correct resource.watch, and %s -prune", s.Table, c, mend)}, nil
		}
	}
	want, _, err := d.triggersFor(ctx, e, s)
	if err != nil || s.Version != Version {
		return f, err
	}
	for _, w := range want {
		if !slices.ContainsFunc(there, func(o sqliteTrigger) bool { return o.name == w.name && same(o.text, w.text) }) {
			return Fault{Lost: true, Text: fmt.Sprintf("the trigger %s on table %q is not as it would be installed, by the table as it is now; %s", w.name, s.Table, mend)}, nil
		}
	}
	return f, nil
}

// same compares texts of triggers. RENAME TO writes the table's name anew.
func same(a, b string) bool {
	bare := strings.NewReplacer(`"`, "", " ", "", "\n", "", "\t", "")
	return bare.Replace(a) == bare.Replace(b)
}

// heal implements catalogued: triggers that have gone with their table, or do not fit it
// any more, are set up anew, and the outbox is told that everything may have changed. It
// all happens in one transaction, so nothing is missed.
func (d *sqlite) heal(ctx context.Context, o *Outbox, faults []Fault, _ bool) (done []string, err error) {
	installed, err := o.Sets(ctx)
	if err != nil {
		return nil, err
	}
	for _, s := range installed {
		if s.Version != Version || !slices.ContainsFunc(faults, func(f Fault) bool { return f.Set.ID == s.ID }) {
			continue
		}
		f, err := d.faultOf(ctx, o.engine, s)
		if err != nil || !f.Lost {
			continue
		}
		statements, _, err := d.Triggers(ctx, o.engine, s, Options{})
		if err != nil {
			continue // its table is gone, or a column: an operator has to say what is meant
		}
		if err := o.engine.Run(ctx, statements); err != nil {
			return done, fmt.Errorf("setting up the triggers on table %q anew: %w", s.Table, err)
		}
		done = append(done, fmt.Sprintf("table %q was built anew or altered, and its triggers were set up again: everything that it concerns is removed", s.Table))
	}
	return done, nil
}
