package stdsql

import (
	"context"
	"database/sql"

	"hearth/internal/source/engine"
)

// FillDemo creates and fills the demo's table. It is no transaction by itself:
// MySQL commits at CREATE TABLE, and SQLite's caller has one open.
func FillDemo(ctx context.Context, conn *sql.Conn, table string) error {
	for _, text := range engine.DemoStatements(table) {
		if _, err := conn.ExecContext(ctx, text); err != nil {
			return &engine.InitError{Key: "demo", Err: err}
		}
	}
	return nil
}
