// Package source is what the rest of the server knows of a system of record: a SQL
// database or an HTTP origin. This file is the contract; the rooms below hold to it.
//
//	database                    records out of rows, for all kinds of database
//	engine                      what a kind of database has to be able to do
//	postgres, mysql, sqlite     the kinds; stdsql is what the last two share
//	sqltext                     reads the text of statements
//	origin                      records out of HTTP answers
//	outbox                      changes that anybody makes in a database
//
// A source hands out finished JSON and takes JSON, never rows or maps: the tiers
// above store and compare bytes, so a record has to be encoded once, in one
// place, the same way on every instance of a fleet (the ETag is a hash of
// these bytes).
package source

import (
	"context"
	"errors"
	"fmt"

	"hearth/internal/jsonvalue"
)

// Errors that callers tell apart with errors.Is. Any other error says that this
// one call failed, by its statement or by what it met in the data. Texts of all
// but a *BodyError are for the log, never for a client.
var (
	// ErrDown says that the source could not be reached, or did not answer in
	// time: it cannot be connected to, also because it does not know the account
	// or the database, the connection broke, it has no connection left, the
	// timeout configured for it passed, an origin answers 5xx or 429. A circuit breaker may count these errors,
	// and these alone: one statement that fails, or one record that cannot be
	// rendered, must not take a whole database away. A caller who gives up
	// earlier, by the end of its context, is no sign of the source's health
	// either.
	ErrDown = errors.New("the source could not be reached, or did not answer in time")
	// ErrFault says that the configuration and the source do not fit together:
	// a statement that the database refuses, one that finds other rows than it
	// was asked for, a right that is missing. The source is well, and the same
	// call fails again until an operator acts.
	ErrFault = errors.New("the source refuses what the configuration asks of it")
	// ErrNotJSON says that what the source has for this record is no JSON: the
	// text of a column, or an origin's answer, which may also be no HTTP, have no
	// content or too much. The same call fails again until that is mended there.
	ErrNotJSON = errors.New("the source's record is not JSON")
	// ErrSlow says that the database itself ended the statement, by its own
	// limit of time or because somebody asked it to.
	ErrSlow = errors.New("the database ended the statement before it was done")
	// ErrNoRecord says that the record does not exist.
	ErrNoRecord = errors.New("no such record")
	// ErrUnknownOutcome says that a commit, or a request that changes something, was
	// sent and its answer lost, or that the answer does not tell: the change may
	// stand or not. Change.Over tells when that is settled.
	ErrUnknownOutcome = errors.New("outcome of the commit is unknown")
	// ErrNoOutcome says that this source, or this account on it, has no means to
	// tell whether a change is over.
	ErrNoOutcome = errors.New("the source does not tell whether a change is over")
	// ErrReadOnly says that the resource has no statement for the write, or that
	// such requests do not go on to its origin.
	ErrReadOnly = errors.New("the resource is read-only")
	// ErrConflict marks the *BodyError of a deletion that other records stand
	// against: the client has to delete those first.
	ErrConflict = errors.New("other records refer to this one")
	// ErrClosed says that the database was closed.
	ErrClosed = errors.New("the database is closed")
)

// BodyError says what is wrong with a body handed to Put. Its text is written
// for the client who sent the body.
type BodyError struct {
	// Member is missing, has a wrong type or contradicts the path, as a.b; it
	// is empty when the body as a whole, or no single member, is at fault.
	Member string
	Reason string
}

// Error names the member unless the fault is the body's as a whole.
func (e *BodyError) Error() string {
	if e.Member == "" {
		return e.Reason
	}
	return fmt.Sprintf("member %q: %s", e.Member, e.Reason)
}

// StatusError says that an origin has not made a change, for a reason that is the
// client's to mend. Detail is written for that client.
type StatusError struct {
	Status int // of the answer to the client, as HTTP has it: 409, 413, 428
	Detail string
}

func (e *StatusError) Error() string { return e.Detail }

// Args are the values of a resource's path parameters in the order of its
// path: int64 for int, string for string and uuid. They are never aliases of
// a request's buffer.
type Args []any

// Records is one resource's view of its system of record. Methods are safe for
// concurrent use and keep the deadline of ctx, and the source's own timeout.
// Their errors, and those of a Change, wrap ErrDown exactly if the source as a
// whole is at fault.
type Records interface {
	// Load returns the record as JSON, or ErrNoRecord. It fails with a
	// *SpellingError when args find a row that goes by other ones; so do Put and
	// Delete, and change nothing. The caller owns the bytes.
	Load(ctx context.Context, args Args) ([]byte, error)
	// Put starts a transaction which stores body (an object, parsed) as the
	// record that args name. It fails with a *BodyError when body does not fit.
	Put(ctx context.Context, args Args, body jsonvalue.Node) (Change, error)
	// Delete starts a transaction which removes the record. It fails with
	// ErrNoRecord when there is none.
	Delete(ctx context.Context, args Args) (Change, error)
}

// Choosy is implemented by Records that cannot be asked for some values of
// parameters: callers refuse those before they look for copies.
type Choosy interface {
	Records
	// Refuses names the parameter whose value is at fault, or returns "". It
	// asks nobody.
	Refuses(args Args) string
}

// ManyRecords is implemented by Records that read several records with one
// statement; a resource has it when its select_many is set.
type ManyRecords interface {
	Records
	// LoadMany returns the records that args name, in their order, and nil
	// for each one that does not exist. A record has the same bytes as from
	// Load. The caller owns them; no two results share memory. With an error
	// that is SpellingErrors all records are good but those it names.
	LoadMany(ctx context.Context, args []Args) ([][]byte, error)
}

// Change is a write that is not committed yet. Exactly one of Commit and
// Rollback ends it. Its methods are for one goroutine at a time.
type Change interface {
	// Record is the record as the transaction leaves it, read by the
	// resource's select inside it; nil after a deletion, or when the select
	// finds nothing.
	Record() []byte
	// Commit makes the change durable. ErrUnknownOutcome (wrapped) tells a
	// lost answer from a refusal.
	Commit(ctx context.Context) error
	// Over tells, after a Commit whose outcome is unknown, whether the
	// database has finished with the transaction one way or the other: from
	// then on it can no longer take effect later than now. It may be called
	// many times, and holds nothing that needs to be released. An error means
	// that the database could not be asked (ask again), or, as ErrNoOutcome
	// (wrapped), that there is no means to tell. A change that was ended in
	// any other way is over.
	Over(ctx context.Context) (bool, error)
	// Rollback abandons the change. Its failure leaves nothing to do.
	Rollback()
}

// Forwarded is a Change that is one request to another server. There is no
// transaction around it: the source hears of it only with Commit, and its record can
// only be read afterwards. A connection is open from the beginning, so a source that
// is not there refuses the change before it is made.
type Forwarded interface {
	Change
	// Left is what the change has left behind, after a Commit without error: how long
	// Record may be kept, and whether it is known at all. What could not be read after
	// the change is neither answered nor kept.
	Left() (t Term, known bool)
}
