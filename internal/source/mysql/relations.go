package mysql

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/go-sql-driver/mysql"

	"hearth/internal/source/engine"
	"hearth/internal/source/sqltext"
	"hearth/internal/source/stdsql"
)

// relations implements stdsql.Variant. Both servers tell how they have read a query in a
// note behind EXPLAIN: with the full names of all tables, views opened where they could be
// merged. The query's own text is read, too, for what the plan has no use for; views that
// are left are opened by their definitions.
func relations(ctx context.Context, conn *sql.Conn, q engine.Query) (names []string, err error) {
	shown, err := shownAs(ctx, conn, q)
	if err != nil {
		return nil, err
	}
	o := opener{ctx: ctx, conn: conn}
	if err := conn.QueryRowContext(ctx, "SELECT coalesce(DATABASE(), '')").Scan(&o.home); err != nil {
		return nil, err
	}
	for _, text := range []string{shown, q.SQL} {
		if err := o.open(text, o.home); err != nil {
			return nil, err
		}
	}
	return o.names, nil
}

// shownAs is a query as the server has read it. MySQL 8 has no EXPLAIN EXTENDED, which
// MariaDB needs to say it.
func shownAs(ctx context.Context, conn *sql.Conn, q engine.Query) (text string, err error) {
	for _, explain := range []string{"EXPLAIN EXTENDED ", "EXPLAIN FORMAT=TRADITIONAL "} {
		err = stdsql.EachRow(ctx, conn, func(*sql.Rows) error { return nil }, explain+q.SQL, q.Args...)
		var refused *mysql.MySQLError
		if errors.As(err, &refused) && refused.Number == 1064 {
			continue
		}
		break
	}
	if err != nil {
		return "", err
	}
	const shown = 1003
	err = stdsql.EachRow(ctx, conn, func(rows *sql.Rows) error {
		var level, message string
		var code int
		err := rows.Scan(&level, &code, &message)
		if code == shown {
			text = message
		}
		return err
	}, "SHOW WARNINGS")
	return text, err
}

// opener gathers the tables that texts name. It opens views, each once.
type opener struct {
	ctx    context.Context
	conn   *sql.Conn
	home   string
	names  []string
	opened []string // views
}

// system are databases of the server itself.
var system = []string{"information_schema", "performance_schema", "sys", "mysql"}

// open takes the tables of a text in which a name without a database is of home.
func (o *opener) open(text, home string) error {
	tables, err := sqltext.Reads(sqltext.MySQL, text)
	if err != nil {
		return err
	}
	for _, t := range tables {
		if t.Schema == "" {
			t.Schema = home
		}
		if slices.Contains(system, strings.ToLower(t.Schema)) {
			continue
		}
		if err := o.add(t); err != nil {
			return err
		}
	}
	return nil
}

// add takes a table, or opens a view. A name of nothing is an alias, or was made by a WITH.
func (o *opener) add(t sqltext.Table) error {
	var schema, name, kind string
	const look = "SELECT table_schema, table_name, table_type FROM information_schema.tables WHERE table_schema = ? AND table_name = ?"
	switch err := o.conn.QueryRowContext(o.ctx, look, t.Schema, t.Name).Scan(&schema, &name, &kind); {
	case errors.Is(err, sql.ErrNoRows):
		return nil
	case err != nil:
		return err
	case !strings.HasSuffix(kind, "VIEW"):
		o.names = append(o.names, schema+"."+name)
		return nil
	case slices.Contains(o.opened, schema+"."+name):
		return nil
	}
	o.opened = append(o.opened, schema+"."+name)
	var definition string
	err := o.conn.QueryRowContext(o.ctx, "SELECT view_definition FROM information_schema.views WHERE table_schema = ? AND table_name = ?", schema, name).Scan(&definition)
	if err != nil {
		return err
	}
	if definition == "" {
		return fmt.Errorf("the definition of the view %s.%s cannot be read; grant SHOW VIEW on it", schema, name)
	}
	return o.open(definition, schema)
}
