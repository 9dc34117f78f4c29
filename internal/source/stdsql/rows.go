package stdsql

import (
	"context"
	"database/sql"
	"errors"
	"strings"

	"hearth/internal/source/engine"
)

// describe returns the names of a query's columns by running it within another
// one that asks for no row. The line ends keep a comment at the end of the query
// from hiding what follows.
func describe(ctx context.Context, on interface {
	QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error)
}, q engine.Query) ([]string, error) {
	rows, err := on.QueryContext(ctx, "SELECT * FROM (\n"+q.SQL+"\n) AS described LIMIT 0", q.Args...)
	if err != nil {
		return nil, err
	}
	names, err := rows.Columns()
	return names, errors.Join(err, rows.Close())
}

// collect reads rows to their end, or the first of them, and closes them. With
// q.One the first two rows are read: the second tells that the key is not unique,
// and more would tell nothing new.
func (e *Engine) collect(rows *sql.Rows, q engine.Query) (res *engine.Result, err error) {
	defer func() {
		if closing := rows.Close(); err == nil {
			err = closing
		}
	}()
	types, err := rows.ColumnTypes()
	if err != nil {
		return nil, err
	}
	res = &engine.Result{}
	values, targets := make([]any, len(types)), make([]any, len(types))
	for i, typ := range types {
		res.Names = append(res.Names, typ.Name())
		res.Types = append(res.Types, typ.DatabaseTypeName())
		if q.Documents[strings.ToLower(typ.Name())] {
			res.Types[i] = "JSON"
		}
		targets[i] = &values[i]
	}
	document := engine.DocumentColumn(res.Names, q.Keyed)
	for rows.Next() {
		if err := rows.Scan(targets...); err != nil {
			return nil, err
		}
		cells := make([][]byte, len(types))
		for i, typ := range types {
			write := e.Append
			if i == document || q.Documents[strings.ToLower(typ.Name())] {
				write = e.Document
			}
			if cells[i], err = write(nil, typ.DatabaseTypeName(), values[i]); err != nil {
				return nil, &engine.ValueError{Column: typ.Name(), Err: err}
			}
		}
		res.Rows = append(res.Rows, cells)
		if q.One && len(res.Rows) == 2 || q.Most > 0 && len(res.Rows) == q.Most {
			return res, nil
		}
	}
	return res, rows.Err()
}

// Asker asks a database, on one connection or on any.
type Asker interface {
	QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error)
	QueryRowContext(ctx context.Context, query string, args ...any) *sql.Row
}

// EachRow calls f for each row of a query, which Scan reads. An error of f ends
// the walk and is returned.
func EachRow(ctx context.Context, db Asker, f func(*sql.Rows) error, query string, args ...any) error {
	rows, err := db.QueryContext(ctx, query, args...)
	if err != nil {
		return err
	}
	for rows.Next() {
		if err := f(rows); err != nil {
			return errors.Join(err, rows.Close())
		}
	}
	return rows.Err()
}

// Texts reads the first column of a query. What it cannot read it leaves out:
// it serves to tell a fault better, which is told in any case.
func Texts(ctx context.Context, db Asker, query string, args ...any) (all []string) {
	err := EachRow(ctx, db, func(rows *sql.Rows) error {
		var text string
		if rows.Scan(&text) == nil {
			all = append(all, text)
		}
		return nil
	}, query, args...)
	if err != nil {
		return nil
	}
	return all
}
