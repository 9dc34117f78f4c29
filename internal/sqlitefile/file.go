// Package sqlitefile opens a file of SQLite as files are in the field: replaced by another
// one of the same name while they are open, taken away, read-only. It stands alone
// because two rooms have such a file.
//
// A file may be replaced by another one of its name: a backup that is put in place, a
// deployment. SQLite goes on with the one that it has open, for ever. So each
// connection knows which file it has opened, and is thrown away when it is to be used
// again and another one stands there.
//
// It may also be read-only, or become so: on a file system that is, or by its rights.
// Then connections only read. A write-ahead log is nothing but in the way there: where
// nobody writes, and none is left, the file is read without one.
package sqlitefile

import (
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
	"modernc.org/sqlite"

	"hearth/internal/private"
)

// File is the file behind pools of connections, or none where its path is empty. All
// pools of a process have to be of one File. It is safe for concurrent use.
type File struct {
	path string

	// opening has room for the one connection that is being made: nothing is removed
	// or made meanwhile that another one opens. The rest belongs to its maker.
	opening chan struct{}
	opened  standing // what stood there when the latest connection was made
	log     uint64   // the inodes of the write-ahead log and its index then; 0: none
	index   uint64

	renewed atomic.Bool // another file was opened than the one before

	mu    sync.Mutex
	pools []pool
}

// pool is one that belongs to a File, with the number of connections that it keeps.
type pool struct {
	*sql.DB
	idle int
}

// New returns the file at path; none for "", which is a database in memory. It touches
// nothing.
func New(path string) *File { return &File{path: path, opening: make(chan struct{}, 1)} }

// Settings are those of the connections of a pool.
type Settings struct {
	Conns    int           // at most; as many are kept idle
	Busy     time.Duration // how long a lock is waited for
	ReadOnly bool          // statements that write are refused
	AsIs     bool          // no file is made, and it keeps its mode
	// Pragmas are run on each connection, such as "synchronous = NORMAL".
	Pragmas []string
}

// Pool makes a pool of connections. It opens no file yet: each connection does, when it is
// made.
func (f *File) Pool(s Settings) *sql.DB {
	db := sql.OpenDB(connector{f, registered(), s})
	db.SetMaxOpenConns(s.Conns)
	db.SetMaxIdleConns(s.Conns)
	f.mu.Lock()
	defer f.mu.Unlock()
	f.pools = append(f.pools, pool{db, s.Conns})
	return db
}

// registered is the driver. Opening a pool is how to learn it, and connects to nothing.
func registered() driver.Driver {
	db, err := sql.Open("sqlite", "")
	if err != nil {
		panic("BUG: no driver of SQLite is registered: " + err.Error())
	}
	defer db.Close()
	return db.Driver()
}

// Path is where the file is, "" for a database in memory.
func (f *File) Path() string { return f.path }

// Renewed tells, once each time, that a connection was opened to another file than the
// one before.
func (f *File) Renewed() bool { return f.renewed.Swap(false) }

// Outdated tells that the connection has another file open than the one that stands at the
// path, or none stands there. What is written over it is written for nobody.
func Outdated(conn *sql.Conn) (outdated bool) {
	_ = conn.Raw(func(c any) error {
		if c, ok := c.(*fileConn); ok {
			outdated = c.outdated()
		}
		return nil
	})
	return outdated
}

// Code is SQLite's primary code of an error, 0 for none.
func Code(err error) int {
	var e *sqlite.Error
	if !errors.As(err, &e) {
		return 0
	}
	return e.Code() & 0xff
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

// ErrGone says that the file was there and is not any more. It is not made anew:
// whoever took it away may be about to put another one there, and records are missing.
var ErrGone = errors.New("the database's file is gone; put it back, or start anew for an empty one")

// ErrReplaced ends a transaction whose file was replaced. Nothing of it was stored.
var ErrReplaced = errors.New("the database's file was replaced within the transaction")

// PendingLog says that a read-only file has a log that cannot be read.
type PendingLog struct {
	path string
	err  error
}

// Error says what to do.
func (e *PendingLog) Error() string {
	return fmt.Sprintf("the file is read-only, and its write-ahead log %q holds changes that are not in it; "+
		"run PRAGMA wal_checkpoint(TRUNCATE) where it can be written, and copy it then: %v", e.path, e.err)
}

// Unwrap returns SQLite's error.
func (e *PendingLog) Unwrap() error { return e.err }

// look tells what stands at the path. Whether it is read apart from its log is not seen
// from outside, and taken over from the connection that asks.
func (f *File) look(apart bool) (s standing, err error) {
	info, err := os.Stat(f.path)
	if err != nil {
		return s, err
	}
	if stat, ok := info.Sys().(*syscall.Stat_t); ok {
		s.device, s.inode = uint64(stat.Dev), stat.Ino
	}
	s.readOnly = !f.Writable()
	if s.apart = apart; apart {
		s.changed, s.size, s.logged = info.ModTime().UnixNano(), info.Size(), f.hasLog()
	}
	return s, nil
}

// Writable asks the system whether the file can be written, and its directory, in which
// SQLite makes files for each change, or those are there.
func (f *File) Writable() bool {
	can := func(path string) bool { return unix.Faccessat(unix.AT_FDCWD, path, unix.W_OK, unix.AT_EACCESS) == nil }
	return can(f.path) && (can(filepath.Dir(f.path)) || can(f.path+logSuffix) && can(f.path+indexSuffix))
}

// hasLog tells whether there is a write-ahead log with something in it.
func (f *File) hasLog() bool {
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
func (f *File) prepare() error {
	s, err := f.look(false)
	switch known := f.opened.inode != 0; {
	case errors.Is(err, fs.ErrNotExist) && known:
		return ErrGone
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
