package database

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"hearth/internal/source"
	"hearth/internal/source/engine"
	"hearth/internal/source/sqltext"
)

// reasonsOf are the reasons of faults as they are told of a member.
var reasonsOf = map[string]string{
	engine.ReasonType:      "has a wrong type or is out of range",
	engine.ReasonRange:     "is out of range",
	engine.ReasonLong:      "is too long",
	engine.ReasonNull:      "is needed, and may not be null",
	engine.ReasonTaken:     "has to be unique, and is taken already",
	engine.ReasonCheck:     "is not allowed",
	engine.ReasonReference: "refers to a record that does not exist",
}

// refuse turns a refusal of the database into a fault of the member that was
// bound to what it is about. The names that it hands on are the body's own, not
// the database's. It asks the database on a connection of its own, so the
// transaction has to be over. If nothing is found out, the client still hears the
// reason.
func (t *table) refuse(ctx context.Context, refused refusedError) error {
	if t.upsert == nil {
		return &source.BodyError{Reason: refused.reason}
	}
	found := t.db.engine.Offending(ctx, t.upsert, refused.query, refused.err)
	var members []string
	// Path parameters are left out here: their values come from the URL, and no
	// member of the body would mend them.
	add := func(slot int) {
		if sl := t.upsert.Slots[slot]; sl.Param < 0 && len(t.upsert.Fields[sl.Field].Path) > 0 {
			if name := t.upsert.Fields[sl.Field].String(); !slices.Contains(members, name) {
				members = append(members, name)
			}
		}
	}
	// Arguments are the surest trace: the database has refused to read exactly
	// these values. Columns come next, by the destinations that the text of the
	// upsert shows.
	for _, i := range found.Args {
		add(refused.query.From[i])
	}
	for i, at := range t.upsert.Destinations {
		if slices.ContainsFunc(found.Columns, func(name string) bool { return strings.EqualFold(name, at.Name(found.Order)) }) {
			add(i)
		}
	}
	for i, f := range t.upsert.Fields { // bound in a way that no target was seen in
		if named := func(column string) bool { return len(f.Path) == 1 && strings.EqualFold(column, f.Path[0]) }; len(members) == 0 && slices.ContainsFunc(found.Columns, named) {
			add(slices.IndexFunc(t.upsert.Slots, func(sl sqltext.Slot) bool { return sl.Param < 0 && sl.Field == i }))
		}
	}
	switch len(members) {
	// Of no member, or of the path's own parameters, which the client cannot change.
	case 0:
		return &source.BodyError{Reason: refused.reason}
	case 1:
		return &source.BodyError{Member: members[0], Reason: reasonsOf[refused.reason]}
	}
	for i, name := range members {
		members[i] = fmt.Sprintf("%q", name)
	}
	return &source.BodyError{Reason: refused.reason + ": the members " + strings.Join(members, ", ")}
}
