package mysql

import (
	"context"
	"database/sql"
)

// A user variable tells triggers who writes. It is the session's, not the transaction's, so
// it has to be taken back before the connection is another's.

// note sets the variable to a token, which is letters and digits, or takes it back. As text
// it costs one round trip, where bound it would be prepared first.
func note(ctx context.Context, conn *sql.Conn, token string) error {
	text := "SET @hearth_writer = NULL"
	if token != "" {
		text = "SET @hearth_writer = '" + token + "'"
	}
	_, err := conn.ExecContext(ctx, text)
	return err
}
