package sqlite

import (
	"context"
	"regexp"
	"strings"

	"hearth/internal/source/engine"
	"hearth/internal/source/sqltext"
	"hearth/internal/source/stdsql"
)

// What SQLite says of a constraint, with the number that the driver adds.
var (
	namedColumns = regexp.MustCompile(`(?:NOT NULL|UNIQUE) constraint failed: (.+?) \(\d+\)$`)
	strictColumn = regexp.MustCompile(`cannot store \w+ value in \w+ column (.+?) \(\d+\)$`)
	checkName    = regexp.MustCompile(`(?s)CHECK constraint failed: (.+) \(\d+\)$`)
	foreignKey   = regexp.MustCompile(`FOREIGN KEY constraint failed`)
)

// offending reads the message: SQLite tells columns in no other way. SQLite's
// texts are in English alone, so the expressions above always apply. A foreign
// key that fails is told without its name; then the columns of all foreign keys
// are named.
func offending(ctx context.Context, db stdsql.Asker, s *sqltext.Statement, err error) (c engine.Offending) {
	c.Order = map[sqltext.Table][]string{}
	for _, table := range s.Tables {
		c.Order[table] = stdsql.Texts(ctx, db, "SELECT name FROM pragma_table_xinfo(?) WHERE hidden = 0", table.Name)
	}
	text := err.Error()
	for _, form := range []*regexp.Regexp{namedColumns, strictColumn} {
		if m := form.FindStringSubmatch(text); m != nil {
			for _, name := range strings.Split(m[1], ", ") {
				// SQLite writes table.column; a member goes by the column.
				c.Columns = append(c.Columns, name[strings.LastIndexByte(name, '.')+1:])
			}
			return c
		}
	}
	if m := checkName.FindStringSubmatch(text); m != nil {
		c.Columns = engine.ColumnsIn(s, checkText(ctx, db, s, m[1]), c.Order)
	}
	if foreignKey.MatchString(text) {
		for _, table := range s.Tables {
			c.Columns = append(c.Columns, stdsql.Texts(ctx, db, `SELECT "from" FROM pragma_foreign_key_list(?)`, table.Name)...)
		}
	}
	return c
}

// checkText returns the expression of a check. SQLite tells the name of one that
// has a name, which stands before it in the table's declaration. A check without
// a name is told by its expression, so what was told is returned then.
func checkText(ctx context.Context, db stdsql.Asker, s *sqltext.Statement, told string) string {
	for _, table := range s.Tables {
		for _, declaration := range stdsql.Texts(ctx, db, "SELECT sql FROM sqlite_master WHERE type = 'table' AND lower(name) = lower(?)", table.Name) {
			if expression, ok := sqltext.Check(sqltext.SQLite, declaration, told); ok {
				return expression
			}
		}
	}
	return told
}
