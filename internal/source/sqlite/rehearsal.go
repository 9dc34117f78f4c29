package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"hearth/internal/source/engine"
	"hearth/internal/source/sqltext"
	"hearth/internal/source/stdsql"
	"hearth/internal/sqlitefile"
)

// openRehearsal opens the file as it is: it makes none, and does not turn
// its write-ahead log on. What the set-up would make in a file that is not there
// yet is made in memory. It returns the pool and what closes it. The pool has one
// connection, which holds the transaction of the rehearsal.
func openRehearsal(f *sqlitefile.File, busy time.Duration) (*sql.DB, func(), error) {
	name := "file::memory:"
	v := url.Values{"_foreign_keys": {"1"}, "_busy_timeout": {strconv.FormatInt(max(busy.Milliseconds()/2, 1), 10)}}
	switch _, err := os.Stat(f.Path()); {
	case f.Path() == "":
	case err == nil && !f.Writable():
		db := f.Pool(sqlitefile.Settings{Conns: 1, Busy: busy / 2}) // as it is read later
		return db, func() { _ = db.Close() }, nil
	case err == nil:
		name = "file:" + (&url.URL{Path: f.Path()}).EscapedPath()
		// Without create: the file might be deleted between the look and the
		// opening.
		v.Set("mode", "rw")
	case !errors.Is(err, fs.ErrNotExist):
		return nil, nil, err
	default:
		if _, err := os.Stat(filepath.Dir(f.Path())); err != nil {
			return nil, nil, fmt.Errorf("looking for the file's directory: %w", err)
		}
	}
	db, err := sql.Open("sqlite", name+"?"+v.Encode())
	if err != nil {
		return nil, nil, err
	}
	db.SetMaxOpenConns(1)
	return db, func() { _ = db.Close() }, nil
}

// rehearse runs the set-up in a transaction that is undone. Prober.End rolls it
// back. What needs the set-up is asked inside, before that.
func rehearse(ctx context.Context, p *stdsql.Prober, r *engine.Rehearsal) error {
	begin := "BEGIN"
	if r.Writes || len(r.Init) > 0 || r.Demo {
		begin = "BEGIN IMMEDIATE"
	}
	if _, err := p.Conn.ExecContext(ctx, begin); err != nil {
		// A file that is locked or not there is an outage of the rehearsal; one
		// that takes no writes is a finding, and the statements that read are
		// still asked.
		if !faultOf(err).ReadOnly {
			return err
		}
		r.Report("url", fmt.Errorf("writing to the file: %w", err))
		_, err = p.Conn.ExecContext(ctx, "BEGIN")
		return err
	}
	if r.Writes { // a read-only file refuses only what changes it
		if _, err := p.Conn.ExecContext(ctx, "CREATE TABLE hearth_rehearsal (a)"); err != nil && faultOf(err).ReadOnly {
			r.Report("url", fmt.Errorf("writing to the file: %w", err))
		} else if err == nil {
			_, _ = p.Conn.ExecContext(ctx, "DROP TABLE hearth_rehearsal")
		}
	}
	for i, text := range r.Init {
		// It would commit what the rehearsal has to undo.
		if sqltext.MayEndTransaction(sqltext.SQLite, text) {
			continue
		}
		if _, err := p.Conn.ExecContext(ctx, text); err != nil {
			if ctx.Err() != nil {
				return err
			}
			r.Report(engine.InitKey(i), err)
		}
	}
	if r.Demo {
		_, _ = p.Conn.ExecContext(ctx, fmt.Sprintf(engine.DemoCreate, engine.DemoTable)) // it may be there
	}
	return nil
}
