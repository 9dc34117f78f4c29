// Package sqlite reaches SQLite, which runs in this process. A value of SQLite need
// not be of its column's type, so what is written is compared with what stands.
package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"

	"hearth/internal/source/engine"
	"hearth/internal/source/sqltext"
	"hearth/internal/source/stdsql"
	"hearth/internal/sqlitefile"
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
	file := sqlitefile.New(path)
	return stdsql.New(variant(file, cfg.Timeout), func() (reads, writes *sql.DB, err error) {
		reads, writes = open(file, cfg)
		return reads, writes, nil
	}), nil
}

// open opens two pools. Readers have connections of their own and never wait for
// the one writer (write-ahead log); a database in memory has one connection for
// both, since it is that connection's own. Where both pools are one, the caller
// must not close it twice; stdsql.Engine.Close looks.
func open(f *sqlitefile.File, cfg engine.Config) (reads, writes *sql.DB) {
	// SQLite has one writer at a time; a second connection would only wait within SQLite,
	// where no context reaches it.
	writes = f.Pool(sqlitefile.Settings{Conns: 1, Busy: cfg.Timeout, AsIs: cfg.Look})
	if f.Path() == "" {
		return writes, writes
	}
	return f.Pool(sqlitefile.Settings{Conns: cfg.MaxConns, Busy: cfg.Timeout, ReadOnly: true, AsIs: cfg.Look}), writes
}

// alive is a question that needs the file.
const alive = "PRAGMA schema_version"

// variant is what stdsql has to know of SQLite. Isolate, Catalog and Documents
// are missing: the write lock isolates, bind reads the catalog itself, and a
// column of JSON is declared as such.
func variant(f *sqlitefile.File, busy time.Duration) stdsql.Variant {
	return stdsql.Variant{
		Dialect: sqltext.SQLite,
		// IMMEDIATE takes the write lock at once, where it can be waited for;
		// a transaction that begins by reading cannot wait later.
		Begin:     "BEGIN IMMEDIATE", // nobody else writes until it ends, so there is nothing to isolate
		Alive:     alive,
		Append:    appendValue,
		Document:  appendDocument,
		Bind:      bind,
		Offending: offending,
		Relations: relations,
		Fault:     faultOf,
		Commit:    commit,
		SetUp: func(ctx context.Context, conn *sql.Conn, init []string, demo bool) error {
			return setUp(ctx, f, conn, busy, init, demo)
		},

		Renewed: f.Renewed,
		TakesWrites: func(ctx context.Context, db stdsql.Asker) (bool, error) {
			var sign any
			err := db.QueryRowContext(ctx, alive).Scan(&sign)
			return err == nil && (f.Path() == "" || f.Writable()), err
		},
		Unprepared:    func(error) bool { return false },
		RehearsalPool: func(*stdsql.Engine) (*sql.DB, func(), error) { return openRehearsal(f, busy) },
		Rehearse:      rehearse,
	}
}

// commit lets COMMIT run to its end whatever becomes of ctx: it is local, bounded
// by the busy timeout, and so its outcome is always known. It returns no Outcome.
// The context is cut off because an interrupt in the middle would leave the
// caller without an answer.
func commit(ctx context.Context, conn *sql.Conn) (stdsql.Outcome, error) {
	// What is written to a file that has lost its name is written for nobody.
	if sqlitefile.Outdated(conn) {
		return nil, sqlitefile.ErrReplaced
	}
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
	{Class: engine.FaultReference, Reason: engine.ReasonReference}:           {sqlite3.SQLITE_CONSTRAINT_FOREIGNKEY},
	{Class: engine.FaultRule, Reason: engine.ReasonType}:                     {sqlite3.SQLITE_CONSTRAINT_DATATYPE},
	{Class: engine.FaultRule, Reason: engine.ReasonCheck}:                    {sqlite3.SQLITE_CONSTRAINT},
	{Class: engine.FaultData, Reason: engine.ReasonType}:                     {sqlite3.SQLITE_MISMATCH, sqlite3.SQLITE_TOOBIG},
	{Class: engine.FaultLost, Says: "the database's file cannot be opened"}:  {sqlite3.SQLITE_CANTOPEN},
	{Class: engine.FaultLost, Says: "the disk of the database's file fails"}: {sqlite3.SQLITE_IOERR},
	// A file, or its file system, that takes no writes. Reads work on.
	{ReadOnly: true}: {sqlite3.SQLITE_READONLY},
	{Class: engine.FaultLost, Remedy: engine.RemedyConnection}:                                                     {sqlite3.SQLITE_READONLY_DBMOVED},
	{Class: engine.FaultBusy, Remedy: engine.RemedyRepeat, Says: "another process has locked the database's file"}: {sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED, sqlite3.SQLITE_PROTOCOL},
	{Class: engine.FaultBusy, Remedy: engine.RemedyPlan}:                                                           {sqlite3.SQLITE_SCHEMA},
	{Class: engine.FaultSlow}: {sqlite3.SQLITE_INTERRUPT},
	{Class: engine.FaultRefused}: {
		sqlite3.SQLITE_ERROR, sqlite3.SQLITE_PERM, sqlite3.SQLITE_AUTH, sqlite3.SQLITE_RANGE, sqlite3.SQLITE_MISUSE,
	},
	{Class: engine.FaultRefused, Says: "the database's file is damaged, or is no database"}: {sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB},
})

// faultOf gives FaultOther to an error that is not SQLite's own: there is no
// connection to lose.
func faultOf(err error) engine.Fault {
	var pending *sqlitefile.PendingLog
	switch {
	case errors.Is(err, sqlitefile.ErrReplaced):
		return engine.Fault{Class: engine.FaultLost, Remedy: engine.RemedyConnection}
	case errors.Is(err, sqlitefile.ErrGone):
		return engine.Fault{Class: engine.FaultLost, Says: "the database's file is gone"}
	case errors.As(err, &pending):
		return engine.Fault{Class: engine.FaultLost, Says: "the database's file is read-only, and its write-ahead log is not in it"}
	}
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
// open their own. One that was waited for in vain for as long as busy allows is held
// by somebody who may never let it go.
func setUp(ctx context.Context, f *sqlitefile.File, conn *sql.Conn, busy time.Duration, init []string, demo bool) error {
	began := time.Now()
	first := "demo"
	if len(init) > 0 {
		first = engine.InitKey(0)
	}
	err := stdsql.RunInit(ctx, conn, init)
	if err == nil && demo {
		err = createDemo(ctx, conn)
	}
	switch {
	case faultOf(err).Class == engine.FaultBusy && time.Since(began) >= busy*8/10:
		by := f.Holders()
		if by == "" {
			by = "another process"
		}
		return &engine.InitError{Key: first, Err: &engine.HeldError{By: by + " has locked the file; end it, or what it does there"}}
	case sqlitefile.Code(err) == sqlite3.SQLITE_READONLY && !errors.As(err, new(*engine.InitError)):
		return &engine.InitError{Key: "demo", Err: err}
	}
	return err
}

// createDemo creates and fills the demo's table, if there is none.
func createDemo(ctx context.Context, conn *sql.Conn) (err error) {
	exists := func() (bool, error) {
		var tables int
		const count = "SELECT count(*) FROM sqlite_master WHERE lower(name) = '" + engine.DemoTable + "'"
		err := conn.QueryRowContext(ctx, count).Scan(&tables)
		return tables > 0, err
	}
	// A file that takes no writes may have it.
	if there, err := exists(); err != nil || there {
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
	there, err := exists()
	if err != nil {
		return err
	}
	if !there {
		if err := stdsql.FillDemo(ctx, conn, engine.DemoTable); err != nil {
			return err
		}
	}
	_, err = conn.ExecContext(ctx, "COMMIT")
	return err
}
