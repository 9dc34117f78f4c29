package sqlitefile

import (
	"context"
	"database/sql/driver"
	"fmt"
	"net/url"
	"strconv"

	sqlite3 "modernc.org/sqlite/lib"
)

// connector opens connections to a file that exists.
type connector struct {
	file   *File
	driver driver.Driver
	Settings
}

// Driver implements driver.Connector.
func (c connector) Driver() driver.Driver { return c.driver }

// Connect makes the file first, with the mode of private.Create: SQLite would take the
// one that the umask leaves.
func (c connector) Connect(ctx context.Context) (driver.Conn, error) {
	f := c.file
	if f.path == "" {
		return c.driver.Open("file::memory:?" + c.settings().Encode()) // which nobody else has
	}
	select {
	case f.opening <- struct{}{}:
		defer func() { <-f.opening }()
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	for range 10 {
		if !c.AsIs {
			if err := f.prepare(); err != nil {
				return nil, err
			}
		}
		before, err := f.look(false)
		if err != nil {
			before = standing{} // SQLite says what is wrong
		}
		writableAgain := f.opened.readOnly && !before.readOnly
		if writableAgain {
			f.closeIdle()
		}
		conn, apart, err := c.openFile(ctx, before.readOnly)
		if err == nil && writableAgain {
			if err = canWrite(ctx, conn); err != nil {
				_ = conn.Close()
			}
		}
		if err != nil {
			return nil, err
		}
		opened, err := f.look(apart)
		if err == nil && opened.same(before) {
			if f.opened.inode != 0 && !f.opened.same(opened) {
				f.renewed.Store(true)
			}
			f.opened, f.log, f.index = opened, inode(f.path+logSuffix), inode(f.path+indexSuffix)
			return &fileConn{driverConn: conn, file: f, opened: opened}, nil
		}
		// Replaced in between: nobody knows which of the two is open.
		_ = (&fileConn{driverConn: conn, file: f}).Close()
		if err := ctx.Err(); err != nil {
			return nil, err
		}
	}
	return nil, fmt.Errorf("the file %q is replaced again and again", f.path)
}

// openingBusy is how long a connection that is made waits for a lock, in ms: what it does
// can be done later, too.
const openingBusy = 100

// closeIdle closes the connections that nobody uses.
func (f *File) closeIdle() {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, pool := range f.pools {
		pool.SetMaxIdleConns(0)
		pool.SetMaxIdleConns(pool.idle)
	}
}

// canWrite tells whether a connection may write indeed. All connections of a process share
// the index of the log as the first of them has opened it: while one is left from the
// time when the file was read-only, none can write.
func canWrite(ctx context.Context, conn driverConn) error {
	_, err := conn.ExecContext(ctx, "BEGIN IMMEDIATE", nil)
	if Code(err) == sqlite3.SQLITE_BUSY {
		return nil
	}
	if err == nil {
		_, err = conn.ExecContext(context.WithoutCancel(ctx), "ROLLBACK", nil)
	}
	return err
}

// settings are those of each connection. They stand in the name of the file.
func (c connector) settings() url.Values {
	v := url.Values{"_busy_timeout": {strconv.Itoa(openingBusy)}}
	// SQLite checks foreign keys only where a connection asks for it.
	v.Set("_foreign_keys", "1")
	if c.ReadOnly {
		v.Set("_query_only", "1")
	}
	return v
}

// openFile opens the file and reads from it, so that it is open indeed. apart tells that
// it is read apart from its log.
func (c connector) openFile(ctx context.Context, readOnly bool) (conn driverConn, apart bool, err error) {
	// A path is escaped piece by piece: SQLite decodes %2F, but the driver must not
	// see a question mark.
	name := "file:" + (&url.URL{Path: c.file.path}).EscapedPath() + "?"
	v := c.settings()
	if !readOnly {
		// WAL lets readers go on while the writer commits. The mode stays in the
		// file, so setting it again changes nothing, and where others are in the way
		// of setting it a later connection does.
		mode := "PRAGMA journal_mode = WAL"
		if c.AsIs {
			mode = ""
			v.Set("mode", "rw")
		}
		conn, err = c.openWith(ctx, name+v.Encode(), mode)
		return conn, false, err
	}
	v.Set("mode", "ro")
	conn, err = c.openWith(ctx, name+v.Encode(), "")
	if !needsLog(err) {
		return conn, false, err
	}
	if c.file.hasLog() {
		return nil, false, &PendingLog{c.file.path + logSuffix, err}
	}
	v.Set("immutable", "1")
	conn, err = c.openWith(ctx, name+v.Encode(), "")
	return conn, true, err
}

// openWith opens a connection, runs a pragma that may find others in the way, and reads.
func (c connector) openWith(ctx context.Context, dsn, pragma string) (driverConn, error) {
	opened, err := c.driver.Open(dsn)
	if err != nil {
		return nil, err
	}
	conn, ok := opened.(driverConn)
	if !ok {
		panic("BUG: the driver of SQLite lacks interfaces")
	}
	if pragma != "" {
		if _, err = conn.ExecContext(ctx, pragma, nil); Code(err) == sqlite3.SQLITE_BUSY {
			err = nil
		}
	}
	if err == nil {
		_, err = conn.ExecContext(ctx, "SELECT count(*) FROM sqlite_master", nil)
		if Code(err) == sqlite3.SQLITE_BUSY {
			err = nil // the call itself waits for it
		}
	}
	if err == nil {
		// A lock that is kept for too long has to be told from a file that does not
		// answer, and so waiting for it ends before the call's time does.
		_, err = conn.ExecContext(ctx, fmt.Sprintf("PRAGMA busy_timeout = %d", max(c.Busy.Milliseconds()*9/10, 1)), nil)
	}
	for _, pragma := range c.Pragmas {
		if err == nil {
			_, err = conn.ExecContext(ctx, "PRAGMA "+pragma, nil)
		}
	}
	if err != nil {
		_ = conn.Close()
		return nil, err
	}
	return conn, nil
}

// needsLog tells that SQLite did not find, and could not make, the files of a write-ahead
// log that the file's mode asks for.
func needsLog(err error) bool {
	return err != nil && (Code(err) == sqlite3.SQLITE_CANTOPEN || Code(err) == sqlite3.SQLITE_READONLY)
}
