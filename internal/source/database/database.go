// Package database makes records out of the rows of a SQL database: it prepares a
// resource's statements, runs them, proves that the row found is the one that was
// asked for, and turns failures into the errors of package source. All databases
// are alike to it but for what package engine says of them.
package database

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"hearth/internal/source"
	"hearth/internal/source/engine"
	"hearth/internal/source/mysql"
	"hearth/internal/source/postgres"
	"hearth/internal/source/sqlite"
	"hearth/internal/source/sqltext"
)

// setUpTimeout bounds one attempt at the set-up: init statements may build
// indexes.
const setUpTimeout = time.Minute

// A DB is built, set up and closed:
//
//	New ──► built ──first call──► attempt ──all done──► ready
//	           ▲                     │
//	           └──not reached, ──────┘      What the database refuses of init does not
//	              next call tries           keep it from being ready: an operator mends
//	              again                     it, and a probe tries that again.
//
// Close ends an attempt that runs, and all calls after it fail with ErrClosed.

// DB is a database and the pool of connections to it. It is safe for
// concurrent use. It needs no database to be opened and heals by itself: each
// call that finds the set-up undone tries it again.
type DB struct {
	cfg    engine.Config
	engine engine.Engine
	open   func() error // the engine's, once

	// A refusal of init does not keep the database from being ready; see
	// noteInit.
	initRefused atomic.Pointer[source.Refusal] // what the database refuses of the set-up

	up       atomic.Bool
	ready    atomic.Bool // the set-up is done
	writes   atomic.Bool // some records are written to
	readOnly atomic.Bool // the server took no writes at the latest ping

	ctx    context.Context // of set-up attempts; ends at Close
	cancel context.CancelFunc
	wg     sync.WaitGroup // the attempt's goroutine

	mu      sync.Mutex
	attempt *attempt      // the set-up being tried, or nil
	retry   chan struct{} // closed when init, which was refused, has been tried again; nil while it is not
	closed  bool
}

// attempt is one try at the set-up, shared by all who wait for it.
type attempt struct {
	done chan struct{}
	err  error // valid once done is closed
}

// New prepares a DB. It starts nothing: the first call that needs the database opens
// it. An error is about the configuration, and its text never holds the URL's
// password.
func New(cfg engine.Config) (*DB, error) {
	e, err := Engine(cfg)
	if err != nil {
		return nil, err
	}
	db := &DB{cfg: cfg, engine: e, open: sync.OnceValue(e.Open)}
	db.ctx, db.cancel = context.WithCancel(context.Background())
	return db, nil
}

// Engine reads the URL of cfg, which says what kind of database it is. It starts
// nothing. Its error's text never holds the password.
func Engine(cfg engine.Config) (engine.Engine, error) {
	scheme, _, _ := strings.Cut(cfg.URL, ":")
	newEngine := map[string]func(engine.Config) (engine.Engine, error){
		"sqlite": sqlite.New, "postgres": postgres.New, "postgresql": postgres.New, "mysql": mysql.New,
	}[scheme]
	if newEngine == nil {
		return nil, errors.New("reading database.url: unknown kind of database; write sqlite:PATH, postgres://… or mysql://…")
	}
	e, err := newEngine(cfg)
	if err != nil {
		return nil, fmt.Errorf("reading database.url: %w", err)
	}
	return e, nil
}

// Close ends all connections. Every Change has to be ended before. It waits for
// an attempt at the set-up, which its context ends. A second Close does nothing.
func (db *DB) Close() error {
	db.mu.Lock()
	if db.closed {
		db.mu.Unlock()
		return nil
	}
	// From here on begin and retryInit start no goroutine, so the Wait below
	// cannot race with an Add.
	db.closed = true
	db.mu.Unlock()
	db.cancel()
	db.wg.Wait()
	db.up.Store(false)
	return db.engine.Close()
}

// marksWriters tells whether transactions note who writes.
func (db *DB) marksWriters() bool {
	return db.cfg.MarkWriter && db.engine.Dialect() != sqltext.SQLite
}

// Up tells whether the latest call reached the database and the set-up is done.
// It sends nothing.
func (db *DB) Up() bool { return db.up.Load() }

// wait returns nil once the set-up is done. It joins the attempt in progress or
// begins one. Its errors are marked already. When ctx ends first, the attempt
// goes on for others; only this caller leaves.
func (db *DB) wait(ctx context.Context) error {
	if db.ready.Load() {
		return nil
	}
	a, err := db.begin()
	if a == nil {
		return err
	}
	select {
	case <-a.done:
		return a.err
	case <-ctx.Done():
		return db.mark(ctx, fmt.Errorf("waiting for the database's set-up: %w", ctx.Err()))
	}
}

// begin returns the attempt to wait for; without one the set-up is done or
// the database closed.
func (db *DB) begin() (*attempt, error) {
	db.mu.Lock()
	defer db.mu.Unlock()
	switch {
	case db.closed:
		return nil, source.ErrClosed
	// Asked again under the lock: an attempt may have ended since wait looked.
	case db.ready.Load():
		return nil, nil
	case db.attempt != nil:
		return db.attempt, nil
	}
	a := &attempt{done: make(chan struct{})}
	db.attempt = a
	db.wg.Go(func() { db.try(a) })
	return a, nil
}

// try runs the set-up. It is on no caller's clock: one that gives up early
// must not undo half of it for those who wait longer.
func (db *DB) try(a *attempt) {
	ctx, cancel := context.WithTimeout(db.ctx, setUpTimeout)
	defer cancel()
	// Deferred before the function below and so run after it: a.err and ready are
	// set when the waiters wake.
	defer close(a.done)
	defer func() {
		if p := recover(); p != nil {
			a.err = fmt.Errorf("setting the database up: panic: %v", p)
		}
		if a.err != nil {
			a.err = source.Mark(engineError{a.err, db.engine.Fault(a.err)}, db.setUpSentinel(a.err))
		}
		db.up.Store(a.err == nil)
		db.mu.Lock()
		defer db.mu.Unlock()
		db.ready.Store(a.err == nil)
		db.attempt = nil
	}()
	// What the database refuses of init is the operator's to mend, and no reason
	// to keep from it all that needs nothing of it.
	if err := db.setUp(ctx); !db.noteInit(err) {
		a.err = fmt.Errorf("setting the database up: %w", err)
	}
}

// setUp tries again while another process is at it: SQLite does not wait for a
// lock where it sees a deadlock coming, as when several turn a new file's
// write-ahead log on. It tries for as long as one call may take, every 20 ms. Any
// other fault ends it at once; the next call begins a new attempt.
func (db *DB) setUp(ctx context.Context) error {
	again := time.NewTicker(20 * time.Millisecond)
	defer again.Stop()
	if err := db.open(); err != nil {
		return err
	}
	for end := time.Now().Add(db.cfg.Timeout); ; {
		err := db.engine.SetUp(ctx, db.cfg.Init, db.cfg.Demo)
		if err == nil || db.engine.Fault(err).Class != engine.FaultBusy || time.Now().After(end) {
			return err
		}
		select {
		case <-again.C:
		case <-ctx.Done():
			return err
		}
	}
}

// setUpSentinel is the sentinel for a set-up that failed with err: ErrClosed when that is
// our own doing, ErrFault for a file that is no database, and else ErrDown.
func (db *DB) setUpSentinel(err error) error {
	switch {
	case db.ctx.Err() != nil:
		return source.ErrClosed
	case db.engine.Fault(err).Class == engine.FaultRefused:
		return source.ErrFault
	}
	return source.ErrDown
}

// mark marks an engine's error by whose fault it is. ctx is the call's, bounded
// by source.WithTimeout. Errors that no engine returned must not come here: an
// engine takes what it does not know for a lost connection. The classes map to
// sentinels as follows: lost is ErrDown, slow is ErrSlow, and refused or later is
// ErrFault. FaultBusy and FaultOther stay unmarked.
func (db *DB) mark(ctx context.Context, err error) error {
	if db.ctx.Err() != nil {
		return source.Mark(err, source.ErrClosed)
	}
	// The engine judges the bare error, and the call's context whether its deadline is the
	// reason.
	fault := db.engine.Fault(err)
	err = source.MarkDown(ctx, engineError{err, fault}, fault.Class == engine.FaultLost)
	switch {
	// Both are marked already: the first by MarkDown above, the second where a
	// value was written as JSON.
	case errors.Is(err, source.ErrDown), errors.Is(err, source.ErrNotJSON):
	case fault.Class == engine.FaultSlow:
		return source.Mark(err, source.ErrSlow)
	case fault.Class >= engine.FaultRefused: // whatever of it is the client's doing was told apart before
		return source.Mark(err, source.ErrFault)
	}
	return err
}

// observe keeps up in step with what calls meet. Any answer counts as up, a
// refusal too: the server was reached. It may be called from any goroutine; the
// latest call wins.
func (db *DB) observe(err error) {
	switch {
	case err == nil:
		db.up.Store(true)
	case errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		// The caller's doing, or a slow statement: Ping tells them from an outage.
	default:
		db.up.Store(db.engine.Fault(err).Class != engine.FaultLost)
	}
}
