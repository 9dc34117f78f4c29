// Package mysql reaches MySQL and MariaDB. Neither tells the types of parameters, so
// members of a body are bound by the declared types of the columns that a
// statement assigns them to.
package mysql

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"maps"
	"net"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/go-sql-driver/mysql"

	"hearth/internal/param"
	"hearth/internal/source/engine"
	"hearth/internal/source/sqltext"
	"hearth/internal/source/stdsql"
)

// fixedSettings are settings of the driver that exactness and safety rest on.
// Whatever a URL could change of them would change what is read or stored:
// clientFoundRows what counts as a change, parseTime and loc how times read,
// multiStatements and interpolateParams what a value can do to a statement, and
// allowAllFiles what a server can read from this machine.
var fixedSettings = []string{"multiStatements", "parseTime", "loc", "interpolateParams", "allowAllFiles", "clientFoundRows", "columnsWithAlias"}

// New reads mysql://user:password@host:port/name?driver-settings. It connects to
// nothing. Reads and writes share one pool.
func New(cfg engine.Config) (engine.Engine, error) {
	hosts := param.Hosts(cfg.URL)
	// database/sql makes some connections with no deadline of their own: a server that is
	// frozen would keep them, and their places in the pool, for as long as it is.
	to := &connector{moves: engine.NewMoves(), each: cfg.Timeout}
	if len(hosts) > 1 {
		to.each = cfg.Timeout / time.Duration(len(hosts)+1) // one that is dead has to leave some for the next
	}
	for _, host := range hosts {
		cfg := cfg
		cfg.URL = param.WithHost(cfg.URL, host)
		c, err := driverConfig(cfg)
		if err != nil {
			return nil, err
		}
		driver, err := mysql.NewConnector(c)
		if err != nil {
			return nil, fmt.Errorf("preparing MySQL's settings: %w", err)
		}
		to.hosts = append(to.hosts, driver)
	}
	to.moves.Dial, to.moves.Strict = to.dialPrimary, to.strict
	return stdsql.New(variant(to, cfg), func() (reads, writes *sql.DB, err error) {
		db := sql.OpenDB(to)
		to.moves.Renew = func() { renew(db, cfg.MaxConns) }
		db.SetMaxOpenConns(cfg.MaxConns)
		// Of database/sql's own accord only two idle connections would be kept,
		// and a burst would connect anew each time.
		db.SetMaxIdleConns(cfg.MaxConns)
		// The server drops idle connections after its wait_timeout; ours end
		// first. One that the server has dropped would be found out only by the
		// call that uses it.
		db.SetConnMaxIdleTime(time.Minute)
		return db, db, nil
	}), nil
}

// driverConfig turns a URL into the driver's configuration. Times are read and
// written in UTC, so that every instance of a fleet sees the same. No error that
// it returns quotes the URL or a setting's value: either may hold a password.
func driverConfig(cfg engine.Config) (*mysql.Config, error) {
	u, err := url.Parse(cfg.URL)
	if err != nil {
		return nil, errUnparsable
	}
	settings := u.Query()
	for _, name := range fixedSettings {
		if settings.Has(name) {
			return nil, fmt.Errorf("the setting %q of MySQL's driver cannot be changed; leave it out", name)
		}
	}
	variables, err := takeSettings(u, settings)
	if err != nil {
		return nil, err
	}
	c := mysql.NewConfig()
	c.User = u.User.Username()
	c.Passwd, _ = u.User.Password()
	c.DBName = strings.TrimPrefix(u.Path, "/")
	c.Net, c.Addr = "tcp", u.Host
	if u.Port() == "" {
		c.Addr = net.JoinHostPort(u.Hostname(), "3306")
	}
	// A socket stands in the settings, for a URL has no place for a path before the database.
	if socket := settings.Get("socket"); socket != "" {
		c.Net, c.Addr = "unix", socket
		settings.Del("socket")
	}
	c.Timeout = cfg.Timeout
	// The driver itself knows its settings; what it does not know becomes a
	// session variable.
	dsn, separator := c.FormatDSN(), "?"
	if c.Timeout > 0 {
		separator = "&"
	}
	for name := range settings { // alone first: the driver's text shows the value and not the name
		if _, err := mysql.ParseDSN(dsn + separator + url.Values{name: settings[name]}.Encode()); err != nil {
			return nil, fmt.Errorf("the setting %q has a value that MySQL's driver does not take; see its list of settings", name)
		}
	}
	// Together they may still contradict each other, as two settings of TLS do.
	if encoded := settings.Encode(); encoded != "" {
		dsn += separator + encoded
	}
	if c, err = mysql.ParseDSN(dsn); err != nil {
		return nil, errors.New("the settings behind the question mark contradict each other; see the list of MySQL's driver")
	}
	c.Logger = newDriverLog(cfg.Log)
	fix(c, variables)
	return c, renewing(c, cfg)
}

// fix sets what exactness rests on, and the variables of the session.
func fix(c *mysql.Config, variables map[string]string) {
	// Times are read as text: the driver would turn 2024-05-00 into another day.
	c.ParseTime, c.Loc, c.MultiStatements, c.InterpolateParams = false, time.UTC, false, false
	c.RejectReadOnly = false // see moves.go
	c.ClientFoundRows = true // a row that is set to what it was counts as changed
	if c.Params == nil {
		c.Params = map[string]string{}
	}
	maps.Copy(c.Params, variables)
	// TIMESTAMP is converted to the session's zone on its way. An operator may
	// still choose another zone; then TIMESTAMP is shown in that one.
	if _, set := c.Params["time_zone"]; !set {
		c.Params["time_zone"] = "'+00:00'"
	}
}

// variant is what stdsql has to know of MySQL and MariaDB.
func variant(to *connector, cfg engine.Config) stdsql.Variant {
	v := stdsql.Variant{
		Wanted:      func() { to.writes.Store(true) },
		TakesWrites: takesWrites, Moves: to.moves, Number: numberOf,

		Dialect: sqltext.MySQL,
		Begin:   "START TRANSACTION",
		// Then a SELECT locks what it reads, and of two transactions that have read
		// one row and change it the server ends one, as a deadlock. A snapshot, as by
		// default, would let both pass.
		Isolate:   []string{"ROLLBACK", "SET TRANSACTION ISOLATION LEVEL SERIALIZABLE", "START TRANSACTION"},
		Alive:     "SELECT 1",
		Append:    appendValue,
		Document:  appendDocument,
		Bind:      bind,
		Offending: offending,
		Catalog:   readCatalog,
		Documents: shownDocuments,
		Relations: relations,
		Fault:     faultOf,
		Fits:      fits,
		Commit:    commit,
		SetUp: func(ctx context.Context, conn *sql.Conn, init []string, demo bool) error {
			return setUp(ctx, conn, cfg.WaitOf(), init, demo)
		},

		Unprepared: func(err error) bool {
			var e *mysql.MySQLError
			return errors.As(err, &e) && e.Number == 1295
		},
		RehearsalPool: func(e *stdsql.Engine) (*sql.DB, func(), error) { return e.Writes, func() {}, nil },
		Rehearse:      rehearse,
	}
	if cfg.MarkWriter {
		v.Note, v.Unnote = note, unnote
	}
	return v
}

// appendValue writes a value of the binary protocol. BOOLEAN is TINYINT to MySQL,
// and so a number here. declared is the driver's name of the type, with UNSIGNED
// before it where the column is. What comes as bytes is text in the form of its
// type.
func appendValue(dst []byte, declared string, value any) ([]byte, error) {
	switch v := value.(type) {
	case nil:
		return engine.AppendNull(dst), nil
	case int64:
		return strconv.AppendInt(dst, v, 10), nil
	case uint64:
		return strconv.AppendUint(dst, v, 10), nil
	case float32:
		return engine.AppendFloat(dst, float64(v), 32), nil
	case float64:
		return engine.AppendFloat(dst, v, 64), nil
	case []byte:
		// The driver itself returns as text what exceeds an int64.
		return types[strings.TrimPrefix(declared, "UNSIGNED ")].Append(dst, v)
	case string:
		return appendValue(dst, declared, []byte(v))
	}
	return dst, fmt.Errorf("unexpected type %T", value)
}

// appendDocument writes a value that is JSON although the driver calls it text.
func appendDocument(dst []byte, declared string, value any) ([]byte, error) {
	if text, ok := value.([]byte); ok {
		return engine.AppendJSON(dst, text)
	}
	return appendValue(dst, declared, value)
}

// setUpLock is the named lock that instances hold while they set a database up.
const setUpLock = "hearth set-up"

// setUp holds a named lock, since instances start together and MySQL commits at
// every CREATE TABLE. The demo is filled under another name and renamed, so that
// no half of it can be left behind under its own. The lock is of the server, not
// of one database.
func setUp(ctx context.Context, conn *sql.Conn, wait time.Duration, init []string, demo bool) error {
	if len(init) == 0 && !demo {
		return nil
	}
	var got sql.NullInt64
	lock := fmt.Sprintf("SELECT GET_LOCK('%s', %g)", setUpLock, wait.Seconds())
	if err := conn.QueryRowContext(ctx, lock).Scan(&got); err != nil {
		return err
	}
	// 0 is the end of the wait, NULL an error such as a killed thread.
	if got.Int64 != 1 {
		key := "demo"
		if len(init) > 0 {
			key = engine.InitKey(0)
		}
		return &engine.InitError{Key: key, Err: &engine.HeldError{By: holder(ctx, conn)}}
	}
	defer func() { // should this fail, the lock ends with its connection
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), engine.RollbackTimeout)
		defer cancel()
		if _, err := conn.ExecContext(ctx, "DO RELEASE_LOCK('"+setUpLock+"')"); err != nil {
			_ = conn.Raw(func(any) error { return driver.ErrBadConn })
		}
	}()
	if err := stdsql.RunInit(ctx, conn, init); err != nil || !demo {
		return err
	}
	var tables int
	const exists = "SELECT count(*) FROM information_schema.tables WHERE table_schema = DATABASE() AND table_name = '" + engine.DemoTable + "'"
	if err := conn.QueryRowContext(ctx, exists).Scan(&tables); err != nil || tables > 0 {
		return err
	}
	// A crash leaves only the unfinished table behind, which the next start drops.
	const unfinished = engine.DemoTable + "_unfinished"
	if _, err := conn.ExecContext(ctx, "DROP TABLE IF EXISTS "+unfinished); err != nil {
		return err
	}
	if err := stdsql.FillDemo(ctx, conn, unfinished); err != nil {
		return err
	}
	_, err := conn.ExecContext(ctx, "RENAME TABLE "+unfinished+" TO "+engine.DemoTable)
	return err
}

// holder tells who holds the lock of the set-up, and how to end that. Of other accounts'
// threads MySQL tells the number alone to an account without the right PROCESS.
func holder(ctx context.Context, conn *sql.Conn) string {
	var id sql.NullInt64
	if err := conn.QueryRowContext(ctx, "SELECT IS_USED_LOCK('"+setUpLock+"')").Scan(&id); err != nil || !id.Valid {
		return fmt.Sprintf("a connection that cannot be seen holds the lock %q", setUpLock)
	}
	who := fmt.Sprintf("connection %d", id.Int64)
	var user, host, command string
	var seconds int64
	const lookUp = "SELECT user, host, command, time FROM information_schema.processlist WHERE id = ?"
	if conn.QueryRowContext(ctx, lookUp, id.Int64).Scan(&user, &host, &command, &seconds) == nil {
		who += fmt.Sprintf(" (account %q, from %s, %s for %d s)", user, host, command, seconds)
	}
	return fmt.Sprintf("%s holds the lock %q; if that is no instance that starts, end it by KILL %d", who, setUpLock, id.Int64)
}
