package source

import (
	"errors"
	"strings"

	"github.com/go-sql-driver/mysql"
	"github.com/jackc/pgx/v5/pgconn"
)

// RefusesAccess tells an error of a database that knows neither the account nor
// the database that it was asked for, or does not let the one into the other, from
// one of a database that is away. Both are outages: nothing gets through.
func RefusesAccess(err error) bool {
	var refusal *pgconn.ConnectError
	var answer *pgconn.PgError
	if errors.As(err, &refusal) && errors.As(err, &answer) {
		return strings.HasPrefix(answer.Code, "28") || strings.HasPrefix(answer.Code, "3D") || answer.Code == "42501"
	}
	var failed *connectError
	var e *mysql.MySQLError
	if errors.As(err, &failed) && errors.As(err, &e) {
		return e.Number == 1044 || e.Number == 1045 || e.Number == 1049 || e.Number == 1698
	}
	return errors.Is(err, ErrFault) // a file that is no database
}
