package source

import (
	"context"

	"hearth/internal/source/sqltext"
)

// engine is one kind of database. Everything that differs between them but
// does not show in a statement's text is behind it.
type engine interface {
	dialect() sqltext.Dialect
	// open starts the pools of connections. They connect when they are used. It is
	// called once, before all that asks the database.
	open() error
	// ping asks the database for a sign of life.
	ping(ctx context.Context) error
	// setUp runs the statements of [database] init and, if asked to, creates
	// the demo's table.
	setUp(ctx context.Context, init []string, demo bool) error
	query(ctx context.Context, q query) (*result, error)
	// columns names what q would return, without reading a record.
	columns(ctx context.Context, q query) ([]string, error)
	// begin takes the remedy for the fault that the attempt before met.
	begin(ctx context.Context, r remedy) (transaction, error)
	// prober with a rehearsal has tried the set-up.
	prober(ctx context.Context, r *rehearsal) (prober, error)
	// documents names the columns of a select that are JSON although the driver
	// calls them text, in lower case.
	documents(ctx context.Context, s *sqltext.Statement) (map[string]bool, error)
	// catalog reads the declarations of the columns that an upsert assigns; shown
	// is a result of the select. It is nil where a write finds them itself.
	catalog(ctx context.Context, s *sqltext.Statement, shown *result) (*catalog, error)
	// culprits tells what an upsert was refused for, as far as the database says.
	culprits(ctx context.Context, s *sqltext.Statement, q query, err error) culprits
	// fits tells whether the database takes the arguments of a query that
	// failed with faultData: if it does not, no record can have that key.
	fits(ctx context.Context, q query) bool
	fault(err error) fault
	// close ends all connections, if there are any. Transactions have to be over.
	close() error
}

// transaction is for one goroutine at a time. commit and rollback end it and
// give its connection back, whatever their outcome.
type transaction interface {
	query(ctx context.Context, q query) (*result, error)
	// look is a query that comes before anything else in the transaction. What it
	// has found, also that it found nothing, nobody else changes until the
	// transaction's own change of it: whoever tries waits, or one of the two fails
	// with faultBusy.
	look(ctx context.Context, q query) (*result, error)
	// bind sets the arguments of q, an upsert, to the members of a body. Its
	// errors are *BodyError, or the database's.
	bind(ctx context.Context, b *binding, q *query) error
	// catalog is engine.catalog, as the transaction sees the columns.
	catalog(ctx context.Context, s *sqltext.Statement, shown *result) (*catalog, error)
	// exec returns how many rows were changed.
	exec(ctx context.Context, q query) (int64, error)
	// again rolls back and begins anew, so that all can be tried once more. It
	// works also after a commit that was refused.
	again(ctx context.Context, r remedy) error
	// commit returns ErrUnknownOutcome, wrapped, when its answer was lost.
	commit(ctx context.Context) error
	// over is Change.Over after such a commit. It asks on another connection.
	over(ctx context.Context) (bool, error)
	rollback()
}

// A faultKind says whose fault an error is.
type faultKind int

const (
	faultOther     faultKind = iota // nobody's that is known; the next call may succeed
	faultLost                       // the database was not reached, or lost on the way
	faultBusy                       // other transactions were in the way
	faultSlow                       // the database ended the statement because it took too long
	faultRefused                    // the operator's: a statement or a right is not as it has to be
	faultRecord                     // the operator's for this record: the statement fails on it, or a value of it is no JSON
	faultData                       // a value's: wrong type, out of range
	faultRule                       // a value's: a constraint refuses it
	faultReference                  // a record's: others refer to it, or it refers to none
)

// fault is what an engine makes of an error. The reason is for clients, and
// empty for the kinds before faultData.
type fault struct {
	kind   faultKind
	reason string
	remedy remedy
}

// faultsByCode turns lists of an engine's codes around.
func faultsByCode[C comparable](lists map[*fault][]C) map[C]fault {
	all := map[C]fault{}
	for f, codes := range lists {
		for _, code := range codes {
			all[code] = *f
		}
	}
	return all
}

// remedy says what may let the same call succeed at once, as long as nothing was
// committed. Each call takes one, once.
type remedy int

const (
	remedyNone       remedy = iota
	remedyRepeat            // the same again, in a new transaction
	remedyPlan              // on plans that are made anew: somebody altered what they rest on
	remedyConnection        // on another connection, which has been seen to be alive
)

// Reasons of faults. They name no table, column or constraint: those belong
// to the operator.
const (
	reasonType      = "a value has the wrong type or is out of range"
	reasonRange     = "a value is out of range"
	reasonLong      = "a value is too long"
	reasonNull      = "a value that is needed is missing or null"
	reasonTaken     = "a value that has to be unique is taken already"
	reasonCheck     = "a value is not allowed"
	reasonReference = "a value refers to a record that does not exist"
)
