// Package postgres reaches PostgreSQL through pgx. Values go as text in both
// directions, the one form in which every type is exact and types of extensions
// work too; the server itself says what type each parameter has.
package postgres

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"

	"hearth/internal/source/engine"
	"hearth/internal/source/sqltext"
)

// server uses pgx's own pool and asks for all values as text, the one form in
// which every type is exact, and types of extensions work too. It implements
// engine.Engine and is safe for concurrent use. pool is nil until Open.
type server struct {
	config *pgxpool.Config
	pool   *pool
	types  sync.Map // uint32 (an OID) → valueType, of types that are not built in

	renew     func(*pgx.ConnConfig)     // who logs in, as it is by now
	chosen    bool                      // the URL says how statements are executed
	pooled    atomic.Bool               // sessions are handed from one client to another; see pooler.go
	setUpWait time.Duration             // for the lock of the set-up
	marks     bool                      // transactions note who writes
	alone     atomic.Pointer[time.Time] // when the set-up found no second session

	tellsOutcomes atomic.Bool // the database says what became of a transaction

	unlockable sync.Map // the texts of queries whose rows cannot be locked

	// Where connections lead; see moves.go.
	target  target
	judge   pgconn.ValidateConnectFunc // by target_session_attrs; nil: all will do
	lookup  pgconn.LookupFunc
	writes  atomic.Bool // resources write
	moves   *engine.Moves
	primary atomic.Int32           // the host where it was found last
	address atomic.Pointer[string] // the address of that; nil: not known
	rest    atomic.Int64           // when a primary was last looked for although nobody writes; ns
}

// New reads postgres://user:password@host:port/name?settings, with
// the settings of libpq and of pgxpool.
func New(cfg engine.Config) (engine.Engine, error) {
	if err := checkURL(cfg.URL); err != nil {
		return nil, err
	}
	c, err := pgxpool.ParseConfig(cfg.URL)
	if err != nil {
		return nil, errUnparsable
	}
	present := renewing(cfg, c.ConnConfig)
	// What the URL itself sets counts more than [database] max_conns.
	if !strings.Contains(cfg.URL, "pool_max_conns=") {
		c.MaxConns = int32(min(cfg.MaxConns, 1<<16))
	}
	// A connection that takes longer than a call may is of no use to any call.
	if c.ConnConfig.ConnectTimeout == 0 || c.ConnConfig.ConnectTimeout > cfg.Timeout {
		c.ConnConfig.ConnectTimeout = cfg.Timeout
	}
	params := c.ConnConfig.RuntimeParams
	params["datestyle"] = "ISO" // what engine.Type reads
	// The name shows in pg_stat_activity, by which an operator tells these
	// sessions from others.
	if params["application_name"] == "" {
		params["application_name"] = "hearth"
	}
	e := &server{
		config: c, setUpWait: cfg.WaitOf(), marks: cfg.MarkWriter, chosen: strings.Contains(cfg.URL, "default_query_exec_mode="),
		renew: func(to *pgx.ConnConfig) { renew(to, present.Now()) },
	}
	c.BeforeConnect, c.AfterConnect, c.PrepareConn = e.beforeConnect, e.afterConnect, e.prepareConn
	e.aim(targetOf(cfg.URL, c.ConnConfig), cfg.Timeout)
	return e, nil
}

// Dialect implements engine.Engine.
func (e *server) Dialect() sqltext.Dialect { return sqltext.PostgreSQL }

// Open starts the pool. It connects in the background, and no caller waits for that.
func (e *server) Open() (err error) {
	e.pool, err = openPool(e.config)
	return err
}

// Close waits until all connections have been given back. It may be called
// without Open. A transaction that nobody ends would keep it waiting.
func (e *server) Close() error {
	if e.pool != nil {
		e.pool.Close()
	}
	return nil
}

// Query implements engine.Engine. The connection goes back when the rows are
// read. A query that was given up is waited for first; see awaitEnd.
func (e *server) Query(ctx context.Context, q engine.Query) (*engine.Result, error) {
	conn, err := e.acquire(ctx, q.Remedy)
	if err != nil {
		return nil, err
	}
	defer conn.Release()
	defer awaitEnd(conn.Conn())
	return e.queryOn(ctx, conn.Conn(), q)
}

// Run implements engine.Engine. Statements go as simple text: PostgreSQL prepares none of
// those that define something.
func (e *server) Run(ctx context.Context, statements []string) error {
	conn, err := e.acquire(ctx, engine.RemedyNone)
	if err != nil {
		return err
	}
	defer conn.Release() // which ends a connection that is within a transaction still
	defer awaitEnd(conn.Conn())
	session := conn.Conn().PgConn()
	for _, text := range slices.Concat([]string{"BEGIN"}, statements, []string{"COMMIT"}) {
		if err := session.Exec(ctx, text).Close(); err != nil {
			return &engine.StatementError{Text: text, Err: err}
		}
	}
	return nil
}

// acquire takes a connection out of the pool, as the remedy asks for it. What a
// connection remembers of statements is its own: that others have forgotten it
// says nothing. One that was lost is not alone: a server that restarts takes all
// of them away, and the pool gives them out unseen for a second.
func (e *server) acquire(ctx context.Context, r engine.Remedy) (*pgxpool.Conn, error) {
	switch r {
	case engine.RemedyConnection:
		e.moves.Lost()
	case engine.RemedyPrimary:
		if !e.moves.Seek(ctx, e.moves.Number()) {
			return nil, engine.ErrNoPrimary
		}
	}
	for {
		conn, err := e.pool.Acquire(ctx)
		if err != nil {
			return nil, err
		}
		switch r {
		// The statement is prepared anew on this very connection, by the tables
		// as they are now.
		case engine.RemedyPlan:
			err = forget(ctx, conn.Conn())
		case engine.RemedyConnection:
			if err = conn.Ping(ctx); err != nil && ctx.Err() == nil && conn.Conn().IsClosed() {
				conn.Release() // which ends it; the pool has one less, or makes a new one
				continue
			}
		}
		if err != nil {
			conn.Release()
			return nil, err
		}
		return conn, nil
	}
}

// forget has the connection forget what it knows of statements. One that keeps none has
// nothing to forget; behind a pooler it would take away what is another client's.
func forget(ctx context.Context, conn *pgx.Conn) error {
	if mode := modeOf(conn); mode != pgx.QueryExecModeCacheStatement && mode != pgx.QueryExecModeCacheDescribe {
		return nil
	}
	return conn.DeallocateAll(ctx)
}

// awaitEnd waits until PostgreSQL has ended a query that was given up: pgx
// returns at once, closes the connection and cancels beside it. The call must not
// return while its query still runs, or more queries run at once than the
// caller's cap allows. A second bounds the wait: a server that does not answer
// the cancellation at all is not waited for.
func awaitEnd(conn *pgx.Conn) {
	if !conn.IsClosed() {
		return
	}
	timer := time.NewTimer(time.Second)
	defer timer.Stop()
	select {
	case <-conn.PgConn().CleanupDone():
	case <-timer.C:
	}
}

// queryOn reads all rows before it writes any as JSON, since unknown types are
// looked up on the same connection. Cells are copied out of pgx's buffer, which
// the next row overwrites.
func (e *server) queryOn(ctx context.Context, conn *pgx.Conn, q engine.Query) (_ *engine.Result, err error) {
	defer func() { e.learn(err) }()
	args := append([]any{pgx.QueryResultFormats{pgx.TextFormatCode}}, q.Args...)
	rows, err := conn.Query(ctx, q.SQL, args...)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	res := &engine.Result{}
	var oids []uint32
	for _, f := range rows.FieldDescriptions() {
		res.Names = append(res.Names, f.Name)
		oids = append(oids, f.DataTypeOID)
	}
	for rows.Next() {
		if q.One && len(res.Rows) == 2 || q.Most > 0 && len(res.Rows) == q.Most {
			continue // to the end all the same: an error may come after rows
		}
		cells := make([][]byte, len(oids))
		for i, raw := range rows.RawValues() {
			cells[i] = bytes.Clone(raw)
		}
		res.Rows = append(res.Rows, cells)
	}
	rows.Close()
	if err := rows.Err(); err != nil {
		return nil, err
	}
	if len(res.Rows) == 0 {
		return res, nil
	}
	return res, e.write(ctx, conn, res, oids, engine.DocumentColumn(res.Names, q.Keyed))
}

// write turns cells from PostgreSQL's text into JSON. A value that cannot be
// written is a *engine.ValueError with its column; the rows are of no use then.
// document is the index of the column that is JSON by the statement's word, or
// -1.
func (e *server) write(ctx context.Context, conn *pgx.Conn, res *engine.Result, oids []uint32, document int) error {
	types := make([]valueType, len(oids))
	for i, oid := range oids {
		t, err := e.typeOf(ctx, conn, oid)
		if err != nil {
			return err
		}
		if i == document && (t.base == engine.TypeText || t.base == engine.TypeOther) {
			t.base = engine.TypeJSON
		}
		types[i] = t
	}
	for _, cells := range res.Rows {
		for i, raw := range cells {
			cell, err := types[i].append(nil, raw)
			if err != nil {
				return &engine.ValueError{Column: res.Names[i], Err: err}
			}
			cells[i] = cell
		}
	}
	return nil
}

// typeOf looks types up that are not built in, once each. A domain is what it
// rests on; a type that is no array is text to us, whatever it is. Answers are
// kept for good, as OIDs are not given to another type while a type exists. Two
// calls that look one up at once store the same.
func (e *server) typeOf(ctx context.Context, conn *pgx.Conn, oid uint32) (valueType, error) {
	if t, ok := builtIn(oid); ok {
		return t, nil
	}
	if t, ok := e.types.Load(oid); ok {
		return t.(valueType), nil
	}
	// The type may be a domain, one of another even, and so may an array's
	// element; a base type is what its text looks like.
	const lookUp = `WITH RECURSIVE base AS (
		SELECT oid, typtype, typbasetype, typelem, typoutput FROM pg_type WHERE oid = $1
		UNION ALL SELECT b.oid, b.typtype, b.typbasetype, b.typelem, b.typoutput FROM base
			JOIN pg_type b ON base.typtype = 'd' AND b.oid = base.typbasetype),
	element AS (
		SELECT e.oid, e.typtype, e.typbasetype, e.typdelim FROM base JOIN pg_type e ON e.oid = base.typelem
			WHERE base.typtype <> 'd' AND base.typoutput = 'array_out'::regproc
		UNION ALL SELECT b.oid, b.typtype, b.typbasetype, element.typdelim FROM element
			JOIN pg_type b ON element.typtype = 'd' AND b.oid = element.typbasetype)
	SELECT base.oid, element.oid, element.typdelim::text FROM base LEFT JOIN element ON element.typtype <> 'd' WHERE base.typtype <> 'd'`
	var base uint32
	var element *uint32
	var delimiter *string
	err := conn.QueryRow(ctx, lookUp, oid).Scan(&base, &element, &delimiter)
	// No row means that the type was dropped meanwhile: its values are text then.
	if err != nil && !errors.Is(err, pgx.ErrNoRows) {
		return valueType{}, fmt.Errorf("looking the type %d up: %w", oid, err)
	}
	// What is not built in is TypeOther, whose form is its text.
	t, _ := builtIn(base)
	if element != nil {
		t, _ = builtIn(*element)
		t.array, t.delimiter = true, (*delimiter)[0]
	}
	e.types.Store(oid, t)
	return t, nil
}

// builtIn knows the types whose OIDs are the same on every server.
func builtIn(oid uint32) (valueType, bool) {
	kind, ok := types[oid]
	return valueType{base: kind}, ok
}

// Columns describes the statement, and runs nothing. It uses the unnamed
// statement, so nothing stays prepared on the connection.
func (e *server) Columns(ctx context.Context, q engine.Query) ([]string, error) {
	conn, err := e.pool.Acquire(ctx)
	if err != nil {
		return nil, err
	}
	defer conn.Release()
	description, err := conn.Conn().PgConn().Prepare(ctx, "", q.SQL, nil)
	if err != nil {
		return nil, err
	}
	var names []string
	for _, f := range description.Fields {
		names = append(names, f.Name)
	}
	return names, nil
}

// Fits lets PostgreSQL read each argument as the type it inferred for it, and
// nothing else. It tells a key that no record can have from a statement that
// fails on the data. Where it cannot ask, it says true: the error that was met
// then counts as the statement's, and an operator is told. Only arguments that go
// as text can fail to be read.
func (e *server) Fits(ctx context.Context, q engine.Query) bool {
	conn, err := e.pool.Acquire(ctx)
	if err != nil {
		return true
	}
	defer conn.Release()
	session := conn.Conn().PgConn()
	description, err := session.Prepare(ctx, "", q.SQL, nil)
	if err != nil {
		return true
	}
	for i, oid := range description.ParamOIDs {
		text, ok := q.Args[i].(string)
		if !ok {
			continue
		}
		res := session.ExecParams(ctx, "SELECT $1", [][]byte{[]byte(text)}, []uint32{oid}, nil, nil).Read()
		if e.Fault(res.Err).Class == engine.FaultData {
			return false
		}
	}
	return true
}
