package sqlite

import (
	"context"
	"database/sql"
	"strings"

	"hearth/internal/source/engine"
	"hearth/internal/source/sqltext"
	"hearth/internal/source/stdsql"
)

// relations implements stdsql.Variant. The program that SQLite makes of a query names the
// root page of each table and index that it opens. That is exact: SQLite runs that very
// program.
func relations(ctx context.Context, conn *sql.Conn, q engine.Query) (names []string, err error) {
	roots, virtual := map[int64]bool{}, false
	err = stdsql.EachRow(ctx, conn, func(rows *sql.Rows) error {
		var root, database int64
		var opcode string
		var other any
		if err := rows.Scan(&other, &opcode, &other, &root, &database, &other, &other, &other); err != nil {
			return err
		}
		switch opcode {
		case "OpenRead", "ReopenIdx":
			if database == 0 && root > 1 { // the first one is that of the schema
				roots[root] = true
			}
		case "VOpen":
			virtual = true
		}
		return nil
	}, "EXPLAIN "+q.SQL, q.Args...)
	if err != nil {
		return nil, err
	}
	// An index belongs to its table. A virtual table has no page, and is known by its name
	// alone.
	var named map[string]bool
	if virtual {
		if named, err = namesIn(ctx, conn, q.SQL); err != nil {
			return nil, err
		}
	}
	err = stdsql.EachRow(ctx, conn, func(rows *sql.Rows) error {
		var name, text string
		var root int64
		if err := rows.Scan(&name, &root, &text); err != nil {
			return err
		}
		if roots[root] || named[strings.ToLower(name)] && strings.HasPrefix(strings.ToUpper(text), "CREATE VIRTUAL") {
			names = append(names, name)
		}
		return nil
	}, "SELECT tbl_name, coalesce(rootpage, 0), coalesce(sql, '') FROM sqlite_master WHERE type IN ('table', 'index')")
	return names, err
}

// namesIn are the names in a query and in the views that it names, in lower case.
func namesIn(ctx context.Context, conn *sql.Conn, text string) (map[string]bool, error) {
	views := map[string]string{}
	err := stdsql.EachRow(ctx, conn, func(rows *sql.Rows) error {
		var name, text string
		err := rows.Scan(&name, &text)
		views[strings.ToLower(name)] = text
		return err
	}, "SELECT name, sql FROM sqlite_master WHERE type = 'view'")
	named, texts := map[string]bool{}, []string{text}
	for len(texts) > 0 {
		next := texts[0]
		texts = texts[1:]
		for _, word := range sqltext.Names(sqltext.SQLite, next) {
			word = strings.ToLower(word)
			if view, found := views[word]; found && !named[word] {
				texts = append(texts, view)
			}
			named[word] = true
		}
	}
	return named, err
}
