package outbox

import (
	"errors"
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

// Rights are what the account needs that installs triggers on tables and drains the
// outbox, as statements for an account that may grant it; ACCOUNT stands for its name.
func (o *Outbox) Rights(tables []string) (lines []string) {
	switch o.Dialect() {
	case sqltext.PostgreSQL:
		lines = []string{"CREATE SCHEMA IF NOT EXISTS hearth AUTHORIZATION ACCOUNT;  -- or: GRANT CREATE ON DATABASE … TO ACCOUNT;"}
		if len(tables) > 0 {
			lines = append(lines, "GRANT SELECT, TRIGGER ON "+strings.Join(tables, ", ")+" TO ACCOUNT;")
		}
	case sqltext.MySQL:
		lines = []string{"GRANT CREATE, DROP, SELECT, INSERT, UPDATE, DELETE, TRIGGER, REFERENCES ON DATABASE.* TO ACCOUNT;",
			"SET GLOBAL log_bin_trust_function_creators = 1;  -- where the binary log is on, or else SUPER"}
	default:
		lines = []string{"let the user that runs this write to the file and to its directory"}
	}
	return lines
}
