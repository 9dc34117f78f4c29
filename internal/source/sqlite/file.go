package sqlite

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"sync/atomic"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
	"modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"

	"hearth/internal/private"
)

// A file may be replaced by another one of its name: a backup that is put in place, a
// deployment. SQLite goes on with the one that it has open, for ever. So each
// connection knows which file it has opened, and is thrown away when it is to be used
// again and another one stands there.
//
// It may also be read-only, or become so: on a file system that is, or by its rights.
// Then connections only read. A write-ahead log is nothing but in the way there: where
// nobody writes, and none is left, the file is read without one.

// file is the file behind pools of connections, or none where path is empty. The
// connectors of all pools share it.
type file struct {
	path string

	// opening has room for the one connection that is being made: nothing is removed
	// or made meanwhile that another one opens. The rest belongs to its maker.
	opening chan struct{}
	opened  standing // what stood there when the latest connection was made
	log     uint64   // the inodes of the write-ahead log and its index then; 0: none
	index   uint64

	renewed atomic.Bool // another file was opened than the one before; see Renewed
	pools   []*sql.DB   // set by open
	idle    int         // connections that each of them keeps
}

// standing is what stands at the path of a file. Two are equal if a connection to the
// one is as good as a connection to the other.
type standing struct {
	device, inode uint64
	readOnly      bool
	// Of a file that is read without a log: the connection would not see that somebody
	// changes it.
	apart   bool
	changed int64 // unix ns
	size    int64
	logged  bool // there is a log by now
}

// same tells whether it is the same file.
func (s standing) same(other standing) bool {
	return s.device == other.device && s.inode == other.inode
}

// The files that SQLite makes beside a database.
const (
	logSuffix   = "-wal"
	indexSuffix = "-shm"
)

// errGone says that the file was there and is not any more. It is not made anew:
// whoever took it away may be about to put another one there, and records are missing.
var errGone = errors.New("the database's file is gone; put it back, or start anew for an empty one")

// errReplaced ends a transaction whose file was replaced. Nothing of it was stored.
var errReplaced = errors.New("the database's file was replaced within the transaction")

// pendingLog says that a read-only file has a log that cannot be read.
type pendingLog struct {
	path string
	err  error
}

// Error says what to do.
func (e *pendingLog) Error() string {
	return fmt.Sprintf("the file is read-only, and its write-ahead log %q holds changes that are not in it; "+
		"run PRAGMA wal_checkpoint(TRUNCATE) where it can be written, and copy it then: %v", e.path, e.err)
}

// Unwrap returns SQLite's error.
func (e *pendingLog) Unwrap() error { return e.err }

// look tells what stands at the path. Whether it is read apart from its log is not seen
// from outside, and taken over from the connection that asks.
func (f *file) look(apart bool) (s standing, err error) {
	info, err := os.Stat(f.path)
	if err != nil {
		return s, err
	}
	if stat, ok := info.Sys().(*syscall.Stat_t); ok {
		s.device, s.inode = uint64(stat.Dev), stat.Ino
	}
	s.readOnly = !f.writable()
	if s.apart = apart; apart {
		s.changed, s.size, s.logged = info.ModTime().UnixNano(), info.Size(), f.hasLog()
	}
	return s, nil
}

// writable asks the system whether the file can be written, and its directory, in which
// SQLite makes files for each change, or those are there.
func (f *file) writable() bool {
	can := func(path string) bool { return unix.Faccessat(unix.AT_FDCWD, path, unix.W_OK, unix.AT_EACCESS) == nil }
	return can(f.path) && (can(filepath.Dir(f.path)) || can(f.path+logSuffix) && can(f.path+indexSuffix))
}

// hasLog tells whether there is a write-ahead log with something in it.
func (f *file) hasLog() bool {
	info, err := os.Stat(f.path + logSuffix)
	return err == nil && info.Size() > 0
}

// inode is that of a file, 0 if there is none.
func inode(path string) uint64 {
	info, err := os.Stat(path)
	if err != nil {
		return 0
	}
	stat, _ := info.Sys().(*syscall.Stat_t)
	return stat.Ino
}

// prepare makes the file if there has never been one, readable for this user alone, and
// clears away what the one before has left: the log of a file that was replaced would
// be replayed into the new one.
func (f *file) prepare() error {
	s, err := f.look(false)
	switch known := f.opened.inode != 0; {
	case errors.Is(err, fs.ErrNotExist) && known:
		return errGone
	case errors.Is(err, fs.ErrNotExist):
		_ = private.Create(f.path) // SQLite meets the same error when it opens the file
		return nil
	case err != nil:
		return nil // likewise
	case !known || s.same(f.opened):
		return nil
	}
	// By their inodes: a log that came with the new file is the new file's.
	if at := f.path + logSuffix; f.log != 0 && inode(at) == f.log {
		err = errors.Join(err, os.Remove(at))
	}
	if at := f.path + indexSuffix; f.index != 0 && inode(at) == f.index {
		err = errors.Join(err, os.Remove(at))
	}
	if err != nil {
		return fmt.Errorf("clearing away the log of the file that was replaced: %w", err)
	}
	return nil
}

// connector opens connections to a file that exists.
type connector struct {
	file     *file
	driver   driver.Driver
	busy     time.Duration // how long a lock is waited for
	readOnly bool          // a select is no place for a write
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
	for {
		if err := f.prepare(); err != nil {
			return nil, err
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
}

// openingBusy is how long a connection that is made waits for a lock, in ms: what it does
// can be done later, too.
const openingBusy = 100

// closeIdle closes the connections that nobody uses.
func (f *file) closeIdle() {
	for _, pool := range f.pools {
		pool.SetMaxIdleConns(0)
		pool.SetMaxIdleConns(f.idle)
	}
}

// canWrite tells whether a connection may write indeed. All connections of a process share
// the index of the log as the first of them has opened it: while one is left from the
// time when the file was read-only, none can write.
func canWrite(ctx context.Context, conn driverConn) error {
	_, err := conn.ExecContext(ctx, "BEGIN IMMEDIATE", nil)
	if primary(err) == sqlite3.SQLITE_BUSY {
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
	if c.readOnly {
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
		conn, err = c.openWith(ctx, name+v.Encode(), "PRAGMA journal_mode = WAL")
		return conn, false, err
	}
	v.Set("mode", "ro")
	conn, err = c.openWith(ctx, name+v.Encode(), "")
	if !needsLog(err) {
		return conn, false, err
	}
	if c.file.hasLog() {
		return nil, false, &pendingLog{c.file.path + logSuffix, err}
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
		if _, err = conn.ExecContext(ctx, pragma, nil); primary(err) == sqlite3.SQLITE_BUSY {
			err = nil
		}
	}
	if err == nil {
		_, err = conn.ExecContext(ctx, "SELECT count(*) FROM sqlite_master", nil)
		if primary(err) == sqlite3.SQLITE_BUSY {
			err = nil // the call itself waits for it
		}
	}
	if err == nil {
		// A lock that is kept for too long has to be told from a file that does not
		// answer, and so waiting for it ends before the call's time does.
		_, err = conn.ExecContext(ctx, fmt.Sprintf("PRAGMA busy_timeout = %d", max(c.busy.Milliseconds()*9/10, 1)), nil)
	}
	if err != nil {
		_ = conn.Close()
		return nil, err
	}
	return conn, nil
}

// primary is SQLite's primary code of an error, 0 for none.
func primary(err error) int {
	var e *sqlite.Error
	if !errors.As(err, &e) {
		return 0
	}
	return e.Code() & 0xff
}

// needsLog tells that SQLite did not find, and could not make, the files of a write-ahead
// log that the file's mode asks for.
func needsLog(err error) bool {
	return err != nil && (primary(err) == sqlite3.SQLITE_CANTOPEN || primary(err) == sqlite3.SQLITE_READONLY)
}

// driverConn is what database/sql uses of the driver's connections.
type driverConn interface {
	driver.Conn
	driver.ConnBeginTx
	driver.ConnPrepareContext
	driver.ExecerContext
	driver.QueryerContext
	driver.Pinger
	driver.SessionResetter
	driver.Validator
}

// fileConn is a connection that knows which file it has open.
type fileConn struct {
	driverConn
	file   *file
	opened standing
}

// ResetSession implements driver.SessionResetter: database/sql calls it before it gives
// a connection out again, and takes another one after ErrBadConn.
func (c *fileConn) ResetSession(ctx context.Context) error {
	if c.outdated() {
		return driver.ErrBadConn
	}
	return c.driverConn.ResetSession(ctx)
}

// IsValid implements driver.Validator: database/sql asks before it keeps a connection.
func (c *fileConn) IsValid() bool { return !c.outdated() && c.driverConn.IsValid() }

// outdated tells that another file stands at the path, or none, or that its rights have
// changed. What cannot be seen has not changed.
func (c *fileConn) outdated() bool {
	now, err := c.file.look(c.opened.apart)
	if err != nil {
		return errors.Is(err, fs.ErrNotExist)
	}
	return now != c.opened
}

// Close keeps SQLite from removing the log by its name when the last connection closes:
// it may be another file's by now.
func (c *fileConn) Close() error {
	now, err := c.file.look(false)
	other := err != nil || !now.same(c.opened)
	if control, ok := c.driverConn.(sqlite.FileControl); ok && other {
		_, _ = control.FileControlPersistWAL("main", 1)
	}
	return c.driverConn.Close()
}

// fileOf returns the connection of this package behind one of database/sql, nil for a
// database in memory.
func fileOf(conn *sql.Conn) (found *fileConn) {
	_ = conn.Raw(func(c any) error {
		found, _ = c.(*fileConn)
		return nil
	})
	return found
}
