package source

import (
	"context"
	"fmt"
	"slices"
	"strings"
)

// culprits are what an upsert was refused for: columns of its tables, or
// arguments of its query.
type culprits struct {
	columns []string
	args    []int
	order   map[tableName][]string // columns of tables, for values without names
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
		if sl := t.upsert.slots[slot]; sl.param < 0 && len(t.upsert.fields[sl.field].path) > 0 {
			if name := t.upsert.fields[sl.field].String(); !slices.Contains(members, name) {
				members = append(members, name)
			}
		}
	}
	for _, i := range found.args {
		add(refused.query.from[i])
	}
	for i, at := range t.upsert.targets {
		if slices.ContainsFunc(found.columns, func(name string) bool { return strings.EqualFold(name, at.columnName(found.order)) }) {
			add(i)
		}
	}
	for i, f := range t.upsert.fields { // bound in a way that no target was seen in
		if named := func(column string) bool { return len(f.path) == 1 && strings.EqualFold(column, f.path[0]) }; len(members) == 0 && slices.ContainsFunc(found.columns, named) {
			add(slices.IndexFunc(t.upsert.slots, func(sl slot) bool { return sl.param < 0 && sl.field == i }))
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

// columnName is the column of a target, which may be known by its place alone.
func (t target) columnName(order map[tableName][]string) string {
	if columns := order[t.table]; t.column == "" && t.ordinal < len(columns) {
		return columns[t.ordinal]
	}
	return t.column
}

// columnsIn returns the columns of an upsert's targets that an expression names.
func (s *statement) columnsIn(expression string, order map[tableName][]string) (columns []string) {
	pieces, err := split(s.dialect, expression)
	if err != nil {
		return nil
	}
	for _, t := range sqlTokens(s.dialect, pieces) {
		for _, at := range s.targets {
			if name := at.columnName(order); t.name() && name != "" && strings.EqualFold(name, t.text) && !slices.Contains(columns, name) {
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
