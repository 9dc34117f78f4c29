package outbox

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"sync"

	"hearth/internal/source/engine"
	"hearth/internal/source/stdsql"
	"hearth/internal/sqlitefile"
)

// watcher tells whether a file may have been written. SQLite counts, for each connection,
// the commits of all others, of this process and any other: asking for the count opens no
// transaction and takes no lock. So the count is compared on one connection that stays the
// same, and that never writes. The zero watcher is ready for use.
type watcher struct {
	mu    sync.Mutex
	conn  *sql.Conn // nil: none yet
	count int64
}

// moved is dialect.Moved. A connection that is new, or that has another file open than
// the one that stands at the path by now, has nothing to compare with.
func (w *watcher) moved(ctx context.Context, e engine.Engine) (bool, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.conn != nil && sqlitefile.Outdated(w.conn) {
		_ = w.closeLocked()
	}
	fresh := w.conn == nil
	if fresh {
		of, ok := e.(*stdsql.Engine)
		if !ok {
			return true, nil
		}
		var err error
		if w.conn, err = of.Reads.Conn(ctx); err != nil {
			w.conn = nil
			return true, fmt.Errorf("watching the database's file: %w", err)
		}
	}
	var count int64
	if err := w.conn.QueryRowContext(ctx, "PRAGMA data_version").Scan(&count); err != nil {
		_ = w.closeLocked() // the next look has another one
		return true, fmt.Errorf("watching the database's file: %w", err)
	}
	was := w.count
	w.count = count
	return fresh || count != was, nil
}

func (w *watcher) closeLocked() error {
	err := w.conn.Close()
	w.conn = nil
	if errors.Is(err, sql.ErrConnDone) {
		return nil
	}
	return err
}

// close ends the connection; the pool is closed after it.
func (w *watcher) close() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.conn == nil {
		return nil
	}
	return w.closeLocked()
}
