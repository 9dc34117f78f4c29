package sqlitefile

import (
	"context"
	"database/sql/driver"
	"errors"
	"io/fs"

	"modernc.org/sqlite"
)

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
	file   *File
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
