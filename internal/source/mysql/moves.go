package mysql

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync/atomic"
	"time"

	"github.com/go-sql-driver/mysql"

	"hearth/internal/source/engine"
	"hearth/internal/source/stdsql"
)

// A server that takes no writes may be known by its settings before it refuses one. An
// account with the right to write all the same (SUPER, READ ONLY ADMIN) is refused
// nothing, and a write to a demoted primary would be lost: so the settings count, and
// not the account. The driver's rejectReadOnly is never on. It has the driver pass a
// refusal off as a broken connection, so that a COMMIT which was refused would be one of
// unknown outcome; what it is for is done here.

// readOnlySettings are true on a server that takes no writes. super_read_only implies
// the first, and Aurora's readers have the second alone.
const readOnlySettings = "SELECT @@global.read_only, @@global.innodb_read_only"

// takesWrites implements Variant.TakesWrites.
func takesWrites(ctx context.Context, db stdsql.Asker) (bool, error) {
	var global, innodb string
	err := db.QueryRowContext(ctx, readOnlySettings).Scan(&global, &innodb)
	if answered(err) {
		return true, nil // a relative without these settings
	}
	return err == nil && off(global) && off(innodb), err
}

// off tells the value of a setting that is a number, or a word in newer servers.
func off(value string) bool {
	return value == "" || value == "0" || strings.EqualFold(value, "OFF")
}

// answered tells whether err is an answer of a server that is well.
func answered(err error) bool {
	var e *mysql.MySQLError
	return errors.As(err, &e) && faultOf(err).Class != engine.FaultLost
}

// errTakesNoWrites is a server's that is reached and is not the one looked for.
var errTakesNoWrites = errors.New("the server takes no writes (read_only or innodb_read_only is on)")

// session is a connection of the driver, with all that database/sql makes use of.
type session interface {
	driver.Conn
	driver.ConnBeginTx
	driver.ConnPrepareContext
	driver.ExecerContext
	driver.QueryerContext
	driver.NamedValueChecker
	driver.Pinger
	driver.SessionResetter
	driver.Validator
}

// numbered is a session that knows which number of Moves it belongs to. When that is
// past, the pool neither hands it out nor keeps it.
type numbered struct {
	session
	number uint64
	moves  *engine.Moves
}

// ResetSession implements driver.SessionResetter. It is called before a connection that
// the pool has kept is used.
func (s *numbered) ResetSession(ctx context.Context) error {
	if s.number < s.moves.Number() {
		return driver.ErrBadConn
	}
	return s.session.ResetSession(ctx)
}

// IsValid implements driver.Validator. It is called when a connection comes back.
func (s *numbered) IsValid() bool { return s.number >= s.moves.Number() && s.session.IsValid() }

// numberOf implements Variant.Number.
func numberOf(conn any) uint64 {
	if s, ok := conn.(*numbered); ok {
		return s.number
	}
	return 0
}

// connector makes connections to one of several hosts, and marks failures: they come
// with any number, such as that of a database that does not exist. Each host's name is
// resolved for each connection.
type connector struct {
	hosts   []driver.Connector
	each    time.Duration // for one host; 0: as long as the caller has
	moves   *engine.Moves
	writes  atomic.Bool  // resources write
	primary atomic.Int32 // the host where it was found last
}

// Driver implements driver.Connector.
func (c *connector) Driver() driver.Driver { return c.hosts[0].Driver() }

// Connect implements driver.Connector. Of several hosts it takes one that takes writes,
// where some resource needs that, or else any: first the one where the primary was found
// last. With one host there is no choice, and reads may go on.
func (c *connector) Connect(ctx context.Context) (driver.Conn, error) {
	number := c.moves.Number() // before the dial, which may lead to where nothing should by its end
	conn, err := c.dial(ctx, c.strict())
	if err != nil {
		return nil, &connectError{err}
	}
	return &numbered{conn, number, c.moves}, nil
}

// strict implements Moves.Strict.
func (c *connector) strict() bool { return len(c.hosts) > 1 && c.writes.Load() }

// dialPrimary implements Moves.Dial.
func (c *connector) dialPrimary(ctx context.Context) error {
	conn, err := c.dial(ctx, true)
	if err != nil {
		return err
	}
	return conn.Close()
}

// dial tries the hosts one after the other.
func (c *connector) dial(ctx context.Context, writable bool) (session, error) {
	var faults []error
	first := int(c.primary.Load())
	for i := range c.hosts {
		at := (first + i) % len(c.hosts)
		conn, err := c.dialOne(ctx, at, writable)
		if err == nil {
			if writable {
				c.primary.Store(int32(at))
			}
			return conn, nil
		}
		faults = append(faults, err)
	}
	return nil, errors.Join(faults...)
}

func (c *connector) dialOne(ctx context.Context, at int, writable bool) (session, error) {
	if c.each > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, c.each)
		defer cancel()
	}
	made, err := c.hosts[at].Connect(ctx)
	if err != nil {
		return nil, err
	}
	conn, ok := made.(session)
	if !ok {
		panic(fmt.Sprintf("BUG: the driver's connection %T lacks something that database/sql makes use of", made))
	}
	if writable {
		var takes bool
		if takes, err = settingsOf(ctx, conn); err == nil && !takes {
			err = errTakesNoWrites
		}
		if err != nil {
			_ = conn.Close()
			return nil, err
		}
	}
	return conn, nil
}

// settingsOf is takesWrites for a connection that is in no pool yet.
func settingsOf(ctx context.Context, conn session) (bool, error) {
	rows, err := conn.QueryContext(ctx, readOnlySettings, nil)
	if answered(err) {
		return true, nil
	}
	if err != nil {
		return false, err
	}
	defer rows.Close()
	values := make([]driver.Value, len(rows.Columns()))
	if err := rows.Next(values); err != nil && !errors.Is(err, io.EOF) {
		return false, err
	}
	for _, v := range values {
		if text, ok := v.([]byte); ok && !off(string(text)) || v == int64(1) {
			return false, nil
		}
	}
	return true, nil
}

// renew is Moves.Renew: idle connections end now, those in use when they come back.
func renew(db *sql.DB, most int) {
	db.SetMaxIdleConns(0)
	db.SetMaxIdleConns(most)
}

// connectError says that a connection could not be made. Its mark is the type:
// faultOf looks for it before it looks at numbers.
type connectError struct{ err error }

// Error is the driver's text.
func (e *connectError) Error() string { return e.err.Error() }

// Unwrap returns the driver's error.
func (e *connectError) Unwrap() error { return e.err }
