package source

import (
	"context"
	"errors"
	"regexp"
	"strings"

	"github.com/go-sql-driver/mysql"

	"hearth/internal/source/sqltext"
)

// What MySQL and MariaDB say of columns. The value that they may quote stands
// before, and what is read stands at the end: so no value passes for a name.
var (
	mysqlNullColumn = regexp.MustCompile("^(?:Column|Field) '([^']+)' (?:cannot be null|doesn't have a default value)$")
	mysqlDataColumn = regexp.MustCompile("(?s)for column (?:`[^`]*`\\.`[^`]*`\\.`([^`]+)`|'([^']+)') at row \\d+$")
	mysqlKey        = regexp.MustCompile("(?s)for key '(?:[^']*\\.)?([^'.]+)'$")
	mysqlCheck      = regexp.MustCompile("^(?:Check constraint '([^']+)' is violated\\.?|CONSTRAINT `([^`]+)` failed for .*)$")
	mysqlForeign    = regexp.MustCompile("FOREIGN KEY \\(([^)]*)\\) REFERENCES")
)

// mysqlCulprits reads the message: MySQL tells columns in no other way. A server
// that speaks another language than English tells nothing.
func mysqlCulprits(ctx context.Context, db sqlAsker, s *sqltext.Statement, err error) (c culprits) {
	var answer *mysql.MySQLError
	if !errors.As(err, &answer) {
		return c
	}
	const here = "table_schema = COALESCE(NULLIF(?, ''), DATABASE()) AND table_name = ?"
	c.order = map[sqltext.Table][]string{}
	for _, table := range s.Tables {
		c.order[table] = texts(ctx, db, "SELECT column_name FROM information_schema.columns WHERE "+here+" ORDER BY ordinal_position", table.Schema, table.Name)
	}
	if answer.Number == 1416 { // cannot get geometry object from data: of no column in particular
		const shapes = here + " AND data_type IN ('geometry', 'point', 'linestring', 'polygon', 'multipoint', 'multilinestring', 'multipolygon', 'geometrycollection', 'geomcollection')"
		for _, table := range s.Tables {
			c.columns = append(c.columns, texts(ctx, db, "SELECT column_name FROM information_schema.columns WHERE "+shapes, table.Schema, table.Name)...)
		}
	} else if m := mysqlNullColumn.FindStringSubmatch(answer.Message); m != nil {
		c.columns = []string{m[1]}
	} else if m := mysqlDataColumn.FindStringSubmatch(answer.Message); m != nil {
		c.columns = []string{m[1] + m[2]}
	} else if m := mysqlKey.FindStringSubmatch(answer.Message); m != nil && answer.Number == 1062 {
		for _, table := range s.Tables {
			const ofIndex = "SELECT column_name FROM information_schema.statistics WHERE " + here + " AND index_name = ?"
			c.columns = append(c.columns, texts(ctx, db, ofIndex, table.Schema, table.Name, m[1])...)
		}
	} else if m := mysqlCheck.FindStringSubmatch(answer.Message); m != nil {
		name := m[1] + m[2]
		name = name[strings.LastIndexByte(name, '.')+1:] // MariaDB: table.column
		const ofCheck = `SELECT check_clause FROM information_schema.check_constraints WHERE constraint_schema = DATABASE() AND constraint_name = ?`
		for _, clause := range texts(ctx, db, ofCheck, name) {
			c.columns = append(c.columns, columnsIn(s, clause, c.order)...)
		}
	} else if m := mysqlForeign.FindStringSubmatch(answer.Message); m != nil {
		for _, name := range strings.Split(m[1], ", ") {
			c.columns = append(c.columns, strings.Trim(name, "`"))
		}
	}
	return c
}
