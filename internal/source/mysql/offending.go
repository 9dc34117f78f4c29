package mysql

import (
	"context"
	"errors"
	"regexp"
	"strings"

	"github.com/go-sql-driver/mysql"

	"hearth/internal/source/engine"
	"hearth/internal/source/sqltext"
	"hearth/internal/source/stdsql"
)

// What MySQL and MariaDB say of columns. The value that they may quote stands
// before, and what is read stands at the end: so no value passes for a name.
var (
	nullColumn = regexp.MustCompile("^(?:Column|Field) '([^']+)' (?:cannot be null|doesn't have a default value)$")
	dataColumn = regexp.MustCompile("(?s)for column (?:`[^`]*`\\.`[^`]*`\\.`([^`]+)`|'([^']+)') at row \\d+$")
	uniqueKey  = regexp.MustCompile(`(?s)for key '(?:[^']*\.)?([^'.]+)'$`)
	checkName  = regexp.MustCompile("^(?:Check constraint '([^']+)' is violated\\.?|CONSTRAINT `([^`]+)` failed for .*)$")
	foreignKey = regexp.MustCompile(`FOREIGN KEY \(([^)]*)\) REFERENCES`)
)

// offending reads the message: MySQL tells columns in no other way. A server that
// speaks another language than English tells nothing. All it reads are catalogs.
// The forms of the messages differ between MySQL and MariaDB, and both are in the
// expressions above.
func offending(ctx context.Context, db stdsql.Asker, s *sqltext.Statement, err error) (c engine.Offending) {
	var answer *mysql.MySQLError
	if !errors.As(err, &answer) {
		return c
	}
	const here = "table_schema = COALESCE(NULLIF(?, ''), DATABASE()) AND table_name = ?"
	// The order of columns is for an INSERT that names none.
	c.Order = map[sqltext.Table][]string{}
	for _, table := range s.Tables {
		c.Order[table] = stdsql.Texts(ctx, db, "SELECT column_name FROM information_schema.columns WHERE "+here+" ORDER BY ordinal_position", table.Schema, table.Name)
	}
	if answer.Number == 1416 { // cannot get geometry object from data: of no column in particular
		const shapes = here + " AND data_type IN ('geometry', 'point', 'linestring', 'polygon', 'multipoint', 'multilinestring', 'multipolygon', 'geometrycollection', 'geomcollection')"
		for _, table := range s.Tables {
			c.Columns = append(c.Columns, stdsql.Texts(ctx, db, "SELECT column_name FROM information_schema.columns WHERE "+shapes, table.Schema, table.Name)...)
		}
	} else if m := nullColumn.FindStringSubmatch(answer.Message); m != nil {
		c.Columns = []string{m[1]}
	} else if m := dataColumn.FindStringSubmatch(answer.Message); m != nil {
		// One of the two groups is empty: they are MariaDB's form and MySQL's.
		c.Columns = []string{m[1] + m[2]}
	} else if m := uniqueKey.FindStringSubmatch(answer.Message); m != nil && answer.Number == 1062 {
		for _, table := range s.Tables {
			const ofIndex = "SELECT column_name FROM information_schema.statistics WHERE " + here + " AND index_name = ?"
			c.Columns = append(c.Columns, stdsql.Texts(ctx, db, ofIndex, table.Schema, table.Name, m[1])...)
		}
	} else if m := checkName.FindStringSubmatch(answer.Message); m != nil {
		name := m[1] + m[2]
		name = name[strings.LastIndexByte(name, '.')+1:] // MariaDB: table.column
		const ofCheck = `SELECT check_clause FROM information_schema.check_constraints WHERE constraint_schema = DATABASE() AND constraint_name = ?`
		for _, clause := range stdsql.Texts(ctx, db, ofCheck, name) {
			c.Columns = append(c.Columns, engine.ColumnsIn(s, clause, c.Order)...)
		}
	} else if m := foreignKey.FindStringSubmatch(answer.Message); m != nil {
		// The message quotes the columns of the referring table, which is the one
		// that is written.
		for _, name := range strings.Split(m[1], ", ") {
			c.Columns = append(c.Columns, strings.Trim(name, "`"))
		}
	}
	return c
}
