package database

import (
	"errors"

	"hearth/internal/source"
)

// RefusesAccess tells an error of a database that knows neither the account nor
// the database that it was asked for, or does not let the one into the other, from
// one of a database that is away. Both are outages: nothing gets through.
func RefusesAccess(err error) bool {
	var e engineError
	return errors.As(err, &e) && e.fault.Access || errors.Is(err, source.ErrFault) // a file that is no database
}

// Says tells what is wrong with the database as a whole, in words that /readyz may show; ""
// if it is just away.
func Says(err error) string {
	var e engineError
	switch {
	case errors.As(err, &e) && e.fault.Says != "":
		return e.fault.Says
	case RefusesAccess(err):
		return "the database refuses to be used with this configuration"
	}
	return ""
}

// Way tells how the database is reached where that is not the ordinary way, such as
// through a pooler of connections, as far as calls have found out; "" otherwise.
func (db *DB) Way() string { return db.engine.Way() }
