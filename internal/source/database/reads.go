package database

import (
	"context"

	"hearth/internal/source"
	"hearth/internal/source/engine"
	"hearth/internal/source/sqltext"
)

// Reads names the tables that the select and the select_many of records read, by the key
// of each statement, as engine.Engine.Relations does. Records that are not in a database
// read none. Its errors are *source.SpecError where the database refuses to tell it of one
// statement. It goes around the set-up, as Rehearse does.
func (db *DB) Reads(ctx context.Context, records source.Records) (map[string][]string, error) {
	ctx, cancel := source.WithTimeout(ctx, db.cfg.Timeout)
	defer cancel()
	t, ok := tableOf(records)
	if !ok {
		return nil, nil
	}
	if err := db.open(); err != nil {
		return nil, err
	}
	all := map[string][]string{}
	for key, s := range map[string]*sqltext.Statement{source.KeySelect: t.selects, source.KeySelectMany: t.selectMany} {
		if s == nil {
			continue
		}
		q, args := engine.Query{}, t.exampleArgs()
		if key == source.KeySelect {
			q = engine.QueryOf(s, args, nil)
		} else {
			q = engine.ManyQuery(s, args[:1])
		}
		names, err := db.engine.Relations(ctx, q)
		switch class := db.engine.Fault(err).Class; {
		case err != nil && (class == engine.FaultLost || class == engine.FaultBusy || class == engine.FaultSlow || ctx.Err() != nil):
			return nil, db.mark(ctx, err) // which says nothing of the statement
		case err != nil:
			return nil, &source.SpecError{Resource: t.name, Key: key, Text: err.Error()}
		}
		all[key] = names
	}
	return all, nil
}

// tableOf is the table behind records.
func tableOf(records source.Records) (*table, bool) {
	switch r := records.(type) {
	case *table:
		return r, true
	case manyTable:
		return r.table, true
	}
	return nil, false
}

// exampleArgs are values of the path parameters with which nothing is run.
func (t *table) exampleArgs() source.Args {
	args := make(source.Args, len(t.params))
	for i, p := range t.params {
		args[i] = examples[p.Type]
	}
	return args
}
