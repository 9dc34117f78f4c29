// Package outbox is the outbox in a database: changes that anybody makes to watched
// tables, written down by triggers in the transaction that makes them, and read from
// there by the change feed.
//
// A change and its row in the outbox commit together, and a reader sees both by one
// snapshot. So a row that is read is of a change that every later load sees, which a
// log of the database (a replication slot, a binary log) does not give: it delivers a
// commit before that is visible.
//
// A row holds values of columns, not keys. What they mean stands beside it in the
// database, so that instances with an older and a newer configuration drain alike.
package outbox

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"slices"
	"sync/atomic"
	"time"

	"hearth/internal/source/database"
	"hearth/internal/source/engine"
	"hearth/internal/source/sqltext"
)

// Set is one set of triggers: it captures the changes of one table.
//
// Several resources may watch the table. Those whose filters are alike share a set, for
// each set costs the writers.
type Set struct {
	// ID names the set in the outbox. It follows from Table and Filter; see IDOf.
	ID int32
	// Table is the table, as schema.name where the database has schemas.
	Table string
	// Captured are the columns whose values rows of the outbox have, as they were and as
	// they are.
	Captured []string
	// Filter are the columns that count: an UPDATE that leaves them and those of Captured
	// as they are is none. Empty: every UPDATE counts.
	Filter []string
	// Meanings say which records a captured row concerns.
	Meanings []Meaning
	// Version is that of the text of the triggers; an older one is installed anew.
	Version int

	leftOut *Set // what was installed before part of it was left out; nil: nothing was
}

// Meaning says which records of one resource a captured row concerns. It stands in the
// database as JSON.
type Meaning struct {
	Resource string  `json:"resource"`
	Key      string  `json:"key"` // the template of the resource's keys
	Params   []Param `json:"params,omitempty"`
	// Keys is a query that finds the values of the parameters, a column for each in the
	// order of Params; {row.column} in it is a captured value. Empty: each Param has a
	// Column.
	Keys string `json:"keys,omitempty"`
	// All says that a change of any row concerns every record.
	All bool `json:"all,omitempty"`
}

// Param is a path parameter of a resource.
type Param struct {
	Name   string `json:"name"`
	Type   string `json:"type"`             // int, string, uuid
	Column string `json:"column,omitempty"` // the captured column that has its value
}

// Row is one row of the outbox.
type Row struct {
	ID int64
	// Set is the set of triggers that wrote it, or Canary or Flush.
	Set int32
	// Data is a JSON array with an object for each row of the table that has changed, as it
	// was and as it is: {"column": value}. nil: there were too many, or the table was
	// emptied, so everything is meant. A column that the table has no more has the value
	// {"gone": true}: then everything is meant, too. For Flush it is an array of names of
	// resources.
	Data json.RawMessage
	// Writer is the token of the guard under which Hearth itself made the change, "" for a
	// change of others.
	Writer string
	// Age is how old the row is by the database's clock. The transaction may have
	// committed much later.
	Age time.Duration
}

// Rows that no trigger writes.
const (
	Canary = 0  // measures how long a change takes through the feed
	Flush  = -1 // asks for all records of resources to be removed
)

// Beat is what a leader of the feed notes in the database, about once a second.
type Beat struct {
	Fleet    string        // those that share one shared tier; another fleet must not drain the same outbox
	Former   []string      // names that the fleet had before; what is noted under one of them is its own
	Instance string        // for operators
	Patience time.Duration // after so long without a beat the outbox is anybody's
}

// Pulse is what it finds there.
type Pulse struct {
	Held   bool   // the outbox is this fleet's; else nothing was noted
	Fleet  string // whose it is
	Number int64  // of the beat. A lower one than before: the database has lost commits
	Server string // which server answers: another one may lack the latest commits, too
	Before string // which one answered to the beat before
}

// Size is how much waits to be drained.
type Size struct {
	Rows   int64
	Oldest time.Duration // age of the oldest row; 0 without any
}

// Fault is what keeps triggers from telling changes, or is about to.
type Fault struct {
	Set  Set    // whose
	Text string // what is wrong, and which action mends it
	Lost bool   // changes are not told, or writes fail
	// Again says that nothing is wrong: what was told of is to be looked at once more by Heal.
	// It is nothing to tell anybody.
	Again bool
}

// Standing are the faults that are to be told.
func Standing(faults []Fault) []Fault {
	return slices.DeleteFunc(slices.Clone(faults), func(f Fault) bool { return f.Again })
}

// Options are those of Plan.
type Options struct {
	Roles []string // accounts that are to be granted what it takes to drain the outbox
	Prune bool     // remove meanings and sets that are not wanted
	// FlushRows is how many rows one statement may change: beyond it one row of the outbox
	// says that everything has changed.
	FlushRows int
}

// Script is what installs or removes the triggers: statements for one after the other.
type Script struct {
	Statements []string
	// Notes are what an operator should know before it runs, each a sentence or two.
	Notes []string
}

// Outbox is the outbox of one database. It is safe for concurrent use. Its errors are
// the engine's, judged by Fault.
type Outbox struct {
	engine  engine.Engine
	dialect dialect
	fleet   atomic.Pointer[string] // that has noted a beat here; nil: none
}

// dialect is what differs between the kinds of database. Texts take bind parameters as
// the database has them.
type dialect interface {
	// Tables creates the outbox's own tables and functions, where they are missing.
	Tables() []string
	// Remove drops all that Tables and Triggers have created; sets are those installed.
	Remove(sets []Set) []string
	// Triggers creates the triggers of a set, in the place of those that there are.
	Triggers(ctx context.Context, e engine.Engine, s Set, o Options) (statements, notes []string, err error)
	// Without drops the triggers of a set.
	Without(s Set) []string
	// Canonical is a table's full name as the catalog has it; an error by notWatched says
	// what it is instead of a table that can be watched.
	Canonical(ctx context.Context, e engine.Engine, table string) (string, error)
	// Faults looks at the triggers of sets as they are.
	Faults(ctx context.Context, e engine.Engine, sets []Set) ([]Fault, error)
	// Texts are the statements of the drain.
	Texts() texts
	// Keep moves rows that were handled to the table hearth.kept (hearth_kept), which has
	// the columns of the outbox and the time of the move, kept_at. A row that is there
	// already stays as it is.
	Keep(ids []int64) []engine.Query
	// Moved tells whether anything may have been written since it was last asked.
	Moved(ctx context.Context, e engine.Engine) (bool, error)
}

// catalogued is a dialect whose catalog alone tells which triggers there are, and in which
// a trigger may fail for a reason that comes later.
type catalogued interface {
	// drops are the statements that drop the triggers of a set, or with 0 those of all;
	// Without drops nothing then, and Remove no triggers.
	drops(ctx context.Context, e engine.Engine, id int32) ([]string, error)
	// heal is Outbox.Heal. It looks at the sets of all faults, whatever their texts say, and
	// is called for all sets after an installation, too.
	heal(ctx context.Context, o *Outbox, faults []Fault, installed bool) ([]string, error)
}

// texts are statements that one dialect has.
type texts struct {
	Read    string                                     // after, most → id, watch, data, writer, age in seconds
	Done    func(ids []int64) (query engine.Query)     // deletes rows; run as a write
	Kept    string                                     // as Read, of rows that were kept
	Expire  string                                     // seconds: deletes what was kept for longer
	Size    string                                     // → rows, age of the oldest in seconds
	Sets    string                                     // → id, tab, captured, filter, meanings, version
	Insert  string                                     // watch, data: a row of our own
	Pulse   string                                     // → fleet, beat, server noted, seconds since, server now; locks the row
	Note    string                                     // fleet, instance, beat, server
	Drainer string                                     // → fleet, instance, beat, seconds since; locks nothing
	Save    func(s Set, o Options) (statements string) // writes a set down, in the place of what is there
	Forget  func(id int32) string                      // removes a set's row
}

// New reads the URL of cfg. It starts nothing. The outbox is asked on a server that takes
// writes: another one may lack the latest changes, and lets nobody take rows away.
func New(cfg engine.Config) (*Outbox, error) {
	cfg.URL = mysqlSession(cfg.URL)
	file, cfg, err := newSqlite(cfg)
	if err != nil {
		return nil, err
	}
	e, err := database.Engine(cfg)
	if err != nil {
		return nil, err
	}
	if err := e.WantsWrites(); err != nil {
		return nil, err
	}
	// Rows are deleted: a server that takes no writes is of no use.
	if err := e.WantsWrites(); err != nil {
		return nil, err
	}
	o := &Outbox{engine: e}
	switch e.Dialect() {
	case sqltext.PostgreSQL:
		o.dialect = postgres{bottom: &bottom{}}
	case sqltext.MySQL:
		o.dialect = mysql{}
	default:
		o.dialect = file
	}
	return o, nil
}

// Open starts the pool of connections, which connect when they are used.
func (o *Outbox) Open() error { return o.engine.Open() }

// Close ends all connections. It may be called without Open.
func (o *Outbox) Close() error {
	var err error
	if c, ok := o.dialect.(io.Closer); ok {
		err = c.Close()
	}
	return errors.Join(err, o.engine.Close())
}
