package postgres

import (
	"errors"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"hearth/internal/source/engine"
)

// faults are SQLSTATEs (PostgreSQL, appendix A), and classes of them: the first
// two characters of those that are not listed. They stand here by number, as the
// server's log and its manual have them. A code of five characters goes before
// its class. Entries without a Class are FaultOther.
var faults = engine.FaultsByCode(map[*engine.Fault][]string{
	{Class: engine.FaultRule, Reason: engine.ReasonNull}:           {"23502"},
	{Class: engine.FaultRule, Reason: engine.ReasonTaken}:          {"23505", "23P01"},
	{Class: engine.FaultReference, Reason: engine.ReasonReference}: {"23503", "23001"},
	// P0001 is RAISE EXCEPTION: a trigger refuses the record. 44 is WITH CHECK OPTION.
	{Class: engine.FaultRule, Reason: engine.ReasonCheck}: {"P0001", "23", "44"},
	{Class: engine.FaultData, Reason: engine.ReasonLong}:  {"22001"},
	{Class: engine.FaultData, Reason: engine.ReasonRange}: {"22003"},
	{Class: engine.FaultData, Reason: engine.ReasonType}:  {"22"},

	{Class: engine.FaultLost, Remedy: engine.RemedyConnection}: {"08"},
	{Class: engine.FaultLost}:                                  {"53", "28"},
	{Class: engine.FaultSlow}:                                  {"57014"}, // statement_timeout, or pg_cancel_backend
	// Deadlocks, snapshots that are too old, NOWAIT and lock_timeout.
	{Class: engine.FaultBusy, Remedy: engine.RemedyRepeat}: {"40001", "40P01", "55P03", "55006"},
	// Functions, and subqueries that find too many rows, fail for some records and
	// not for others.
	{Class: engine.FaultRecord}: {"21", "2F", "38", "39", "P0"},
	// 55000 is, for one, a materialised view without data; HV a foreign table.
	{Class: engine.FaultRefused}: {"55000", "0A", "26", "34", "3D", "3F", "42", "54", "HV"},
	// The server answers and lacks something for this statement: the disk is full, memory
	// or temp_file_limit does not suffice. Others work.
	{}: {"53100", "53200", "53400"},
	// After an ALTER TABLE plans of connections that had them may fail in any of
	// these ways; so may, behind a proxy, statements that another connection has
	// prepared. What fails on a new plan, too, is the statement's.
	{Class: engine.FaultRefused, Remedy: engine.RemedyPlan}: {
		"26000", "42P05", "42883", "42804", "42703", "42P01", "42846", "42725", "42P18", "42P10",
	},
	{Class: engine.FaultData, Reason: engine.ReasonType, Remedy: engine.RemedyPlan}: {"22P03"}, // in binary, for the type that the column had
	// As many arguments as the plan had; "could not open relation", "cache lookup failed".
	{Class: engine.FaultOther, Remedy: engine.RemedyPlan}: {"08P01", "XX000"},
})

// Fault tells, in this order: what stands in the way of the set-up, values that cannot be written, sessions that were
// not granted, what the driver itself refuses, and what the server answers. An
// error that is none of these counts as a lost connection.
func (e *server) Fault(err error) engine.Fault {
	var value *engine.ValueError
	var held *engine.HeldError
	switch {
	case errors.As(err, &held):
		return engine.Fault{Class: engine.FaultRefused}
	// A COMMIT that was answered with ROLLBACK is a clear outcome: nothing was
	// stored, and nothing is wrong with the server.
	case err == nil, errors.Is(err, pgx.ErrTxCommitRollback):
		return engine.Fault{}
	case errors.As(err, &value):
		return engine.Fault{Class: engine.FaultRecord}
	}
	// A refused connection may come with any SQLSTATE, such as that of a name
	// which is no database.
	var refusal *pgconn.ConnectError
	var answer *pgconn.PgError
	answered := errors.As(err, &answer)
	if errors.As(err, &refusal) {
		access := answered && (slices.ContainsFunc(accessCodes, func(c string) bool { return strings.HasPrefix(answer.Code, c) }) || poolerRefuses(answer))
		none := errors.Is(err, errTakesNoWrites) || errors.Is(err, pgconn.ErrReadOnlyConnection) || errors.Is(err, pgconn.ErrStandbyConnection)
		return engine.Fault{Class: engine.FaultLost, Access: access && !none, ReadOnly: none}
	}
	if !answered {
		if strings.Contains(err.Error(), "failed to encode args[") { // by pgx, which has sent nothing
			return engine.Fault{Class: engine.FaultData, Reason: engine.ReasonType, Remedy: engine.RemedyPlan}
		}
		return engine.Fault{Class: engine.FaultLost, Remedy: engine.RemedyConnection}
	}
	return answerFault(answer)
}

// accessCodes are SQLSTATEs, or their beginnings, of sessions that the server does not
// grant as long as the URL is what it is: a wrong account or password, an unknown
// database, no right to connect, and settings that are unknown, have a bad value, or
// cannot be set by a session.
var accessCodes = []string{"28", "3D", "42501", "42704", "22023", "55P02"}

// answerFault judges what the server has said. The session's end goes before the
// code: whatever the reason, the connection is of no use any more.
func answerFault(answer *pgconn.PgError) engine.Fault {
	severity := answer.SeverityUnlocalized
	if severity == "" { // a pooler's, or one of a server older than 9.6
		severity = answer.Severity
	}
	if f, ok := poolerFault(answer); ok {
		return f
	}
	switch {
	case severity == "FATAL", severity == "PANIC", strings.HasPrefix(answer.Code, "57P"):
		return engine.Fault{Class: engine.FaultLost, Remedy: engine.RemedyConnection} // it has ended the session, for whatever reason
	// It may have been the primary until now: another connection may find the new one.
	case takesNone(answer):
		return engine.Fault{ReadOnly: true, Remedy: engine.RemedyPrimary}
	case answer.Code == "0A000" && strings.Contains(answer.Message, "cached plan"):
		return engine.Fault{Class: engine.FaultBusy, Remedy: engine.RemedyPlan}
	}
	if f, ok := faults[answer.Code]; ok {
		return f
	}
	// An answer without a code finds nothing here, and is FaultOther.
	return faults[answer.Code[:min(2, len(answer.Code))]]
}
