package source

import (
	"errors"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

// postgresFaults are SQLSTATEs (PostgreSQL, appendix A), and classes of them: the
// first two characters of those that are not listed. They stand here by number, as
// the server's log and its manual have them.
var postgresFaults = faultsByCode(map[*fault][]string{
	{kind: faultRule, reason: reasonNull}:           {"23502"},
	{kind: faultRule, reason: reasonTaken}:          {"23505", "23P01"},
	{kind: faultReference, reason: reasonReference}: {"23503", "23001"},
	// P0001 is RAISE EXCEPTION: a trigger refuses the record. 44 is WITH CHECK OPTION.
	{kind: faultRule, reason: reasonCheck}: {"P0001", "23", "44"},
	{kind: faultData, reason: reasonLong}:  {"22001"},
	{kind: faultData, reason: reasonRange}: {"22003"},
	{kind: faultData, reason: reasonType}:  {"22"},

	{kind: faultLost, remedy: remedyConnection}: {"08"},
	{kind: faultLost}: {"53", "28"},
	{kind: faultSlow}: {"57014"}, // statement_timeout, or pg_cancel_backend
	// Deadlocks, snapshots that are too old, NOWAIT and lock_timeout.
	{kind: faultBusy, remedy: remedyRepeat}: {"40001", "40P01", "55P03", "55006"},
	// Functions, and subqueries that find too many rows, fail for some records and
	// not for others.
	{kind: faultRecord}: {"21", "2F", "38", "39", "P0"},
	// 55000 is, for one, a materialised view without data; HV a foreign table.
	{kind: faultRefused}: {"55000", "0A", "26", "34", "3D", "3F", "42", "54", "HV"},
	// The server answers and lacks something for this statement: the disk is full, memory
	// or temp_file_limit does not suffice. Others work.
	{}: {"53100", "53200", "53400"},
	// A server that takes no writes may have been the primary until now: another
	// connection may find the new one.
	{remedy: remedyConnection}: {"25006"},

	// After an ALTER TABLE plans of connections that had them may fail in any of
	// these ways; so may, behind a proxy, statements that another connection has
	// prepared. What fails on a new plan, too, is the statement's.
	{kind: faultRefused, remedy: remedyPlan}: {
		"26000", "42P05", "42883", "42804", "42703", "42P01", "42846", "42725", "42P18", "42P10",
	},
	{kind: faultData, reason: reasonType, remedy: remedyPlan}: {"22P03"}, // in binary, for the type that the column had
	// As many arguments as the plan had; "could not open relation", "cache lookup failed".
	{kind: faultOther, remedy: remedyPlan}: {"08P01", "XX000"},
})

func (e *postgresEngine) fault(err error) fault {
	var value *valueError
	switch {
	case err == nil, errors.Is(err, pgx.ErrTxCommitRollback):
		return fault{}
	case errors.As(err, &value):
		return fault{kind: faultRecord}
	}
	// A refused connection may come with any SQLSTATE, such as that of a name
	// which is no database.
	var refusal *pgconn.ConnectError
	if errors.As(err, &refusal) {
		return fault{kind: faultLost}
	}
	var answer *pgconn.PgError
	if !errors.As(err, &answer) {
		if strings.Contains(err.Error(), "failed to encode args[") { // by pgx, which has sent nothing
			return fault{kind: faultData, reason: reasonType, remedy: remedyPlan}
		}
		return fault{kind: faultLost, remedy: remedyConnection}
	}
	return postgresAnswer(answer)
}

// postgresAnswer judges what the server has said.
func postgresAnswer(answer *pgconn.PgError) fault {
	severity := answer.SeverityUnlocalized
	switch {
	case severity == "FATAL", severity == "PANIC", strings.HasPrefix(answer.Code, "57P"):
		return fault{kind: faultLost, remedy: remedyConnection} // it has ended the session, for whatever reason
	case answer.Code == "0A000" && strings.Contains(answer.Message, "cached plan"):
		return fault{kind: faultBusy, remedy: remedyPlan}
	}
	if f, ok := postgresFaults[answer.Code]; ok {
		return f
	}
	return postgresFaults[answer.Code[:min(2, len(answer.Code))]]
}
