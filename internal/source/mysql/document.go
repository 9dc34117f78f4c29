package mysql

import (
	"context"
	"database/sql"
	"strings"

	"hearth/internal/source/sqltext"
	"hearth/internal/source/stdsql"
)

// documents finds the columns of MariaDB that are JSON, in lower case. JSON is
// another name for LONGTEXT there, and all that is left of it is a check of the
// column. MySQL itself has a type, and needs no look. A nil map means that the
// server is no MariaDB.
func documents(ctx context.Context, db stdsql.Asker, tables []sqltext.Table) (map[sqltext.Table]map[string]bool, error) {
	var version string
	if err := db.QueryRowContext(ctx, "SELECT VERSION()").Scan(&version); err != nil || !strings.Contains(version, "MariaDB") {
		return nil, err
	}
	all := map[sqltext.Table]map[string]bool{}
	for _, table := range tables {
		const checked = `SELECT LOWER(c.column_name) FROM information_schema.columns c
			JOIN information_schema.check_constraints k ON k.constraint_schema = c.table_schema AND k.table_name = c.table_name
			WHERE c.table_schema = COALESCE(NULLIF(?, ''), DATABASE()) AND c.table_name = ? AND c.data_type LIKE '%text'
			AND LOWER(k.check_clause) = LOWER(CONCAT('json_valid(` + "`', c.column_name, '`" + `)'))`
		columns := map[string]bool{}
		err := stdsql.EachRow(ctx, db, func(rows *sql.Rows) error {
			var name string
			err := rows.Scan(&name)
			columns[name] = true
			return err
		}, checked, table.Schema, table.Name)
		if err != nil {
			return nil, err
		}
		all[table] = columns
	}
	return all, nil
}

// shownDocuments returns the columns of a select that are MariaDB's JSON, as they
// are selected: by their own names, under others, or by an asterisk. It goes by
// the text of the select: MariaDB's protocol calls such a column a long text.
func shownDocuments(ctx context.Context, db stdsql.Asker, s *sqltext.Statement) (map[string]bool, error) {
	list := s.Select()
	var tables []sqltext.Table
	for _, from := range list.From {
		tables = append(tables, from.Table)
	}
	documents, err := documents(ctx, db, tables)
	if err != nil || documents == nil {
		return nil, err
	}
	shown := map[string]bool{}
	for _, from := range list.From {
		for _, item := range list.Items {
			if item.Table != "" && !strings.EqualFold(item.Table, from.Alias) {
				continue
			}
			if item.Column == "*" {
				for name := range documents[from.Table] {
					shown[name] = true
				}
			}
			if documents[from.Table][strings.ToLower(item.Column)] {
				shown[strings.ToLower(item.Name)] = true
			}
		}
	}
	return shown, nil
}
