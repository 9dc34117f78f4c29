package source

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"hearth/internal/source/sqltext"
)

// culprits are what an upsert was refused for: columns of its tables, or
// arguments of its query.
type culprits struct {
	columns []string
	args    []int
	order   map[sqltext.Table][]string // columns of tables, for values without names
}

// reasonsOf are the reasons of faults as they are told of a member.
var reasonsOf = map[string]string{
	reasonType:      "has a wrong type or is out of range",
	reasonRange:     "is out of range",
	reasonLong:      "is too long",
	reasonNull:      "is needed, and may not be null",
	reasonTaken:     "has to be unique, and is taken already",
	reasonCheck:     "is not allowed",
	reasonReference: "refers to a record that does not exist",
}

// refuse turns a refusal of the database into a fault of the member that was
// bound to what it is about. The names that it hands on are the body's own, not
// the database's.
func (t *table) refuse(ctx context.Context, refused refusedError) error {
	if t.upsert == nil {
		return &BodyError{Reason: refused.reason}
	}
	found := t.db.engine.culprits(ctx, t.upsert, refused.query, refused.err)
	var members []string
	add := func(slot int) {
		if sl := t.upsert.Slots[slot]; sl.Param < 0 && len(t.upsert.Fields[sl.Field].Path) > 0 {
			if name := t.upsert.Fields[sl.Field].String(); !slices.Contains(members, name) {
				members = append(members, name)
			}
		}
	}
	for _, i := range found.args {
		add(refused.query.from[i])
	}
	for i, at := range t.upsert.Destinations {
		if slices.ContainsFunc(found.columns, func(name string) bool { return strings.EqualFold(name, at.Name(found.order)) }) {
			add(i)
		}
	}
	for i, f := range t.upsert.Fields { // bound in a way that no target was seen in
		if named := func(column string) bool { return len(f.Path) == 1 && strings.EqualFold(column, f.Path[0]) }; len(members) == 0 && slices.ContainsFunc(found.columns, named) {
			add(slices.IndexFunc(t.upsert.Slots, func(sl sqltext.Slot) bool { return sl.Param < 0 && sl.Field == i }))
		}
	}
	switch len(members) {
	case 0:
		return &BodyError{Reason: refused.reason}
	case 1:
		return &BodyError{Member: members[0], Reason: reasonsOf[refused.reason]}
	}
	for i, name := range members {
		members[i] = fmt.Sprintf("%q", name)
	}
	return &BodyError{Reason: refused.reason + ": the members " + strings.Join(members, ", ")}
}

// columnsIn returns the columns of an upsert's destinations that an expression
// names.
func columnsIn(s *sqltext.Statement, expression string, order map[sqltext.Table][]string) (columns []string) {
	for _, word := range sqltext.Names(s.Dialect, expression) {
		for _, at := range s.Destinations {
			if name := at.Name(order); name != "" && strings.EqualFold(name, word) && !slices.Contains(columns, name) {
				columns = append(columns, name)
			}
		}
	}
	return columns
}

// texts reads the first column of a query. What it cannot read it leaves out:
// it serves to tell a fault better, which is told in any case.
func texts(ctx context.Context, db sqlAsker, query string, args ...any) (all []string) {
	rows, err := db.QueryContext(ctx, query, args...)
	if err != nil {
		return nil
	}
	defer rows.Close()
	for rows.Next() {
		var text string
		if rows.Scan(&text) == nil {
			all = append(all, text)
		}
	}
	if rows.Err() != nil {
		return nil
	}
	return all
}
