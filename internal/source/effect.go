package source

import (
	"context"
	"strings"
)

// reasonNoEffect is a ConditionError's: the condition is the statement's own.
const reasonNoEffect = "the record was not changed: it is not in the state that this change asks for; read it again"

// effective refuses a write whose statement has changed no row, such as one that
// asks for a version (UPDATE … WHERE id = {id} AND version = {body.version}), or
// leaves alone what is there (ON CONFLICT DO NOTHING). To answer it with the
// record that stands would tell its client that it was stored.
func effective(w write) write {
	return func(ctx context.Context, tx transaction) ([]byte, error) {
		counted := &counted{transaction: tx}
		record, err := w(ctx, counted)
		switch {
		case err != nil || !counted.nothing:
			return record, err
		case record == nil:
			return nil, ErrNoRecord
		}
		return nil, &ConditionError{reasonNoEffect}
	}
}

// counted is a transaction that looks at what its statement has changed.
type counted struct {
	transaction
	nothing bool // a statement that tells how many rows it changes has changed none
}

func (c *counted) exec(ctx context.Context, q query) (int64, error) {
	n, err := c.transaction.exec(ctx, q)
	c.nothing = err == nil && n == 0 && !q.uncounted && tellsRows(q.sql)
	return n, err
}

// tellsRows tells whether the number of rows that the database reports for a
// statement is that of the rows it has changed. That of a CALL is not, nor that of a
// SELECT of a function, and WITH may hide further changes.
func tellsRows(sql string) bool {
	word := strings.ToUpper(firstWord(sql))
	return word == "INSERT" || word == "UPDATE" || word == "REPLACE" || word == "MERGE"
}

// firstWord is the word that a statement begins with, behind comments.
func firstWord(sql string) string {
	for {
		sql = strings.TrimLeft(sql, " \t\r\n\f(")
		end := ""
		switch {
		case strings.HasPrefix(sql, "--"), strings.HasPrefix(sql, "#"):
			end = "\n"
		case strings.HasPrefix(sql, "/*"):
			end = "*/"
		default:
			if i := strings.IndexFunc(sql, func(r rune) bool { return (r|0x20 < 'a' || r|0x20 > 'z') }); i >= 0 {
				sql = sql[:i]
			}
			return sql
		}
		_, rest, found := strings.Cut(sql, end)
		if !found {
			return ""
		}
		sql = rest
	}
}
