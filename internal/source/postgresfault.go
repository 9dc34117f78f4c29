package source

import (
	"errors"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

// postgresFaults are SQLSTATEs that mean something else than their class
// (PostgreSQL, appendix A).
var postgresFaults = map[string]fault{
	"23502": {kind: faultRule, reason: reasonNull},
	"23505": {kind: faultRule, reason: reasonTaken},
	"23P01": {kind: faultRule, reason: reasonTaken},
	"23503": {kind: faultReference, reason: reasonReference},
	"23001": {kind: faultReference, reason: reasonReference},
	"P0001": {kind: faultRule, reason: reasonCheck}, // RAISE EXCEPTION: a trigger refuses the record

	"22001": {kind: faultData, reason: reasonLong},
	"22003": {kind: faultData, reason: reasonRange},

	"57014": {kind: faultSlow}, // statement_timeout, or pg_cancel_backend
	"40001": {kind: faultBusy, remedy: remedyRepeat},
	"40P01": {kind: faultBusy, remedy: remedyRepeat},
	"55P03": {kind: faultBusy, remedy: remedyRepeat}, // NOWAIT or lock_timeout
	"55006": {kind: faultBusy, remedy: remedyRepeat},
	"55000": {kind: faultRefused}, // such as a materialised view without data
	// The server answers and lacks something for this statement: the disk is full, memory
	// or temp_file_limit does not suffice. Others work.
	"53100": {},
	"53200": {},
	"53400": {},

	// A server that takes no writes may have been the primary until now: another
	// connection may find the new one.
	"25006": {remedy: remedyConnection},

	// After an ALTER TABLE plans of connections that had them may fail in any of
	// these ways; so may, behind a proxy, statements that another connection has
	// prepared. What fails on a new plan, too, is the statement's.
	"26000": {kind: faultRefused, remedy: remedyPlan},
	"42P05": {kind: faultRefused, remedy: remedyPlan},
	"42883": {kind: faultRefused, remedy: remedyPlan},
	"42804": {kind: faultRefused, remedy: remedyPlan},
	"42703": {kind: faultRefused, remedy: remedyPlan},
	"42P01": {kind: faultRefused, remedy: remedyPlan},
	"42846": {kind: faultRefused, remedy: remedyPlan},
	"42725": {kind: faultRefused, remedy: remedyPlan},
	"42P18": {kind: faultRefused, remedy: remedyPlan},
	"42P10": {kind: faultRefused, remedy: remedyPlan},
	"22P03": {kind: faultData, reason: reasonType, remedy: remedyPlan}, // in binary, for the type that the column had
	"08P01": {kind: faultOther, remedy: remedyPlan},                    // as many arguments as the plan had
	"XX000": {kind: faultOther, remedy: remedyPlan},                    // "could not open relation", "cache lookup failed"
}

// postgresClasses are the first two characters of other SQLSTATEs.
var postgresClasses = map[string]fault{
	"08": {kind: faultLost, remedy: remedyConnection},
	"53": {kind: faultLost},
	"28": {kind: faultLost},

	"22": {kind: faultData, reason: reasonType},
	"23": {kind: faultRule, reason: reasonCheck},
	"44": {kind: faultRule, reason: reasonCheck}, // WITH CHECK OPTION

	// Functions, and subqueries that find too many rows, fail for some records and
	// not for others.
	"21": {kind: faultRecord},
	"2F": {kind: faultRecord},
	"38": {kind: faultRecord},
	"39": {kind: faultRecord},
	"P0": {kind: faultRecord},

	"0A": {kind: faultRefused},
	"26": {kind: faultRefused},
	"34": {kind: faultRefused},
	"3D": {kind: faultRefused},
	"3F": {kind: faultRefused},
	"42": {kind: faultRefused},
	"54": {kind: faultRefused},
	"HV": {kind: faultRefused}, // a foreign table
}

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
	return postgresClasses[answer.Code[:min(2, len(answer.Code))]]
}
