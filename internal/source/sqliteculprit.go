package source

import (
	"context"
	"regexp"
	"strings"

	"hearth/internal/source/sqltext"
)

// What SQLite says of a constraint, with the number that the driver adds.
var (
	sqliteColumns = regexp.MustCompile(`(?:NOT NULL|UNIQUE) constraint failed: (.+?) \(\d+\)$`)
	sqliteStrict  = regexp.MustCompile(`cannot store \w+ value in \w+ column (.+?) \(\d+\)$`)
	sqliteCheck   = regexp.MustCompile(`(?s)CHECK constraint failed: (.+) \(\d+\)$`)
	sqliteForeign = regexp.MustCompile(`FOREIGN KEY constraint failed`)
)

// sqliteCulprits reads the message: SQLite tells columns in no other way.
func sqliteCulprits(ctx context.Context, db sqlAsker, s *sqltext.Statement, err error) (c culprits) {
	c.order = map[sqltext.Table][]string{}
	for _, table := range s.Tables {
		c.order[table] = texts(ctx, db, "SELECT name FROM pragma_table_xinfo(?) WHERE hidden = 0", table.Name)
	}
	text := err.Error()
	for _, form := range []*regexp.Regexp{sqliteColumns, sqliteStrict} {
		if m := form.FindStringSubmatch(text); m != nil {
			for _, name := range strings.Split(m[1], ", ") {
				c.columns = append(c.columns, name[strings.LastIndexByte(name, '.')+1:])
			}
			return c
		}
	}
	if m := sqliteCheck.FindStringSubmatch(text); m != nil {
		c.columns = columnsIn(s, sqliteCheckText(ctx, db, s, m[1]), c.order)
	}
	if sqliteForeign.MatchString(text) {
		for _, table := range s.Tables {
			c.columns = append(c.columns, texts(ctx, db, `SELECT "from" FROM pragma_foreign_key_list(?)`, table.Name)...)
		}
	}
	return c
}

// sqliteCheckText returns the expression of a check. SQLite tells the name of
// one that has a name, which stands before it in the table's declaration.
func sqliteCheckText(ctx context.Context, db sqlAsker, s *sqltext.Statement, told string) string {
	for _, table := range s.Tables {
		for _, declaration := range texts(ctx, db, "SELECT sql FROM sqlite_master WHERE type = 'table' AND lower(name) = lower(?)", table.Name) {
			if expression, ok := sqltext.Check(sqltext.SQLite, declaration, told); ok {
				return expression
			}
		}
	}
	return told
}
