package source

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"io"
	"net"

	"github.com/go-sql-driver/mysql"
)

// mysqlFaults are MySQL's and MariaDB's errors by number, where their SQLSTATE
// tells too little. The driver has no names for them.
var mysqlFaults = faultsByCode(map[*fault][]uint16{
	{kind: faultRule, reason: reasonNull}:           {1048, 1364},
	{kind: faultRule, reason: reasonTaken}:          {1062, 1586},
	{kind: faultReference, reason: reasonReference}: {1216, 1217, 1451, 1452},
	{kind: faultRule, reason: reasonCheck}:          {1369, 1644, 3819, 4025},
	{kind: faultData, reason: reasonType}:           {1265, 1292, 1366, 1367, 1416, 3140, 3141, 3156, 3903},
	{kind: faultData, reason: reasonRange}:          {1264, 1690},
	{kind: faultData, reason: reasonLong}:           {1406},

	{kind: faultRecord}: {1172, 1242}, // more rows than one, for this record

	{kind: faultLost}: {1040, 1047, 1203, 1226},
	{kind: faultLost, remedy: remedyConnection}: {1053, 1152, 1158, 1159, 1160, 1161, 1184, 1927, 3169, 4031},
	{kind: faultSlow}: {mysqlInterrupted, 1969, 3024},
	// Deadlocks, locks that nobody gives, conflicts that show at COMMIT only (of a
	// group or of Galera), and rows that changed under a snapshot.
	{kind: faultBusy, remedy: remedyRepeat}: {1020, 1180, 1205, 1213, 1614, 3058, 3101, 3572},
	// The table's definition changed between preparing and executing.
	{kind: faultBusy, remedy: remedyPlan}: {1243, 1412, 1615},
	// A server that takes no writes may have been the primary until now.
	{remedy: remedyConnection}: {1290, 1792, 1836},
	// What the operator has to mend, and has no SQLSTATE of its own: collations
	// that do not mix, views and triggers that lack what they name, tables that
	// are broken.
	{kind: faultRefused}: {1034, 1035, 1194, 1195, 1210, 1267, 1270, 1271, 1295, 1348, 1356, 1393, 1394, 1442, 1449, 1471, 1712},
	// The server is short of something, and reads may work on.
	{}: {1021, 1037, 1038, 1041, 1114, 1461},
})

// mysqlInterrupted says that somebody ended a statement, or that the server is
// ending.
const mysqlInterrupted = 1317

func mysqlFault(err error) fault {
	var refusal *connectError
	if errors.As(err, &refusal) {
		return fault{kind: faultLost}
	}
	var e *mysql.MySQLError
	if !errors.As(err, &e) {
		return mysqlSilence(err)
	}
	if f, ok := mysqlFaults[e.Number]; ok {
		return f
	}
	return mysqlClasses[string(e.SQLState[:2])]
}

// mysqlClasses are the first two characters of the SQLSTATE of other errors. 45 is
// SIGNAL: a trigger refuses the record.
var mysqlClasses = faultsByCode(map[*fault][]string{
	{kind: faultRefused}:                        {"42", "21", "3D", "3F", "0A", "2F", "38", "39"},
	{kind: faultLost, remedy: remedyConnection}: {"08"},
	{kind: faultData, reason: reasonType}:       {"22"},
	{kind: faultRule, reason: reasonCheck}:      {"23", "44", "45"},
	{kind: faultBusy, remedy: remedyRepeat}:     {"40"},
})

// mysqlBroken are the errors of a connection that is of no use any more.
var mysqlBroken = []error{
	driver.ErrBadConn, sql.ErrConnDone, mysql.ErrInvalidConn, mysql.ErrMalformPkt, mysql.ErrPktSync, mysql.ErrPktSyncMul,
	mysql.ErrBusyBuffer, io.EOF, io.ErrUnexpectedEOF, context.Canceled, context.DeadlineExceeded,
}

// mysqlSilence judges an error that is no answer of the server. The driver has
// some about values, too, such as a time that it cannot read.
func mysqlSilence(err error) fault {
	var network net.Error
	if errors.As(err, &network) {
		return fault{kind: faultLost, remedy: remedyConnection}
	}
	for _, broken := range mysqlBroken {
		if errors.Is(err, broken) {
			return fault{kind: faultLost, remedy: remedyConnection}
		}
	}
	return fault{}
}
