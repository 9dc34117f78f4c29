package outbox

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	driver "github.com/go-sql-driver/mysql"
	"github.com/jackc/pgx/v5/pgconn"

	"hearth/internal/source/engine"
	"hearth/internal/source/sqltext"
)

// Codes of MySQL and MariaDB for a right that is missing: on a database, a table, a
// column, a routine, by name; on triggers while the binary log is on.
var deniedNumbers = []uint16{1044, 1142, 1143, 1227, 1370, 1419}

// Denied tells whether an error says that the account lacks a right.
func (o *Outbox) Denied(err error) bool {
	var pg *pgconn.PgError
	var my *driver.MySQLError
	switch {
	case errors.As(err, &pg):
		return pg.Code == "42501"
	case errors.As(err, &my):
		return slices.Contains(deniedNumbers, my.Number)
	}
	return o.engine.Fault(err).ReadOnly
}

// Missing tells whether an error says that the outbox, or part of it, is not there.
func (o *Outbox) Missing(err error) bool {
	return errors.Is(err, errNotInstalled) || o.engine.Fault(err).Class >= engine.FaultRefused && !o.Denied(err)
}

// Rights are what the account needs that the outbox is opened with, so that it can install
// triggers on tables and drain the outbox: statements for an account that may grant it.
func (o *Outbox) Rights(ctx context.Context, tables []string) (lines []string) {
	const stranger = "ACCOUNT"
	switch o.Dialect() {
	case sqltext.PostgreSQL:
		account := stranger
		if res, err := o.engine.Query(ctx, engine.Query{SQL: "SELECT current_user::text"}); err == nil {
			account = name(textOf(res.Rows[0][0]))
		}
		lines = append(lines, "CREATE SCHEMA IF NOT EXISTS hearth AUTHORIZATION "+account+";")
		if len(tables) > 0 {
			lines = append(lines, "GRANT TRIGGER ON "+strings.Join(tables, ", ")+" TO "+account+";")
		}
	case sqltext.MySQL:
		account, database := stranger, "DATABASE"
		if res, err := o.engine.Query(ctx, engine.Query{SQL: "SELECT CURRENT_USER(), DATABASE()"}); err == nil {
			account, database = mysqlAccount(textOf(res.Rows[0][0])), mysqlNames(textOf(res.Rows[0][1]))
		}
		lines = append(lines, "GRANT CREATE, DROP, SELECT, INSERT, UPDATE, DELETE, TRIGGER, CREATE ROUTINE ON "+database+".* TO "+account+";",
			"SET GLOBAL log_bin_trust_function_creators = 1;  -- where the binary log is on and the account has no SUPER")
	default:
		lines = append(lines, "let the user that runs this write to the file and to its directory")
	}
	return lines
}

// grantsTo are the statements that let accounts drain the outbox, once it is there.
func (o *Outbox) grantsTo(ctx context.Context, accounts []string) (all []string, err error) {
	if len(accounts) == 0 {
		return nil, nil
	}
	tables, quoted := "`hearth_%s`", mysqlAccount
	switch o.Dialect() {
	case sqltext.PostgreSQL:
		tables, quoted = "hearth.%s", func(account string) string { return name(account) }
	case sqltext.MySQL:
		// Who has no right to a table's triggers, or to the procedure, does not see whether
		// they are there.
		res, err := o.engine.Query(ctx, engine.Query{SQL: "SELECT DATABASE()"})
		if err != nil {
			return nil, fmt.Errorf("asking for the name of the database: %w", err)
		}
		for _, account := range accounts {
			all = append(all, fmt.Sprintf("GRANT TRIGGER ON %s.* TO %s", mysqlNames(textOf(res.Rows[0][0])), quoted(account)),
				fmt.Sprintf("GRANT EXECUTE ON PROCEDURE %s TO %s", mysqlName(mysqlTell), quoted(account)))
		}
	default:
		return nil, errors.New("SQLite has no accounts; leave -role out, and let the program's user write to the file and its directory")
	}
	for _, account := range accounts {
		if o.Dialect() == sqltext.PostgreSQL {
			all = append(all, "GRANT USAGE ON SCHEMA hearth TO "+quoted(account))
		}
		for _, g := range drainRights {
			if g.table == "watch" && o.Dialect() == sqltext.MySQL {
				g.rights = "SELECT, UPDATE" // where the leader notes what it has seen of a table
			}
			all = append(all, fmt.Sprintf("GRANT %s ON "+tables+" TO %s", g.rights, g.table, quoted(account)))
		}
	}
	return all, nil
}

// drainRights are what it takes to drain the outbox.
var drainRights = []struct{ rights, table string }{
	{"SELECT, INSERT, DELETE", "feed"}, {"SELECT, INSERT, DELETE", "kept"}, {"SELECT", "watch"}, {"SELECT, UPDATE", "drain"},
}

// mysqlAccount quotes an account, whose host stands behind the last @; without one it is
// that name from anywhere.
func mysqlAccount(account string) string {
	user, host := account, "%"
	if i := strings.LastIndexByte(account, '@'); i >= 0 {
		user, host = strings.Trim(account[:i], "'`"), strings.Trim(account[i+1:], "'`")
	}
	quote := strings.NewReplacer(`\`, `\\`, `'`, `\'`)
	return "'" + quote.Replace(user) + "'@'" + quote.Replace(host) + "'"
}
