package mysql

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"io"
	"net"
	"slices"
	"strings"
	"unicode"

	"github.com/go-sql-driver/mysql"

	"hearth/internal/source/engine"
)

// faults are MySQL's and MariaDB's errors by number, where their SQLSTATE
// tells too little. The driver has no names for them.
var faults = engine.FaultsByCode(map[*engine.Fault][]uint16{
	{Class: engine.FaultRule, Reason: engine.ReasonNull}:           {1048, 1364},
	{Class: engine.FaultRule, Reason: engine.ReasonTaken}:          {1062, 1586},
	{Class: engine.FaultReference, Reason: engine.ReasonReference}: {1216, 1217, 1451, 1452},
	{Class: engine.FaultRule, Reason: engine.ReasonCheck}:          {1369, 1644, 3819, 4025},
	{Class: engine.FaultData, Reason: engine.ReasonType}:           {1265, 1292, 1366, 1367, 1416, 3140, 3141, 3156, 3903},
	{Class: engine.FaultData, Reason: engine.ReasonRange}:          {1264, 1690},
	{Class: engine.FaultData, Reason: engine.ReasonLong}:           {1406},

	{Class: engine.FaultRecord}: {1172, 1242}, // more rows than one, for this record

	{Class: engine.FaultLost}: {1040, 1203, 1226},
	// 1047 is a node of Galera outside of the cluster, 3032 offline mode, 3100 a member
	// that its group has left behind. Those of 2000 and more are a proxy's, which has
	// lost its server.
	{Class: engine.FaultLost, Remedy: engine.RemedyConnection}: {
		1047, 1053, 1152, 1158, 1159, 1160, 1161, 1184, 1927, 2002, 2003, 2006, 2013, 3032, 3100, 3169, 4031,
	},
	{Class: engine.FaultSlow}: {interrupted, 1969, 3024},
	// Deadlocks, locks that were not given in time, conflicts that show at COMMIT
	// only (of a group or of Galera), and rows that changed under a snapshot.
	{Class: engine.FaultBusy, Remedy: engine.RemedyRepeat}: {1020, 1180, 1205, 1213, 1614, 3058, 3101, 3572},
	// The table's definition changed between preparing and executing.
	{Class: engine.FaultBusy, Remedy: engine.RemedyPlan}: {1243, 1412, 1615},
	// A server that takes no writes may have been the primary until now. 1874 and
	// 1881 are InnoDB's own, 3989 a schema's.
	{ReadOnly: true, Remedy: engine.RemedyPrimary}: {1792, 1836, 1874, 1881, 3989},
	// What the operator has to mend, and has no SQLSTATE of its own: collations
	// that do not mix, views and triggers that lack what they name, tables that
	// are broken.
	{Class: engine.FaultRefused}: {1034, 1035, 1194, 1195, 1210, 1267, 1270, 1271, 1295, 1348, 1356, 1393, 1394, 1442, 1449, 1471, 1712},
	// The server is short of something, and reads may work on.
	{}: {1021, 1037, 1038, 1041, 1114, 1461},
})

// interrupted says that somebody ended a statement, or that the server is ending.
// It is ER_QUERY_INTERRUPTED: KILL QUERY, or a shutdown.
const interrupted = 1317

// accessErrors are the errors of a connection that is refused because of its account
// or its database (unknown, not from this host, not without TLS, expired, locked), or
// of a setting that the URL has for the session.
var accessErrors = []uint16{1044, 1045, 1049, 1115, 1130, 1193, 1231, 1238, 1273, 1698, 1862, 3118, 3159, 4151}

// faultOf goes by where the error comes from: connecting, the wire or the driver,
// and at last the server, by its number first and its SQLSTATE then.
func faultOf(err error) engine.Fault {
	var refusal *connectError
	var e *mysql.MySQLError
	answered := errors.As(err, &e)
	none := errors.Is(err, errTakesNoWrites)
	switch {
	case errors.As(err, &refusal):
		return engine.Fault{Class: engine.FaultLost, Access: answered && !none && slices.Contains(accessErrors, e.Number), ReadOnly: none}
	case none, answered && takesNone(e):
		return engine.Fault{ReadOnly: true, Remedy: engine.RemedyPrimary}
	case !answered:
		return withoutAnswer(err)
	case unwritable(e):
		return engine.Fault{Class: engine.FaultData, Reason: engine.ReasonType}
	}
	if f, ok := faults[e.Number]; ok {
		return f
	}
	// Numbers beyond the table are of newer servers; their SQLSTATE tells enough.
	return classes[string(e.SQLState[:2])]
}

// unwritable tells whether a comparison failed because of a value: a parameter takes the
// characters of the column that it is compared with, and this one has others, as a name in
// Chinese that meets a column of latin1. Other mixes of collations are the statement's.
func unwritable(e *mysql.MySQLError) bool {
	return (e.Number == 1267 || e.Number == 1270) && strings.Contains(e.Message, ",COERCIBLE)")
}

// fits goes by the argument alone: what could not be compared is beyond ASCII, which all
// characters of columns have in common.
func fits(q engine.Query) bool {
	return !slices.ContainsFunc(q.Args, func(arg any) bool {
		text, is := arg.(string)
		return is && strings.ContainsFunc(text, func(r rune) bool { return r > unicode.MaxASCII })
	})
}

// takesNone tells errors of a server that takes no writes from others of one number.
// 1290 names the option that prevents a statement, which may be any; 1036 names a table,
// which is read-only to InnoDB with its server, and else by itself.
func takesNone(e *mysql.MySQLError) bool {
	return e.Number == 1290 && (strings.Contains(e.Message, "read-only") || strings.Contains(e.Message, "read_only")) || e.Number == 1036
}

// classes are the first two characters of the SQLSTATE of other errors. 45 is
// SIGNAL: a trigger refuses the record. They are asked only where the number is
// not among faults.
var classes = engine.FaultsByCode(map[*engine.Fault][]string{
	{Class: engine.FaultRefused}:                               {"42", "21", "3D", "3F", "0A", "2F", "38", "39"},
	{Class: engine.FaultLost, Remedy: engine.RemedyConnection}: {"08"},
	{Class: engine.FaultData, Reason: engine.ReasonType}:       {"22"},
	{Class: engine.FaultRule, Reason: engine.ReasonCheck}:      {"23", "44", "45"},
	{Class: engine.FaultBusy, Remedy: engine.RemedyRepeat}:     {"40"},
})

// broken are the errors of a connection that is of no use any more. A cancelled
// context is among them: the driver ends a statement by closing its connection.
var broken = []error{
	driver.ErrBadConn, sql.ErrConnDone, mysql.ErrInvalidConn, mysql.ErrMalformPkt, mysql.ErrPktSync, mysql.ErrPktSyncMul,
	mysql.ErrBusyBuffer, io.EOF, io.ErrUnexpectedEOF, context.Canceled, context.DeadlineExceeded,
}

// withoutAnswer judges an error that is no answer of the server. The driver has
// some about values, too, such as a time that it cannot read. An error of the
// driver about a value has no class: the connection is well, and the next call
// may succeed.
func withoutAnswer(err error) engine.Fault {
	var network net.Error
	if errors.As(err, &network) {
		return engine.Fault{Class: engine.FaultLost, Remedy: engine.RemedyConnection}
	}
	for _, broken := range broken {
		if errors.Is(err, broken) {
			return engine.Fault{Class: engine.FaultLost, Remedy: engine.RemedyConnection}
		}
	}
	return engine.Fault{}
}
