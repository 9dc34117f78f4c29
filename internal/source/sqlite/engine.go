// Package sqlite reaches SQLite, which runs in this process. A value of SQLite need
// not be of its column's type, so what is written is compared with what stands.
package sqlite

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"time"

	"modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"

	"hearth/internal/private"
	"hearth/internal/source/engine"
	"hearth/internal/source/sqltext"
	"hearth/internal/source/stdsql"
)

// New reads sqlite:PATH. It touches no file. sqlite://PATH is taken as well, and
// :memory: is a database of this process alone, which ends with it.
func New(cfg engine.Config) (engine.Engine, error) {
	path := strings.TrimPrefix(strings.TrimPrefix(cfg.URL, "sqlite:"), "//")
	switch {
	case path == "":
		return nil, errors.New("the path is missing; write sqlite:PATH")
	case strings.Contains(path, "?"):
		return nil, errors.New("a path of SQLite takes no parameters; write sqlite:PATH without a ?")
	case path == ":memory:":
		path = ""
	}
	file := &file{path: path}
	return stdsql.New(variant(path, cfg.Timeout), func() (*sql.DB, *sql.DB, error) { return file.open(cfg) }), nil
}

// file is the file behind pools of connections, or none where path is empty. The
// connectors of both pools share it, so that making guards the making for both.
type file struct {
	path   string
	making sync.Mutex
}

// makeOnce makes the file if there is none, readable for this user alone. The lock
// keeps a second connection from opening the file while the maker still has it
// open: closing it there would give up that connection's locks. What goes wrong is
// left to SQLite to report, when it finds no file either.
func (f *file) makeOnce() {
	if f.path == "" {
		return
	}
	f.making.Lock()
	defer f.making.Unlock()
	// An error is not lost: SQLite meets the same one when it opens the file.
	_ = private.Create(f.path)
}

// connector opens connections to a file that exists.
type connector struct {
	file   *file
	driver driver.Driver
	dsn    string
}

// Driver implements driver.Connector.
func (c connector) Driver() driver.Driver { return c.driver }

// Connect makes the file first, with the mode of private.Create: SQLite would
// take the one that the umask leaves. It runs for each new connection, so a file
// that was deleted while the server runs is made anew with the same mode.
func (c connector) Connect(context.Context) (driver.Conn, error) {
	c.file.makeOnce()
	return c.driver.Open(c.dsn)
}

// open opens two pools. Readers have connections of their own and never wait for
// the one writer (write-ahead log); a database in memory has one connection for
// both, since it is that connection's own. Where both pools are one, the caller
// must not close it twice; stdsql.Engine.Close looks.
func (f *file) open(cfg engine.Config) (reads, writes *sql.DB, err error) {
	name := "file::memory:"
	if f.path != "" {
		// A path is escaped piece by piece: SQLite decodes %2F, but the driver
		// must not see a question mark.
		name = "file:" + (&url.URL{Path: f.path}).EscapedPath()
	}
	if writes, err = f.openPool(name, cfg.Timeout, false); err != nil {
		return nil, nil, err
	}
	// SQLite has one writer at a time; a second connection would only wait within SQLite,
	// where no context reaches it.
	writes.SetMaxOpenConns(1)
	if f.path == "" {
		return writes, writes, nil
	}
	if reads, err = f.openPool(name, cfg.Timeout, true); err != nil {
		return nil, nil, errors.Join(err, writes.Close())
	}
	reads.SetMaxOpenConns(cfg.MaxConns)
	reads.SetMaxIdleConns(cfg.MaxConns)
	return reads, writes, nil
}

// openPool opens no file yet: each connection does, when it is made. The settings
// stand in the name of the file, since the driver applies them to each connection
// that the pool makes.
func (f *file) openPool(name string, busy time.Duration, readOnly bool) (*sql.DB, error) {
	v := url.Values{}
	// A lock that is kept for too long has to be told from a file that does not
	// answer, and so waiting for it ends before the call's time does.
	v.Set("_busy_timeout", strconv.FormatInt(max(busy.Milliseconds()*9/10, 1), 10))
	// WAL lets readers go on while the writer commits. The mode stays in the
	// file, so setting it again changes nothing.
	v.Set("_journal_mode", "WAL")
	// SQLite checks foreign keys only where a connection asks for it.
	v.Set("_foreign_keys", "1")
	if readOnly {
		v.Set("_query_only", "1") // a select is no place for a write
	}
	registered, err := sql.Open("sqlite", "") // only to learn the driver; it connects to nothing
	if err != nil {
		return nil, err
	}
	connector := connector{f, registered.Driver(), name + "?" + v.Encode()}
	return sql.OpenDB(connector), registered.Close()
}

// variant is what stdsql has to know of SQLite. Isolate, Catalog and Documents
// are missing: the write lock isolates, bind reads the catalog itself, and a
// column of JSON is declared as such.
func variant(path string, busy time.Duration) stdsql.Variant {
	return stdsql.Variant{
		Dialect: sqltext.SQLite,
		// IMMEDIATE takes the write lock at once, where it can be waited for;
		// a transaction that begins by reading cannot wait later.
		Begin:     "BEGIN IMMEDIATE", // nobody else writes until it ends, so there is nothing to isolate
		Alive:     "PRAGMA schema_version",
		Append:    appendValue,
		Document:  appendDocument,
		Bind:      bind,
		Offending: offending,
		Fault:     faultOf,
		Commit:    commit,
		SetUp:     setUp,

		Unprepared:    func(error) bool { return false },
		RehearsalPool: func(*stdsql.Engine) (*sql.DB, func(), error) { return openRehearsal(path, busy) },
		Rehearse:      rehearse,
	}
}

// commit lets COMMIT run to its end whatever becomes of ctx: it is local, bounded
// by the busy timeout, and so its outcome is always known. It returns no Outcome.
// The context is cut off because an interrupt in the middle would leave the
// caller without an answer.
func commit(ctx context.Context, conn *sql.Conn) (stdsql.Outcome, error) {
	_, err := conn.ExecContext(context.WithoutCancel(ctx), "COMMIT")
	return nil, err
}

// faults are SQLite's result codes: extended ones, and primary ones for the rest.
// What is not among them, a full disk for one, lets reads work on. The primary
// code is the low byte of an extended one.
var faults = engine.FaultsByCode(map[*engine.Fault][]int{
	{Class: engine.FaultRule, Reason: engine.ReasonNull}: {sqlite3.SQLITE_CONSTRAINT_NOTNULL},
	{Class: engine.FaultRule, Reason: engine.ReasonTaken}: {
		sqlite3.SQLITE_CONSTRAINT_UNIQUE, sqlite3.SQLITE_CONSTRAINT_PRIMARYKEY, sqlite3.SQLITE_CONSTRAINT_ROWID,
	},
	{Class: engine.FaultReference, Reason: engine.ReasonReference}: {sqlite3.SQLITE_CONSTRAINT_FOREIGNKEY},
	{Class: engine.FaultRule, Reason: engine.ReasonType}:           {sqlite3.SQLITE_CONSTRAINT_DATATYPE},
	{Class: engine.FaultRule, Reason: engine.ReasonCheck}:          {sqlite3.SQLITE_CONSTRAINT},
	{Class: engine.FaultData, Reason: engine.ReasonType}:           {sqlite3.SQLITE_MISMATCH, sqlite3.SQLITE_TOOBIG},
	{Class: engine.FaultLost}:                                      {sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_IOERR},
	{Class: engine.FaultBusy, Remedy: engine.RemedyRepeat}:         {sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED, sqlite3.SQLITE_PROTOCOL},
	{Class: engine.FaultBusy, Remedy: engine.RemedyPlan}:           {sqlite3.SQLITE_SCHEMA},
	{Class: engine.FaultSlow}:                                      {sqlite3.SQLITE_INTERRUPT},
	{Class: engine.FaultRefused}: {
		sqlite3.SQLITE_ERROR, sqlite3.SQLITE_PERM, sqlite3.SQLITE_AUTH, sqlite3.SQLITE_READONLY, sqlite3.SQLITE_CORRUPT,
		sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_RANGE, sqlite3.SQLITE_MISUSE,
	},
})

// faultOf gives FaultOther to an error that is not SQLite's own: there is no
// connection to lose.
func faultOf(err error) engine.Fault {
	var e *sqlite.Error
	if !errors.As(err, &e) {
		return engine.Fault{}
	}
	// Besides statements SQLITE_ERROR means values that functions do not take.
	// Only the text tells a value that a function does not take from a faulty
	// statement: both come with this code.
	text := e.Error()
	if e.Code()&0xff == sqlite3.SQLITE_ERROR && (strings.Contains(text, "malformed JSON") || strings.Contains(text, "integer overflow")) {
		return engine.Fault{Class: engine.FaultData, Reason: engine.ReasonType}
	}
	if f, ok := faults[e.Code()]; ok {
		return f
	}
	return faults[e.Code()&0xff]
}

// appendValue writes a value by what it is, as SQLite's own typing has it. The
// declared type adds only what values cannot tell: booleans, times, JSON, and
// numbers that had to stay text to stay exact. declared is in capitals, as the
// driver has it, and still with its numbers. A value that the declaration does
// not fit is shown as what it is.
func appendValue(dst []byte, declared string, value any) ([]byte, error) {
	base, _, _ := strings.Cut(declared, "(")
	base = strings.TrimSpace(base)
	switch v := value.(type) {
	case nil:
		return engine.AppendNull(dst), nil
	// SQLite has no booleans: the declaration tells them from integers.
	case int64:
		if (base == "BOOLEAN" || base == "BOOL") && (v == 0 || v == 1) {
			return strconv.AppendBool(dst, v == 1), nil
		}
		return strconv.AppendInt(dst, v, 10), nil
	case float64:
		return engine.AppendFloat(dst, v, 64), nil
	case []byte:
		return engine.AppendBytes(dst, v), nil
	// Times are shown in UTC, whatever zone the text has named.
	case time.Time:
		// The driver parses texts of columns declared as times, also such that hold a day alone.
		if base == "DATE" && v.Equal(v.Truncate(24*time.Hour)) {
			return engine.AppendDate(dst, v), nil
		}
		return engine.AppendTime(dst, v), nil
	case string:
		return appendText(dst, base, v)
	}
	return dst, fmt.Errorf("unexpected type %T", value)
}

// appendText writes text as what its column is declared for, where the text
// allows it. A text that is not what the declaration says stays a text, but for
// JSON, which is a fault then.
func appendText(dst []byte, base, text string) ([]byte, error) {
	switch {
	case base == "JSON" || base == "JSONB":
		return engine.AppendJSON(dst, []byte(text))
	case (base == "DECIMAL" || base == "NUMERIC") && engine.IsNumber([]byte(text)):
		return append(dst, text...), nil
	case strings.HasPrefix(base, "TIMESTAMP") || strings.HasPrefix(base, "DATETIME"):
		if t, err := time.Parse(time.RFC3339Nano, text); err == nil {
			return engine.AppendTime(dst, t), nil
		}
	}
	return engine.AppendText(dst, text), nil
}

// appendDocument writes a value that is JSON by the statement's word. What is no
// text is JSON by its own type. A NULL stays null, which is no record.
func appendDocument(dst []byte, declared string, value any) ([]byte, error) {
	switch v := value.(type) {
	case string:
		return engine.AppendJSON(dst, []byte(v))
	case []byte:
		return engine.AppendJSON(dst, v)
	}
	return appendValue(dst, declared, value)
}

// setUp needs no lock around init: statements of other processes wait for the
// file's own. Only the demo is one transaction: init may hold statements that
// open their own.
func setUp(ctx context.Context, conn *sql.Conn, init []string, demo bool) (err error) {
	if err := stdsql.RunInit(ctx, conn, init); err != nil || !demo {
		return err
	}
	if _, err := conn.ExecContext(ctx, "BEGIN IMMEDIATE"); err != nil {
		return err
	}
	defer func() {
		if err != nil {
			_, _ = conn.ExecContext(context.WithoutCancel(ctx), "ROLLBACK")
		}
	}()
	// Within IMMEDIATE no other connection can make the table between this look
	// and the making.
	var tables int
	const exists = "SELECT count(*) FROM sqlite_master WHERE lower(name) = '" + engine.DemoTable + "'"
	if err := conn.QueryRowContext(ctx, exists).Scan(&tables); err != nil {
		return err
	}
	if tables == 0 {
		if err := stdsql.FillDemo(ctx, conn, engine.DemoTable); err != nil {
			return err
		}
	}
	_, err = conn.ExecContext(ctx, "COMMIT")
	return err
}
