package mysql

import (
	"context"
	"database/sql"

	"hearth/internal/source"
)

// A user variable tells triggers who writes. It is the session's, not the transaction's, so
// it has to be taken back before the connection is another's. As text each costs one round
// trip, where a bound value would have its statement prepared first.

// note sets the variable to the writer's token, which is letters and digits. It counts as
// set after an error, too.
func note(ctx context.Context, conn *sql.Conn) (noted bool, err error) {
	token := source.WriterOf(ctx)
	if token == "" {
		return false, nil
	}
	_, err = conn.ExecContext(ctx, "SET @hearth_writer = '"+token+"'")
	return true, err
}

func unnote(ctx context.Context, conn *sql.Conn) error {
	_, err := conn.ExecContext(ctx, "SET @hearth_writer = NULL")
	return err
}
